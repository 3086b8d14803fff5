"""False alarms come as often as promised, and true ones are found."""

import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from filler_server.fillers import registered
from filler_server.frameworks.names import NAMES
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from tests.diagnostics.statistics.fillers import OF_CAFFE, OTHERS, array, filled, is_alarm, looked
from tests.fillers.streams import distribution_of, filler_of

SEEDS = 200
LEVEL = 0.05
MOST = 24
"""Of 200 false alarms of probability 0.05 more than these come once in 10^4 times."""

ALL = {**OF_CAFFE, **OTHERS}
RANDOM = [text for text in ALL if filler_of(text).draws]
SCALED = [text for text in RANDOM if "unitball" not in text]


def test_every_type_is_tried() -> None:
    assert {filler_of(text).type for text in ALL} == set(registered())


def alarms(text: str, shape: tuple[int, ...], dtype: Any, stream: Callable[[int], Any] = lambda seed: None) -> int:
    return sum(is_alarm(looked(text, filled(text, shape, seed, dtype, stream(seed))), LEVEL) for seed in range(SEEDS))


def expected(text: str) -> range:
    return range(1, MOST + 1) if filler_of(text).draws else range(1)


@pytest.mark.parametrize("text", ALL)
def test_false_alarms_of_every_filler(text: str) -> None:
    assert alarms(text, ALL[text], np.float32) in expected(text)


@pytest.mark.parametrize("text", OF_CAFFE)
def test_false_alarms_of_the_numbers_of_caffe(text: str) -> None:
    shape = OF_CAFFE[text]

    def stream(seed: int) -> CaffeStream:
        return CaffeStream(EngineState.seeded(seed), int(np.prod(shape)), np.dtype(np.float32))

    assert alarms(text, shape, np.float32, stream) in expected(text)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("text", ['type: "gaussian" mean: 1 std: 0.02', 'type: "orthogonal"', 'type: "msra"'])
def test_false_alarms_of_other_dtypes(text: str, dtype: Any) -> None:
    assert alarms(text, (13, 9), dtype) in range(1, MOST + 1)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_other_frameworks_are_judged(name: str) -> None:
    fields = {"jax.constant": " value: 2", "torch.constant_": " value: 2", "jax.variance_scaling": None}
    if fields.get(name, "") is None:
        pytest.skip("it has no defaults")
    text = f'type: "{name}"{fields.get(name, "")}'
    shape = (8, 4, 3, 3) if "dirac" in name else (24, 12)
    assert not any(is_alarm(looked(text, filled(text, shape, seed, np.float32)), 1e-4) for seed in range(5))


def spread(text: str, factor: float) -> str:
    """The filler with another standard deviation."""
    if "variance_scaling" in text or "orthogonal" in text:
        power = 1 if "orthogonal" in text else 2
        value = float((re.search(r"value: (\S+)", text) or ["", "1"])[1])
        return re.sub(r" value: \S+", "", text) + f" value: {value * factor**power}"
    if "std" in text:
        return re.sub(r"std: (\S+)", lambda found: f"std: {float(found[1]) * factor}", text)
    if "uniform" in text:
        return 'type: "uniform" min: -0.104 max: 0.304'
    kind, scale = ("uniform", 1.0) if "xavier" in text else ("gaussian", 2.0)
    norm = re.search(r"variance_norm: \S+", text)
    return f'type: "variance_scaling_{kind}" value: {scale * factor**2} {norm[0] if norm else ""}'


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("text", [text for text in SCALED if "sparse" not in text])
def test_a_std_that_is_wrong_by_2_percent_is_found_in_100000_values(text: str, dtype: Any) -> None:
    shape = (80, 50, 5, 5)
    wrong = spread(text, 1.02)
    assert distribution_of(wrong, shape).std == pytest.approx(distribution_of(text, shape).std * 1.02, rel=0.02)
    assert all(is_alarm(looked(text, filled(wrong, shape, seed, dtype)), 1e-3 / 300) for seed in range(4))


def test_of_sparse_values_those_that_are_kept_count() -> None:
    text, wrong, shape = 'type: "gaussian" sparse: 50', 'type: "gaussian" std: 1.02 sparse: 50', (100, 2000)
    assert all(is_alarm(looked(text, filled(wrong, shape, seed, np.float32)), 1e-3 / 300) for seed in range(4))
    denser = 'type: "gaussian" sparse: 52'
    found = looked(text, filled(denser, shape, 1, np.float32))
    assert found.judgement is not None
    assert {test.name: test.probability < 1e-6 for test in found.judgement.tests} == {
        "zeros": True,
        "mean": False,
        "variance": False,
        "distribution": False,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "text",
    [
        'type: "uniform" min: 1e6 max: 1000000.5',
        'type: "gaussian" mean: 1000 std: 0.01',
        'type: "gaussian" std: 3e-8',
        'type: "gaussian" std: 1e-44',
        'type: "gaussian" mean: 1 std: 0.004 sparse: 60',
    ],
)
def test_distributions_that_a_dtype_holds_coarsely(text: str, dtype: Any) -> None:
    if dtype == np.float16 and "1e6" in text:
        pytest.skip("float16 ends before")
    assert not any(is_alarm(looked(text, filled(text, (120, 50), seed, dtype)), 1e-3) for seed in range(10))


@pytest.mark.parametrize("text", ['type: "uniform" min: 100 max: 100.001', 'type: "uniform" min: -100.002 max: -100'])
def test_the_rounded_middle_of_a_narrow_interval_is_no_alarm(text: str) -> None:
    assert not any(is_alarm(looked(text, filled(text, (500, 500), seed, np.float32)), 1e-3) for seed in range(3))
    wider = text.replace("100.00", "100.01")
    assert is_alarm(looked(text, filled(wider, (500, 500), 1, np.float32)), 1e-6)


def test_values_of_another_distribution_with_the_same_moments_are_found() -> None:
    text = 'type: "gaussian" std: 0.5'
    other = f'type: "uniform" min: {-(0.75**0.5)} max: {0.75**0.5}'
    found = looked(text, filled(other, (100, 300), 1, np.float32)).judgement
    assert found is not None
    assert {test.name: test.probability < 1e-6 for test in found.tests}["distribution"]


def test_values_beyond_the_bounds_are_ruled_out() -> None:
    values = np.linspace(-0.1, 0.3, 1000, dtype=np.float32)
    values[500] = 0.31
    found = looked('type: "uniform" min: -0.1 max: 0.3', array(values)).judgement
    assert found is not None
    assert found.faults == ("values reach 0.31, and none lies above 0.3",)
