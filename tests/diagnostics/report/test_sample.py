"""Samples taken of tensors while they are read."""

import numpy as np
import pytest

from filler_server.diagnostics.report.sample import MOST_VALUES, BlobSample, layout, spread_places
from filler_server.tensors import ArrayTensor


def test_a_sample_is_taken_while_all_blocks_pass() -> None:
    values = np.arange(3 * 128 * 1024, dtype=np.float32).reshape(3 * 128, 1024)
    sample = BlobSample(ArrayTensor("w", values))
    assert np.array_equal(np.concatenate([block.copy() for block in sample.blocks()]), values.ravel())
    assert sample.spread.size == MOST_VALUES
    assert np.array_equal(sample.spread, spread_places(values.size))
    assert sample.layout is not None
    assert sample.shown is not None
    assert sample.shown.shape == (96, 192)
    assert sample.shown[1, 3] == 4 * 1024 + 3 * 1024 // 192


def test_places_are_even_and_meet_no_period() -> None:
    places = spread_places(1 << 22)
    assert (np.diff(places) > 0).all()
    assert places[-1] < 1 << 22
    for period in (2, 16, 64, 1000):
        shares = np.bincount(places % period, minlength=period) / places.size
        assert shares == pytest.approx(1 / period, rel=0.25)


def test_filters_are_shown_of_convolutions() -> None:
    found = layout((96, 3, 11, 11))
    assert found is not None
    assert found.places.shape == (64, 3, 11, 11)
    assert np.array_equal(found.places.ravel(), np.arange(64 * 363))
    found = layout((8, 5, 3, 2))
    assert found is not None
    assert found.places.shape == (8, 1, 3, 2)
    assert found.places[1, 0, 0, 0] == 30
    assert "the first of 5 input channels" in found.caption


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((), None),
        ((0, 4), None),
        ((1,), None),
        ((7,), "bars"),
        ((1, 9), "bars"),
        ((4, 5), "matrix"),
        ((4, 5, 1, 1), "matrix"),
    ],
)
def test_other_shapes(shape: tuple[int, ...], kind: str | None) -> None:
    found = layout(shape)
    assert (None if found is None else found.kind) == kind


def test_a_large_shape_costs_no_memory() -> None:
    found = layout((1 << 20, 1 << 10, 1 << 12, 1 << 12))
    assert found is not None
    assert found.places.size == 64 * 32 * 32
