"""The values that NumPy makes against those of the kernels."""

import subprocess
import sys
from math import copysign
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filler_client import FillerClient
from filler_server.rng import philox, philox_kernels, philox_plain
from filler_server.rng.caffe import boost
from filler_server.rng.philox_numbers import Prepared
from filler_server.rng.stream import Runs
from tests.rng import philox_reference as reference

FLOAT32 = np.dtype(np.float32)
IDS = (0x01234567, 0x89ABCDEF, 0xDEADBEEF, 0xFFFFFFFF, 5, 6)

finite = st.floats(-(2.0**100), 2.0**100, width=32)
runs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 70)), min_size=1, max_size=12)


def uniform(low: float, high: float) -> Prepared:
    return philox._uniform(FLOAT32, low, high, copysign(1, low), copysign(1, high))


def gaussian(mean: float, std: float) -> Prepared:
    return philox._gaussian(FLOAT32, mean, std, copysign(1, mean))


def assert_same(found: Runs, distribution: Prepared, ids: tuple[int, ...] = IDS) -> None:
    plain, compiled = np.zeros(found.count, np.float32), np.ones(found.count, np.float32)
    philox_plain.launch(plain, found, ids, distribution)
    philox_kernels.launch(compiled, found, ids, distribution)
    assert plain.tobytes() == compiled.tobytes()


@given(st.tuples(finite, finite).map(sorted), st.integers(0, 2**34), st.integers(0, 3000))
def test_uniform_values(bounds: list[float], start: int, count: int) -> None:
    assert_same(Runs.contiguous(start, count), uniform(*bounds))


@given(finite, st.floats(2.0**-126, 2.0**100, width=32), st.integers(0, 2**34), st.integers(0, 3000))
def test_normal_values(mean: float, std: float, start: int, count: int) -> None:
    assert_same(Runs.contiguous(start, count), gaussian(mean, std))


@given(runs, st.integers(0, 2**40))
def test_runs(gaps: list[tuple[int, int]], first: int) -> None:
    starts, bounds, place = [], [0], first
    for gap, length in gaps:
        starts.append(place + gap)
        bounds.append(bounds[-1] + length)
        place += gap + length
    found = Runs(np.array(starts, np.int64), np.array(bounds, np.int64))
    assert_same(found, uniform(-1, 1))
    assert_same(found, gaussian(0, 1))


@settings(max_examples=20)
@given(st.tuples(*[st.integers(0, 2**32 - 1)] * 6))
def test_keys_and_streams(ids: tuple[int, ...]) -> None:
    assert_same(Runs.contiguous(2**33 - 5, 100), gaussian(0, 1), ids)


@pytest.mark.parametrize(("low", "high"), [(1e-41, 3e-40), (-1e-45, 1e-45), (0.1, 0.1), (-3e38, 3e38), (0, 2.0**-126)])
def test_many_values_of_extreme_intervals(low: float, high: float) -> None:
    assert_same(Runs.contiguous(3, 100_000), uniform(low, high))


@pytest.mark.parametrize(("mean", "std"), [(0, 0.02), (-3, 0.5), (1e-39, 1e-39), (1e-45, 2.0**-120), (5e4, 1e-3)])
def test_many_values_of_extreme_scales(mean: float, std: float) -> None:
    assert_same(Runs.contiguous(1, 100_000), gaussian(mean, std))


@pytest.mark.parametrize("distribution", [gaussian(3e38, 1e38), gaussian(0, 2.0**-126), uniform(-1e-45, 1e-45)])
def test_what_leaves_the_range_is_no_error(distribution: Prepared) -> None:
    with np.errstate(all="raise"):
        assert_same(Runs.contiguous(0, 10_000), distribution)


@pytest.mark.parametrize("stream", ["philox", "caffe"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_subnormal_numbers_are_none_of_the_callers_errors(dtype: Any, stream: Any) -> None:
    client = FillerClient.embedded()
    for filler in ("gaussian", 'type: "gaussian" std: 1e-44', 'type: "uniform" min: 1e-45 max: 1e-44', "xavier"):
        expected = client.fill(filler, (64, 8), seed=1, name="a", dtype=dtype, stream=stream)
        for cached in (philox._uniform, philox._gaussian, boost.uniform):
            cached.cache_clear()  # type: ignore[attr-defined]
        with np.errstate(all="raise"):
            found = client.fill(filler, (64, 8), seed=1, name="a", dtype=dtype, stream=stream)
        assert found.tobytes() == expected.tobytes()


def test_sums_next_to_the_middle_of_two_floats_are_rounded_once() -> None:
    rng = np.random.default_rng(1)
    # Products of 25 bits lie in the middle; what is added is far less than a float64 has beside them.
    x = (2 * rng.integers(2**23, 2**24, 10_000) + 1).astype(np.float64)
    factors = rng.choice([3.0, 5.0, 7.0], x.size)
    x = np.floor(x / factors)
    even = x * factors % 2 == 0
    x, y = (x + even).astype(np.float32), factors.astype(np.float32)
    z = (rng.choice([-1.0, 0.0, 1.0], x.size) * 2.0 ** -rng.integers(30, 140, x.size)).astype(np.float32)
    found = philox_plain._fused(x, y, z)  # type: ignore[arg-type]
    assert found.tobytes() == reference.fma(x, y, z).tobytes()
    twice = (x.astype(np.float64) * y + z).astype(np.float32)
    assert (found != twice).sum() > 1000


def run(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_numba_is_imported_for_many_values_alone() -> None:
    program = """
import sys
from filler_client import FillerClient
from filler_server.rng import philox
philox.begin_in_numpy()
client = FillerClient.embedded()
def say(count):
    values = client.fill("msra", (count, 8), seed=1, name="ip/0")
    print("numba" in sys.modules, values.tobytes()[:800].hex())
say(100)
say(philox._WORTH_NUMBA // 8 + 1)
say(100)
"""
    said = run(program)
    assert said[::2] == ["False", "True", "True"]
    assert len(set(said[1::2])) == 1


def test_a_program_has_the_kernels_from_its_first_values_on() -> None:
    program = """
import sys
from filler_client import FillerClient
FillerClient.embedded().fill("msra", (2, 2), seed=1, name="ip/0")
print("numba" in sys.modules)
"""
    assert run(program) == ["True"]


def test_small_blobs_bring_numba_in_the_end() -> None:
    program = """
import sys
from filler_client import FillerClient
from filler_server.rng import philox
philox.begin_in_numpy()
client = FillerClient.embedded()
for number in range(philox._WORTH_NUMBA // philox._LEAST):
    client.fill("xavier", (2, 2), seed=1, name=f"{number}/0")
print("numba" in sys.modules)
client.fill("xavier", (2, 2), seed=1, name="last/0")
print("numba" in sys.modules)
"""
    assert run(program) == ["False", "True"]


def test_a_command_fills_a_small_net_without_numba(tmp_path: Any) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 8] } } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 400\n'
        '  weight_filler { type: "xavier" } bias_filler { type: "constant" value: 0.1 } } }\n'
        'layer { name: "ip2" type: "InnerProduct" bottom: "ip" top: "ip2" inner_product_param { num_output: 10\n'
        '  weight_filler { type: "msra" } } }\n'
    )
    program = f"""
import sys
sys.argv = ["filler", "init", {str(net)!r}, "-o", {str(tmp_path / "w.npz")!r}, "--seed", "7"]
from filler_client.cli.main import main
try:
    main()
finally:
    assert "numba" not in sys.modules
"""
    run(program)
    assert "filler_server.rng.philox_kernels" in sys.modules
    expected = FillerClient.embedded().init_net(net, seed=7)
    with np.load(tmp_path / "w.npz") as weights:
        assert {name: weights[name].tobytes() for name in weights} == {
            name: array.tobytes() for name, array in expected.items()
        }
