import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument
from filler_server import compiled
from filler_server.fillers import kernels

MOST = numba.config.NUMBA_NUM_THREADS


@pytest.fixture(autouse=True)
def _all_threads_afterwards() -> Iterator[None]:
    yield
    compiled.set_threads(None)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_the_layer_bears_concurrent_launches() -> None:
    assert compiled.threading_layer() in ("tbb", "omp")


def test_threads_default_to_all() -> None:
    compiled.set_threads(None)
    assert compiled.threads() == MOST


def test_the_number_holds_in_threads_that_start_later() -> None:
    compiled.set_threads(1)
    seen = []
    thread = threading.Thread(target=lambda: seen.extend([compiled.threads(), numba.get_num_threads()]))
    thread.start()
    thread.join()
    assert seen == [1, 1]


@pytest.mark.parametrize("count", [0, -1, MOST + 1])
def test_impossible_numbers_of_threads_are_refused(count: int) -> None:
    with pytest.raises(InvalidArgument, match=f"Received: threads={count}"):
        compiled.set_threads(count)


def test_omp_can_be_chosen() -> None:
    done = python("from filler_server import compiled; print(compiled.threading_layer())", NUMBA_THREADING_LAYER="omp")
    assert done.stdout.strip() == "omp", done.stderr


def test_omp_is_taken_where_there_is_no_tbb() -> None:
    code = (
        "import sys; sys.modules['numba.np.ufunc.tbbpool'] = None\n"
        "from filler_server import compiled; print(compiled.threading_layer())"
    )
    assert python(code).stdout.strip() == "omp"


@pytest.mark.parametrize(
    ("system", "machine", "advice"),
    [
        ("linux", "x86_64", "pip install tbb, or install GNU's OpenMP runtime, libgomp (apt-get install libgomp1, "),
        (
            "linux",
            "aarch64",
            ": install GNU's OpenMP runtime, libgomp (apt-get install libgomp1, or yum install libgomp).",
        ),
        ("darwin", "arm64", "brew install libomp"),
    ],
)
def test_without_tbb_and_omp_the_error_says_what_to_install(system: str, machine: str, advice: str) -> None:
    code = (
        "import sys; sys.modules['numba.np.ufunc.tbbpool'] = sys.modules['numba.np.ufunc.omppool'] = None\n"
        "from filler_server import compiled\n"
        f"import platform; platform.machine = lambda: '{machine}'; sys.platform = '{system}'\n"
        "from caffe_filler.errors import Unavailable\n"
        "for _ in range(2):\n"
        "    try: compiled.threads()\n"
        "    except Unavailable as error: print(error)"
    )
    lines = python(code).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert advice in lines[0]
    assert ("tbb, or" in lines[0]) == (machine == "x86_64")


def test_workqueue_is_refused() -> None:
    code = (
        "from filler_server import compiled\n"
        "from caffe_filler.errors import Unavailable\n"
        "try: compiled.threads()\n"
        "except Unavailable as error: print(error)"
    )
    assert "Received: NUMBA_THREADING_LAYER=workqueue" in python(code, NUMBA_THREADING_LAYER="workqueue").stdout


def test_workqueue_started_by_someone_else_is_refused() -> None:
    code = (
        "import numba\n"
        "numba.config.THREADING_LAYER = 'workqueue'\n"
        "numba.set_num_threads(1)\n"
        "numba.config.THREADING_LAYER = 'default'\n"
        "from filler_server import compiled\n"
        "from caffe_filler.errors import Unavailable\n"
        "try: compiled.threads()\n"
        "except Unavailable as error: print(error)"
    )
    assert "this process has started workqueue" in python(code).stdout


def test_kernels_work_where_no_cache_can_be_written() -> None:
    names: dict[str, Any] = {}
    exec("def twice(x): return 2 * x", names)
    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(cache=True)(names["twice"])
    assert compiled.serial(names["twice"])(21) == 42


SAVING = """
import sys, time
import numpy as np
from numba.core.caching import IndexDataCacheFile
from filler_server.fillers import kernels

load = IndexDataCacheFile._load_index
saving = False

def load_slowly(file):
    found = load(file)
    time.sleep(3 * saving)
    return found

def save(file, key, data, save=IndexDataCacheFile.save):
    global saving
    saving = True
    save(file, key, data)
    saving = False

IndexDataCacheFile._load_index, IndexDataCacheFile.save = load_slowly, save
dtype = np.dtype(sys.argv[1])
sums = np.zeros(2, dtype)
kernels.add_rows(np.arange(6, dtype=dtype), sums)
print(sums.tolist(), sum(kernels._add_rows.stats.cache_hits.values()))
"""


def test_processes_that_compile_a_kernel_for_different_types_keep_each_its_own(tmp_path: Path) -> None:
    """Each takes so long to save that the other comes in between, unless it waits."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found = []
    for _ in range(2):
        processes = [
            subprocess.Popen([sys.executable, "-c", SAVING, dtype], env=env, stdout=subprocess.PIPE, text=True)
            for dtype in ("float32", "float64")
        ]
        found.append([process.communicate(timeout=120)[0].strip() for process in processes])
    assert found == [["[3.0, 12.0] 0"] * 2, ["[3.0, 12.0] 1"] * 2]


def test_nothing_is_contracted_or_reordered() -> None:
    @compiled.serial
    def steps(a: float, b: float, c: float) -> tuple[float, float]:
        return a * b + c, (a + c) - a

    a, b = 1 + 2.0**-30, 1 - 2.0**-30
    assert steps(a, b, -1.0) == (0.0, a - 1 - a)
    assert a * b - 1.0 == 0.0


def test_division_by_zero_is_ieee() -> None:
    @compiled.serial
    def divide(a: float, b: float) -> float:
        return a / b

    assert divide(1.0, 0.0) == float("inf")


@compiled.serial
def never_compiled(x: Any) -> Any:
    return x + 1


def test_kernels_can_be_had_from_the_cache_alone() -> None:
    for _ in range(2):
        with compiled.cached_only(), pytest.raises(compiled.NotCached):
            never_compiled(1)


def test_one_runs_at_a_time_of_those_that_share_a_cache() -> None:
    order = []

    def run() -> None:
        with compiled.exclusively("a part"):
            order.append("second")

    with compiled.exclusively("another"):
        pass
    with compiled.exclusively("a part"), compiled.exclusively("another"):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_where_kernels_are_kept_is_told() -> None:
    assert compiled.has_cache() == (not compiled._uncached)
    assert Path(never_compiled._cache.cache_path) in compiled.cache_folders()
    assert compiled.cpu()


LOADING = """
import sys
import numpy as np
from filler_server import compiled
from filler_server.fillers import kernels
from filler_server.fillers import kernels

with compiled.cached_only():
    kernels.add_rows(np.ones(6), np.zeros(2))
print("numba.misc.cffiimpl" in sys.modules)
print(compiled.serial(lambda values: values.sum())(np.ones(3)))
"""


def test_loading_a_kernel_declares_nothing_of_what_compiling_needs() -> None:
    kernels.add_rows(np.ones(6), np.zeros(2))
    done = python(LOADING)
    assert done.stdout.split() == ["False", "3.0"], done.stderr
