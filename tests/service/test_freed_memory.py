"""Memory that goes back to the kernel once it is free."""

import subprocess
import sys
import time
from itertools import pairwise

import pytest

from caffe_filler.memory import few_arenas, give_back_freed_memory, keep_freed_memory
from filler_server.service.freed_memory import Pace

PROGRAM = """
import sys, time
from caffe_filler.memory import few_arenas, keep_freed_memory
from filler_server.service.freed_memory import FreedMemory, _resident
keep_freed_memory(1 << 30)
few_arenas(2)
memory = FreedMemory() if sys.argv[1] == "watched" else None
before = _resident()
blocks = [bytes(10_000) for _ in range(30_000)]
del blocks[:-1]
deadline = time.monotonic() + (30 if memory else 2)
while _resident() - before > 64 << 20 and time.monotonic() < deadline:
    time.sleep(0.1)
print(_resident() - before)
if memory:
    memory.close()
"""


def kept(how: str) -> int:
    """Bytes that a process keeps of 300 MB that it has freed but for the last block."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_what_is_freed_goes_back() -> None:
    assert kept("alone") > 200 << 20
    assert kept("watched") < 64 << 20


def test_the_allocator_may_be_told_at_any_time() -> None:
    keep_freed_memory()
    few_arenas(4)
    began = time.monotonic()
    give_back_freed_memory()
    assert time.monotonic() - began < 60


MIB = 1 << 20


def attempts(pace: Pace, resident: int, spent: float, rounds: int, *, work: float) -> tuple[list[int], float]:
    """Return the rounds in which there is an attempt, which gives back nothing, and the time spent after them."""
    found = []
    for number in range(rounds):
        spent += work
        if pace.is_due(resident, spent):
            found.append(number)
            pace.given_back(resident, spent)
    return found, spent


def test_attempts_become_rarer_while_memory_is_in_use() -> None:
    found, _ = attempts(Pace(100 * MIB, 0), 400 * MIB, 0, 300, work=1.0)
    gaps = [after - before for before, after in pairwise(found)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == 8


@pytest.mark.parametrize("rounds", [1, 2, 50, 100, 101, 133])
def test_there_is_an_attempt_as_soon_as_work_ends(rounds: int) -> None:
    pace = Pace(100 * MIB, 0)
    _, spent = attempts(pace, 400 * MIB, 0, rounds, work=1.0)
    found, spent = attempts(pace, 400 * MIB, spent, 100, work=0.0)
    assert found[0] == 0
    # Then as rarely as before: what nobody frees is in use.
    assert len(found) < 20


def test_small_memory_is_left_alone() -> None:
    pace = Pace(100 * MIB, 0)
    found, spent = attempts(pace, 120 * MIB, 0, 50, work=1.0)
    assert (found, attempts(pace, 120 * MIB, spent, 50, work=0.0)[0]) == ([], [])
