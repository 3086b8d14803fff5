"""Text that strangers wrote, in files and on servers, cannot steer the terminal."""

import ast
import contextlib
import json
import os
import pty
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import filler_client.cli
from filler_client.cli import terminal
from tests.client.cli.command import run, run_anew, succeed
from tests.service.faults.http2 import GOAWAY, SETTINGS, frame

EVIL = "evil\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202edetrever"
SHOWN = "evil\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\r\\n\\u202edetrever"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A net whose names, type, filler and unknown field hold what a terminal obeys."""
    quoted = json.dumps(EVIL, ensure_ascii=False).replace("\\u00", "\\x").replace("\x9b", "\\xc2\\x9b")
    text = f"""
name: {quoted}
layer {{ name: {quoted} type: "Input" top: {quoted} input_param {{ shape {{ dim: [1, 2] }} }} }}
layer {{
  name: {quoted[:-1]}2" type: "InnerProduct" bottom: {quoted} top: "ip"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }}
}}
layer {{ name: "u" type: {quoted} bottom: "ip" top: {quoted[:-1]}3" }}
"""
    path = tmp_path / "evil.prototxt"
    path.write_text(text, encoding="utf-8")
    return path


def check(output: bytes) -> str:
    text = output.decode()
    assert all(line.isprintable() for line in text.split("\n")), text
    return text


def test_tables_and_warnings(net: Path, tmp_path: Path) -> None:
    done = run("plan", net)
    assert done.returncode == 0, done.stderr
    assert SHOWN in check(done.stdout)
    assert SHOWN in check(done.stderr)
    weights = tmp_path / "weights.npz"
    done = run("init", net, "-o", weights)
    assert done.returncode == 0, done.stderr
    assert f"{SHOWN}2/0" in check(done.stdout)
    check(done.stderr)
    assert f"{SHOWN}2/0" in check(succeed("inspect", weights))


def test_json(net: Path) -> None:
    plan = json.loads(check(succeed("plan", net, "--json")))
    assert plan["name"] == EVIL
    assert plan["layers"][1]["name"] == f"{EVIL}2"


def test_errors(net: Path) -> None:
    net.write_text(net.read_text(encoding="utf-8").replace('"xavier"', '"\\033[31mxaver\\n"'), encoding="utf-8")
    done = run("init", net, "-o", net.with_suffix(".npz"))
    assert done.returncode == 1
    assert "\\x1b[31mxaver\\n" in check(done.stderr)
    assert len(done.stderr.splitlines()) <= 3


def test_names_of_files(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\x1b[31m\xff.npz")
    np.savez(path, **{"a\x1b[1m": np.zeros(3)})
    assert "a\\x1b[1m" in check(succeed("inspect", path))
    assert "no\\x1b[31m" in check(run("inspect", tmp_path / os.fsdecode(b"no\x1b[31m\xff.npz")).stderr)
    assert "\\x1b[31m\\udcff.npz" in check(run("plan", path).stderr)


def test_what_a_server_says_when_it_hangs_up() -> None:
    """The core of gRPC would write it to the terminal as it is."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(frame(SETTINGS))
                connection.recv(1 << 16)
                connection.sendall(frame(GOAWAY, payload=struct.pack(">II", 0, 2) + b"\x1b[31mevil\nline"))

    server = threading.Thread(target=serve)
    server.start()
    done = run_anew("fillers", "--server", f"127.0.0.1:{listener.getsockname()[1]}", "--retry-for", "1")
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    server.join()
    assert done.returncode == 1
    (line,) = check(done.stderr).splitlines()
    assert line.startswith("filler: 127.0.0.1:")


def test_a_file_on_a_terminal_is_its_text_and_in_a_pipe_its_bytes(net: Path) -> None:
    net.write_bytes(net.read_bytes() + b"# \x1b[31m comment\n")
    assert b"\x1b[31m comment" in succeed("upgrade", net, "-")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "filler_client.cli", "upgrade", str(net), "-"]
    done = subprocess.run(command, stdout=follower, stderr=subprocess.DEVNULL, timeout=120, check=False)
    os.close(follower)
    shown = os.read(leader, 1 << 16)
    os.close(leader)
    assert done.returncode == 0
    assert b"# \\x1b[31m comment" in shown
    assert b"\x1b" not in shown


def test_everything_is_printed_by_one_module() -> None:
    folder = Path(next(iter(filler_client.cli.__path__)))
    others = {*folder.glob("*.py")} - {Path(terminal.__file__)}
    assert len(others) > 10
    for path in sorted(others):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in ("print", "click.echo", "click.secho", "sys.stdout.write"), f"{path}:{node.lineno}"
            assert not isinstance(node, ast.ImportFrom) or node.module != "rich", f"{path}:{node.lineno}"
