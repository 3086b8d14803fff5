"""The smallest run of the section on generation, with real workers, against NumPy and memory alone."""

import os
import time
from contextlib import ExitStack

import psutil
import pytest

from tests.benchmarks import generation
from tests.benchmarks.peers import buffers, memory, numpy_generator, ours
from tests.benchmarks.statistics import NotAvailable
from tests.benchmarks.workers import WorkerProcess

KIB = 1 << 10


def test_ours_against_numpy_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    contenders = [
        one for one in generation.DISTRIBUTIONS["uniform"] if one.peer in ("ours", "memory", "numpy_generator")
    ]
    absent = generation.Contender("absent", "no_such_peer", "uniform")
    monkeypatch.setitem(generation.DISTRIBUTIONS, "uniform", [*contenders, absent])
    with ExitStack() as stack:
        workers = generation.Workers(stack, threads=2)
        comparison = generation.compare(workers, "uniform", 64 * KIB, rounds=2, at_least=0.0)
        assert workers.about["numpy_generator"].startswith("numpy ")
    assert comparison.case == ("uniform", "64 KiB", "2 threads")
    assert list(comparison.runs) == [contender.name for contender in contenders]
    assert all(len(runs) == 2 and min(run.seconds for run in runs) > 0 for runs in comparison.runs.values())
    assert "no_such_peer" in comparison.unavailable["absent"]
    rates = generation.rates("uniform", 2, [comparison], [])
    assert [row[0] for row in rates.rows] == [*comparison.runs, "absent"]
    ratios = generation.ratios("ours: xavier", 2, [comparison])
    assert [row[0] for row in ratios.rows] == [name for name in comparison.runs if not name.startswith("ours")]


def test_a_worker_sleeps_between_its_runs() -> None:
    with WorkerProcess("peers.memory") as worker:
        process = psutil.Process(worker.pid)
        run = worker.prepare("memset", nbytes=4 * KIB, threads=1)
        assert wait_for_status(process, psutil.STATUS_STOPPED)
        assert run().client_peak > 0
        assert wait_for_status(process, psutil.STATUS_STOPPED)
        with pytest.raises(NotAvailable, match="no_such_work"):
            worker.prepare("no_such_work", nbytes=4 * KIB, threads=1)
        assert run().seconds > 0
    assert not process.is_running()


def test_a_worker_that_dies_is_not_available() -> None:
    with WorkerProcess("peers.memory") as worker:
        run = worker.prepare("memset", nbytes=4 * KIB, threads=1)
        os.kill(worker.pid, 9)
        with pytest.raises(NotAvailable, match="ended with -9"):
            run()


def test_memory_is_filled() -> None:
    out = buffers.buffer(2 * buffers.SHARED)
    assert len(buffers.divided(out, 2)) == 2
    for peer, work in ((memory, "memset"), (numpy_generator, "uniform SFC64"), (ours, "xavier"), (ours, "bilinear")):
        out.fill(-2)
        peer.prepare(work, out.nbytes, 2)()
        assert (out != -2).all(), (peer.__name__, work)


def wait_for_status(process: psutil.Process, status: str) -> bool:
    """A signal takes effect a little after it is sent."""
    deadline = time.monotonic() + 60
    while process.status() != status and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(process.status() == status)
