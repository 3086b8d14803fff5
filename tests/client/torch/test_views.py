"""Figures of the values of tensors, many at once."""

import math
from itertools import repeat
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.frameworks
torch = pytest.importorskip("torch")

from filler_client.torch import _views  # noqa: E402
from filler_client.torch._views import measured, pooled  # noqa: E402

RNG = np.random.default_rng(1701)
LARGE = 1 << 16


def normal(*shape: int, mean: float = 0.0, std: float = 1.0) -> Any:
    return torch.from_numpy(RNG.normal(mean, std, shape))


def nbytes(tensor: Any) -> int:
    return int(tensor.untyped_storage().nbytes())


def figures(*tensors: Any) -> list[tuple[float, float] | None]:
    return [pooled([moments]) for moments in measured(tensors)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32"])
def test_they_are_those_of_numpy_in_double_precision(dtype: str) -> None:
    # More than are looked at together, of both kinds, in turn.
    tensors = [
        (100 * normal(*shape, mean=index / 8)).to(getattr(torch, dtype))
        for index in range(70)
        for shape in ((), (7,), (3, 5), (8192,), (64, 128, 2))
    ]
    for tensor, found in zip(tensors, figures(*tensors), strict=True):
        values = tensor.double().numpy().reshape(-1)
        if values.size > 8192:
            values = values.reshape(8, -1)[:, :1024]
        assert found == pytest.approx((values.mean(), values.std()), rel=1e-5, abs=1e-4)


def test_tensors_of_several_data_types_are_looked_at_together() -> None:
    tensors = [normal(*shape).to(dtype) for dtype in (torch.float32, torch.float64) for shape in ((9,), (1 << 14,))]
    for found, tensor in zip(figures(*tensors), tensors, strict=True):
        assert found == pytest.approx(figures(tensor)[0], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("count", [1, 300, LARGE])
def test_equal_values_have_no_deviation(dtype: str, count: int) -> None:
    value = torch.full((count,), 0.1, dtype=getattr(torch, dtype))
    first, _, last = figures(value, normal(5), value)
    assert first == last == (float(value[0]), 0.0)


@pytest.mark.parametrize("count", [300, LARGE])
@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-12, 1e25, 1e38])
def test_single_precision_loses_none_to_its_range(count: int, scale: float) -> None:
    tensor = (scale * torch.linspace(-1, 1, count, dtype=torch.float64)).float()
    ((mean, std),) = figures(tensor)  # type: ignore[misc]
    assert std == pytest.approx(scale / math.sqrt(3), rel=2e-2)
    assert abs(mean) < scale / 8


@pytest.mark.parametrize("count", [300, LARGE])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_value_that_is_not_finite_spoils_no_other_tensor(count: int, value: float) -> None:
    good, bad = normal(count).float(), normal(count).float()
    bad[0] = value
    first, found, last = figures(good, bad, good)
    assert first == last
    assert first is not None
    assert first[1] == pytest.approx(1, rel=0.2)
    assert found is not None
    assert math.isnan(found[1])


def test_a_sample_comes_from_all_over_a_large_tensor() -> None:
    ramp = torch.arange(1 << 20).float()
    for tensor in (ramp, ramp.view(1024, 1024).t(), torch.stack([ramp, -ramp], 1)[:, 0]):
        ((mean, std),) = figures(tensor)  # type: ignore[misc]
        assert (mean, std) == pytest.approx((ramp.mean().item(), ramp.std().item()), rel=0.15)


def test_no_copy_of_a_large_tensor_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    monkeypatch.setattr(_views, "_moments", lambda _, samples: held.extend(map(nbytes, samples)) or repeat((1, 0, 0)))
    large = torch.zeros(1024, 1024)
    measured([large.t(), large.double().t(), large.bfloat16().t()])
    assert sum(held) <= 3 * 8 * 8192


def test_parts_count_by_their_values() -> None:
    parts = [normal(2, 3), normal(50, mean=3, std=2), normal(9, mean=-1)]
    values = torch.cat([part.flatten() for part in parts])
    found = pooled(measured(parts))
    assert found == pytest.approx((values.mean().item(), values.std(correction=0).item()))
    assert pooled(measured([torch.full((count,), 0.1) for count in (3, 4, 7)])) == (float(torch.tensor(0.1)), 0.0)
    assert pooled([]) is None
    assert measured([]) == []
