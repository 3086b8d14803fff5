"""Fixtures that the tests of every package share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.processes import ServerProcess

# The first call of a kernel loads or compiles it. What decides over a change tries the same cases each time.
settings.register_profile("kernels", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("kernels")

WARM_UP = "from filler_server.service.compilation import warm_up; warm_up()"

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Compile the kernels once, before workers start that would each do it for themselves."""
    subprocess.run([sys.executable, "-c", WARM_UP], check=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One worker more than there are processors: clients and servers often wait for each other."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else len(os.sched_getaffinity(0)) + 1


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data from real Caffe, where it lies beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("the golden data is not here")
    return folder


@pytest.fixture(scope="session")
def nets() -> Path:
    """The project's own nets."""
    return ROOT / "tests" / "nets"


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server for all tests that do it no harm."""
    process = ServerProcess()
    yield process
    assert process.process.poll() is None, f"the server died:\n{process.log}"
    assert process.stop() == 0, process.log
