"""The settings of the allocator, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
from caffe_filler.memory import keep_freed_memory
keep_freed_memory()
keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
first = libc.malloc(8 << 20)
with open("/proc/self/maps") as maps:
    heap = next(line.split()[0] for line in maps if "[heap]" in line)
start, stop = (int(end, 16) for end in heap.split("-"))
print(start <= first < stop)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
@pytest.mark.parametrize(("environment", "on_heap"), [({}, "True"), ({"MALLOC_MMAP_THRESHOLD_": "1048576"}, "False")])
def test_blocks_of_messages_stay_on_the_heap_unless_the_environment_says_otherwise(
    environment: dict[str, str], on_heap: str
) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == on_heap
