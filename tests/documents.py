"""Code of Markdown pages, run as it stands there."""

import io
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import click

from caffe_filler.interface import interface
from filler_client.cli.main import filler
from tests.processes import ServerProcess

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One block of code: its language, the file whose content it is, or nothing, and its text."""

    kind: str
    file: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Return the blocks of code of a page."""
    return [Block(*found) for found in _BLOCK.findall(path.read_text(encoding="utf-8"))]


def make_shell(folder: Path) -> dict[str, str]:
    """Return an environment in which `filler` is that of this checkout, and the project's nets lie in `tests`."""
    (folder / "tests").symlink_to(ROOT / "tests")
    shim = folder / "bin" / "filler"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m filler_client.cli "$@"\n')
    shim.chmod(0o755)
    return {**os.environ, "PATH": f"{shim.parent}:{os.environ['PATH']}"}


def run_line(line: str, environment: dict[str, str]) -> str:
    """Run a line of a shell in the current folder and return what it prints; `filler` alone runs in this process."""
    words = shlex.split(line)
    if words[0] != "filler" or re.search(r"[|>&;*$]", re.sub(r"'[^']*'|\"[^\"]*\"", "", line)):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout
    output, errors = io.StringIO(), io.StringIO()
    status: object = None
    with redirect_stdout(output), redirect_stderr(errors), interface("cli"):
        try:
            filler.main(words[1:], prog_name="filler", auto_envvar_prefix="FILLER", standalone_mode=False)
        except click.exceptions.Exit as end:
            status = end.exit_code
        except SystemExit as end:
            status = end.code
    assert not status, (line, output.getvalue(), errors.getvalue())
    return output.getvalue()


def run_page(page: Path, folder: Path, *, takes: Callable[[Block], bool] = lambda block: True) -> dict[str, Any]:
    """Run the blocks of a page that it `takes`, in the current folder; return the names that its programs made.

    Text after a block is what its last command prints. Servers that it starts are stopped at its end. They listen on a
    free port in place of 50051.
    """
    environment = make_shell(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    names: dict[str, Any] = {"__name__": page.stem}
    printed = ""
    with ExitStack() as servers:
        for block in filter(takes, blocks(page)):
            text = block.text.replace("50051", port)
            if block.file:
                Path(block.file).write_text(text, encoding="utf-8")
            elif block.kind == "python":
                with redirect_stdout(io.StringIO()) as output:
                    exec(compile(text, page.name, "exec"), names)
                printed = output.getvalue()
            elif block.kind == "sh":
                for line in text.splitlines():
                    if line.startswith("filler serve ") and "--print-config" not in line:
                        command = [sys.executable, "-m", "filler_client.cli", *shlex.split(line)[1:]]
                        servers.callback(ServerProcess(command=command).stop)
                    elif not line.startswith("source "):
                        printed = run_line(line, environment)
            elif block.kind == "text":
                assert printed == block.text
    return names
