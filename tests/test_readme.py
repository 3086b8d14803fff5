"""Commands and programs of README run as they stand there, one after the other."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ServerProcess

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
PORT = "50051"


def test_every_block_is_known() -> None:
    assert {kind for kind, _ in BLOCKS} == {"sh", "python"}
    assert len(BLOCKS) > 10


@pytest.mark.parametrize("line", [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()])
def test_a_shell_takes_each_line_as_it_is(line: str) -> None:
    """No prompt, and nothing that zsh makes something of when it is pasted: patterns without a match, comments."""
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", line)
    assert not line.startswith("$ ")
    assert re.search(r"[?*\[\]()~^#!]", unquoted) is None
    assert re.search(r"(?:^|\s)=", unquoted) is None


@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("openssl") is None, reason="needs bash and openssl")
def test_everything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    shim = tmp_path / "bin" / "filler"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m filler_client.cli "$@"\n')
    shim.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    servers: list[ServerProcess] = []
    names: dict[str, Any] = {}
    try:
        for kind, text in BLOCKS:
            code = text.replace(PORT, port)
            if kind == "python":
                exec(compile(code, "README.md", "exec"), names)
                continue
            for line in code.splitlines():
                if line.startswith("filler serve "):
                    servers.append(ServerProcess(command=shlex.split(line)))
                elif not line.startswith("source "):
                    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
                    assert done.returncode == 0, (line, done.stdout, done.stderr)
    finally:
        for server in servers:
            server.stop()
    assert len(servers) == 1
    assert names["weights"]["conv1/0"].shape == (96, 3, 11, 11)
    assert repr(names["plan"].layers[1].operation).startswith("Convolution(kernel=(11, 11), stride=(4, 4), pad=(0, 0)")
    assert names["prob"].shape == (1, 10)
    assert names["prob"].sum() == pytest.approx(1)
