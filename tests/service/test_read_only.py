"""A file system that cannot be written, as in a container that is worth its name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.read_only import read_only, require_read_only

PROGRAM = """
import numpy as np
from numba.core.dispatcher import Dispatcher
from filler_server.fillers import kernels
sums = np.zeros(2, np.float32)
kernels.add_rows(np.arange(6, dtype=np.float32), sums)
assert sums.tolist() == [3, 12], sums
stats = [found.stats for found in vars(kernels).values() if isinstance(found, Dispatcher)]
print(*(sum(sum(getattr(each, which).values()) for each in stats) for which in ("cache_hits", "cache_misses")))
try:
    open(__import__("filler_server").__file__ + ".new", "w")
except OSError as error:
    assert error.errno == 30, error
else:
    raise AssertionError("the file system can be written")
"""


def run(writable: Path, **env: str) -> tuple[int, int]:
    """Run the program where `writable` alone can be written; return how many kernels the cache had, and had not."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    done = subprocess.run(
        read_only([sys.executable, "-B", "-c", PROGRAM], writable),
        capture_output=True,
        text=True,
        env={**environment, **env},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hits, misses = map(int, done.stdout.split())
    return hits, misses


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    require_read_only(folder)
    return folder


def test_kernels_are_kept_on_the_volume(volume: Path) -> None:
    env = {"NUMBA_CACHE_DIR": str(volume / "kernels")}
    hits, misses = run(volume, **env)
    assert hits == 0
    assert misses > 0
    assert list(volume.rglob("*.nbi"))
    hits, misses = run(volume, **env)
    assert hits > 0
    assert misses == 0


def test_kernels_are_compiled_anew_where_there_is_none(volume: Path) -> None:
    hits, _ = run(volume)
    assert hits == 0
    assert not list(volume.rglob("*.nbi"))
