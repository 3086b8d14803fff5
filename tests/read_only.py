"""A file system that cannot be written, as in a container, for real processes."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

# Measured coverage could not be written.
_SCRIPT = """
unset COVERAGE_PROCESS_CONFIG
while [ "$1" != -- ]; do mount --bind "$1" "$1" || exit 99; shift; done
mount -o remount,bind,ro / || exit 99
shift
exec "$@"
"""


def read_only(command: Sequence[str], *writable: Path) -> list[str]:
    """Return a command that runs another in a mount namespace where it can write only to these folders."""
    folders = [str(folder) for folder in writable]
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", _SCRIPT, "sh", *folders, "--", *command]


def require_read_only(folder: Path) -> None:
    """Skip the test where that is not possible."""
    probe = ["sh", "-c", '! touch "$1/../other" 2>&1 && touch "$1/file" && rm "$1/file"', "sh", str(folder)]
    try:
        done = subprocess.run(read_only(probe, folder), capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        pytest.skip(f"no file system can be made read-only here: {error}")
    if done.returncode:
        pytest.skip(f"no file system can be made read-only here: {done.stdout}{done.stderr}")
