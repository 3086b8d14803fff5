"""Memory that goes back to the kernel once it is free."""

import subprocess
import sys
import time

import pytest

from caffe_filler.memory import few_arenas, give_back_freed_memory, keep_freed_memory

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
