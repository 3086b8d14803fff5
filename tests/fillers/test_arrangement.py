"""Weights whose axes are not Caffe's: fans, places, and each filler that depends on them."""

import hashlib
from math import prod, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.axes import FanAxes
from caffe_filler.errors import FillerError, FillerParameterError, InvalidArgument, ShapeError
from caffe_filler.filler_types import CAFFE_FILLERS, OWN_FILLERS
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.fillers import register, registered
from filler_server.fillers.arrangement import Arrangement, arrangement
from filler_server.fillers.base import Filler
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.philox import PhiloxStream
from tests.fillers.streams import STREAM, filler_of
from tests.flat_index import FlatIndex
from tests.regions import regions

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
PLACED = ["orthogonal", "identity", "dirac", "bilinear"]


def blob(
    filler: str, shape: tuple[int, ...], layout: str | None, region: Region | None = None, **other: Any
) -> FilledBlob:
    text = filler if ":" in filler else f'type: "{filler}"'
    axes = None if layout is None else FanAxes.from_layout(layout, shape)
    dtype, random = other.get("dtype", FLOAT32), other.get("random", STREAM)
    return FilledBlob("w", filler_of(text), random, region or Region.whole(shape), dtype, shape=shape, axes=axes)


def values(filler: str, shape: tuple[int, ...], layout: str | None, region: Region | None = None, **other: Any) -> Any:
    tensor = blob(filler, shape, layout, region, **other)
    out = np.empty(tensor.count, tensor.dtype)
    tensor.read(0, out)
    return out.reshape(tensor.shape)


def as_weights(array: Any, layout: str) -> Any:
    """Return a blob as [weights, outputs, inputs, kernel...], by NumPy."""
    axes, shape = FanAxes.from_layout(layout, array.shape), array.shape
    order = (*axes.stacks, *axes.outputs, *axes.inputs, *axes.kernel(len(shape)))
    return array.transpose(order).reshape(axes.stack_count(shape), *axes.weight_shape(shape))


words = st.lists(st.sampled_from(["in", "out", "stack", "kernel"]), min_size=1, max_size=5)


@given(st.data(), words)
def test_places_are_those_of_a_transposed_array(data: Any, layout: list[str]) -> None:
    shape = tuple(data.draw(st.integers(1, 4)) for _ in layout)
    found = Arrangement(shape, FanAxes.from_layout(",".join(layout), shape))
    indices = np.arange(prod(shape)).reshape(shape)
    want = as_weights(indices, ",".join(layout)).reshape(found.stacks, -1)
    assert want.shape[1] == found.count == prod(found.shape)
    weight, within = found.weights_of(np.arange(prod(shape)))
    assert (want[weight, within] == np.arange(prod(shape))).all()
    for number in range(found.stacks):
        start = data.draw(st.integers(0, found.count))
        places, within = found.places_of(number, start, found.count)
        assert (np.diff(places) > 0).all()
        assert (places == np.sort(want[number])[start:]).all()
        assert (want[number, within] == places).all()
    assert found.leads == all((np.diff(row) == 1).all() for row in np.sort(want))
    rows = np.sort(want.reshape(-1, found.count // found.shape[0]))
    assert found.has_rows == bool((np.diff(rows) == 1).all())
    assert found.is_caffe == bool((want.ravel() == np.arange(prod(shape))).all() and found.stacks == 1)


@pytest.mark.parametrize("filler", ["xavier", "msra", 'type: "variance_scaling_truncated" variance_norm: AVERAGE'])
@pytest.mark.parametrize(
    ("shape", "layout", "caffe"),
    [
        ((64, 128), "in,out", (128, 64)),
        ((3, 3, 16, 32), "HWIO", (32, 16, 3, 3)),
        ((6, 16, 32), "stack,in,out", (32, 16)),
        ((16, 6, 3, 32), "in,stack,out,out", (96, 16)),
        ((128,), "out", (128, 1)),
        ((2, 3, 4), "kernel,kernel,kernel", (1, 1, 24)),
    ],
)
@pytest.mark.parametrize("norm", ["FAN_IN", "FAN_OUT", "AVERAGE"])
def test_fans_are_those_of_the_weight(
    filler: str, shape: tuple[int, ...], layout: str, caffe: tuple[int, ...], norm: str
) -> None:
    """The values differ from those of a blob in Caffe's order by their scale alone, and lie in the same places."""
    text = filler if "norm" in filler else f'type: "{filler}" variance_norm: {norm}'
    theory = filler_of(text).distribution(caffe, FLOAT64)
    got, plain = values(text, shape, layout, dtype=FLOAT64), values(text, (prod(shape), 1), None, dtype=FLOAT64)
    scale = theory.std / filler_of(text).distribution((prod(shape), 1), FLOAT64).std
    np.testing.assert_allclose(got.ravel(), plain.ravel() * scale, rtol=1e-12)


def test_the_std_of_stacked_layers_is_that_of_one_layer() -> None:
    stacked = values('type: "msra"', (12, 200, 300), "stack,in,out")
    assert stacked.std() == pytest.approx(sqrt(2 / 200), rel=0.01)
    assert not (stacked[0] == stacked[1]).any()


def test_sparse_counts_outputs() -> None:
    text = 'type: "gaussian" std: 1 sparse: 2'
    assert np.mean(values(text, (500, 8), "in,out") != 0) == pytest.approx(2 / 8, abs=0.03)
    with pytest.raises(FillerParameterError, match=r"weight, \[outputs, .* = \[8, 500\]: sparse of .* must not exceed"):
        values(text.replace("2", "9"), (500, 8), "in,out")


@pytest.mark.parametrize("filler", ["constant", "uniform", "gaussian", "truncated_gaussian"])
def test_what_has_no_fans_stays_as_it_is(filler: str) -> None:
    assert values(filler, (3, 4, 5), "stack,in,out").tobytes() == values(filler, (3, 4, 5), None).tobytes()


@pytest.mark.parametrize("filler", ["xavier", "positive_unitball", "bilinear", "dirac", "orthogonal"])
def test_caffe_s_own_axes_change_nothing(filler: str) -> None:
    shape = (4, 6, 3, 3)
    for layout in ("out,in,kernel,kernel", "OIHW", "out,in,..."):
        assert values(filler, shape, layout).tobytes() == values(filler, shape, None).tobytes()


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((5, 4), "in,out"), ((3, 5, 4), "stack,in,out"), ((5, 3, 4), "in,stack,out"), ((2, 2, 3), "in,in,out")],
)
def test_identity_is_on_the_diagonal_of_each_weight(shape: tuple[int, ...], layout: str) -> None:
    for weight in as_weights(values('type: "identity" value: 2', shape, layout), layout):
        assert (weight == 2 * np.eye(*weight.shape)).all()


@pytest.mark.parametrize(
    ("shape", "layout"), [((3, 3, 5, 4), "HWIO"), ((2, 3, 4, 6, 5), "stack,H,in,W,out"), ((5, 4, 7), "in,out,kernel")]
)
def test_dirac_passes_each_channel_on(shape: tuple[int, ...], layout: str) -> None:
    for weight in as_weights(values("dirac", shape, layout), layout):
        assert (weight == values("dirac", weight.shape, None)).all()
        assert weight.sum() == min(weight.shape[:2])


@pytest.mark.parametrize(("shape", "layout"), [((5, 5, 3, 2), "HWIO"), ((2, 5, 3, 2, 5), "stack,H,in,out,W")])
def test_bilinear_is_in_the_plane_of_the_kernel(shape: tuple[int, ...], layout: str) -> None:
    for weight in as_weights(values("bilinear", shape, layout), layout):
        assert (weight == values("bilinear", weight.shape, None)).all()


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((20, 30), "in,out"),
        ((3, 20, 30), "stack,in,out"),
        ((20, 3, 30), "in,stack,out"),
        ((3, 3, 5, 40), "HWIO"),
        ((20, 30, 3), "out,in,stack"),
        ((1, 20, 30), "stack,out,in"),
    ],
)
def test_orthogonal_is_one_matrix_for_each_weight(shape: tuple[int, ...], layout: str) -> None:
    weights = as_weights(values("orthogonal", shape, layout, dtype=FLOAT64), layout)
    for weight in weights:
        matrix = weight.reshape(len(weight), -1)
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        assert np.abs(gram - np.eye(len(gram))).max() < 3e-15
    assert len({weight.tobytes() for weight in weights}) == len(weights)


def test_orthogonal_begins_with_the_normal_values_in_its_places() -> None:
    """The first vector is the first row, or column, of the normal values of the blob, of length 1."""
    normal = as_weights(values("gaussian", (20, 3, 30), None, dtype=FLOAT64), "in,stack,out")
    weights = as_weights(values("orthogonal", (20, 3, 30), "in,stack,out", dtype=FLOAT64), "in,stack,out")
    for weight, start in zip(weights, normal, strict=True):
        np.testing.assert_allclose(weight[:, 0], start[:, 0] / np.linalg.norm(start[:, 0]), rtol=1e-12)


def test_the_sums_of_positive_unitball_run_over_consecutive_values() -> None:
    for shape, layout in (((3, 4, 5), "stack,out,in"), ((4, 3, 5), "out,stack,in"), ((4, 5, 1), "out,in,stack")):
        weights = as_weights(values("positive_unitball", shape, layout, dtype=FLOAT64), layout)
        np.testing.assert_allclose(weights.reshape(-1, 5).sum(axis=1), 1)
    with pytest.raises(
        InvalidArgument, match="must follow each other in the blob: its stacks and outputs come before"
    ) as caught:
        values("positive_unitball", (5, 4), "in,out")
    assert caught.value.field == "axes"
    assert "filler type 'positive_unitball', [outputs, inputs, kernel...] = [4, 5]" in str(caught.value)


@pytest.mark.parametrize(
    ("filler", "shape", "layout", "seen"),
    [
        ("identity", (3, 4, 5), "kernel,in,out", [5, 4, 3]),
        ("dirac", (4, 5), "in,out", [5, 4]),
        ("bilinear", (4, 3, 2, 2), "HWIO", [2, 2, 4, 3]),
    ],
)
def test_refusals_say_how_the_filler_sees_the_blob(
    filler: str, shape: tuple[int, ...], layout: str, seen: list[int]
) -> None:
    with pytest.raises(ShapeError) as caught:
        values(filler, shape, layout)
    assert f"[outputs, inputs, kernel...] = {seen}: filler type '{filler}'" in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([*PLACED, "xavier", "positive_unitball"]))
def test_any_region_is_a_part_of_the_whole(data: Any, filler: str) -> None:
    shape, layout = data.draw(
        st.sampled_from([((3, 3, 4, 5), "HWIO"), ((3, 4, 3, 2), "H,in,W,out"), ((2, 4, 3, 3), "stack,in,H,W")])
        if filler in ("dirac", "bilinear")
        else st.sampled_from([((4, 5), "out,in"), ((2, 3, 4), "out,stack,in"), ((3, 4, 5), "stack,out,in")])
        if filler == "positive_unitball"
        else st.sampled_from([((4, 5), "in,out"), ((2, 3, 4), "in,stack,out"), ((3, 4, 5), "stack,in,out")])
    )
    region = data.draw(regions(shape))
    dtype = data.draw(st.sampled_from([FLOAT32, FLOAT64]))
    whole = values(filler, shape, layout, dtype=dtype)
    window = tuple(slice(s, s + n) for s, n in zip(region.starts, region.shape, strict=True))
    want = np.ascontiguousarray(whole.reshape(region.dims)[window])
    assert values(filler, shape, layout, region, dtype=dtype).tobytes() == want.tobytes()


def test_a_shard_has_the_fan_of_the_whole() -> None:
    """A rank of tensor or expert parallelism gets what it holds of the whole, not a layer scaled by its part."""
    shape, layout = (4, 256, 384), "stack,in,out"
    whole = values("xavier", shape, layout)
    for begin in range(0, 384, 96):
        column = values("xavier", shape, layout, Region.box(shape, [(0, 4), (0, 256), (begin, begin + 96)]))
        assert column.tobytes() == whole[:, :, begin : begin + 96].tobytes()
        assert column.std() == pytest.approx(sqrt(1 / 256), rel=0.02)
    for begin in range(0, 256, 64):
        row = values("xavier", shape, layout, Region.box(shape, [(1, 2), (begin, begin + 64), (0, 384)]))
        assert row.tobytes() == whole[1:2, begin : begin + 64].tobytes()
        assert row.std() == pytest.approx(sqrt(1 / 256), rel=0.02)


def test_numbers_of_caffe_s_stream_stay_in_their_order() -> None:
    def random() -> CaffeStream:
        return CaffeStream(EngineState.seeded(5), 12, FLOAT32)

    plain = values("xavier", (12, 1), None, random=random())
    got = values("xavier", (4, 3), "in,out", random=random())
    np.testing.assert_allclose(got.ravel(), plain.ravel() * sqrt(1 / 4), rtol=1e-6)


def test_what_a_matrix_of_many_costs() -> None:
    one = 600 * 2048
    shape, layout = (8, 20, 30), "stack,in,out"
    assert blob("orthogonal", shape, layout).sequential == 8 * one
    assert blob("orthogonal", shape, layout, Region.box(shape, [(2, 4)])).sequential == 2 * one
    assert blob("orthogonal", shape, layout, Region.flat(shape, 599, 601)).sequential == 2 * one
    assert blob("orthogonal", shape, layout, Region.flat(shape, 0, 600)).sequential == one
    assert blob("orthogonal", shape, layout, Region.flat(shape, 5, 5)).sequential == 0
    assert blob("orthogonal", (20, 30, 8), "in,out,stack", Region.flat(shape, 0, 1)).sequential == 8 * one
    assert blob("orthogonal", (10**6, 1, 1), "stack,in,out").sequential >= 10**6 << 18
    assert blob("positive_unitball", (8, 20, 30), "stack,out,in", Region.box(shape, [(2, 4)])).sequential == 1200
    assert blob("xavier", shape, layout).sequential == 0


def test_a_matrix_is_computed_once_for_a_reader() -> None:
    tensor, shape = blob("orthogonal", (20, 30, 8), "in,out,stack"), (20, 30, 8)
    whole = values("orthogonal", shape, "in,out,stack").ravel()
    for start in range(0, 4800, 100):
        out = np.empty(100, np.float32)
        tensor.read(start, out)
        assert out.tobytes() == whole[start : start + 100].tobytes()
        kept = tensor._fill.__self__._kept  # type: ignore[attr-defined]
        assert kept is None if start == 4700 else len(kept[2]) == 8
    assert tensor.over(PhiloxStream(1, "other"))._fill is not tensor._fill


def test_a_filler_of_one_s_own_is_filled_in_caffe_s_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filler_server.fillers.factory._fillers", dict(registered()))

    @register
    class Placed(Filler):
        type = "placed"
        fields = ()

        def __init__(self, param: Any) -> None:
            """Take no parameter."""

        def check(self, shape: tuple[int, ...]) -> None:
            """Accept every shape."""

        def distribution(self, shape: tuple[int, ...], dtype: Any) -> Any:
            return FlatIndex()

    assert (values("placed", (3, 4), "out,in") == np.arange(12).reshape(3, 4)).all()
    for shape, layout in (((3, 4), "in,out"), ((2, 3, 4), "stack,out,in")):
        with pytest.raises(FillerError, match=r"filler type 'placed', .*are filled in Caffe's order alone") as caught:
            values("placed", shape, layout)
        assert caught.value.field == "axes"


FROZEN = {
    ("msra", "stack,in,out"): "c674b0aca80c1256",
    ("orthogonal", "stack,in,out"): "d1540349e9bb7dd9",
    ("orthogonal", "in,stack,out"): "44a5e2e4c5a0d20d",
}


@pytest.mark.parametrize(("filler", "layout"), FROZEN)
def test_values_are_the_frozen_ones(filler: str, layout: str) -> None:
    got = hashlib.sha256(values(filler, (3, 10, 7), layout).astype("<f4").tobytes()).hexdigest()[:16]
    assert got == FROZEN[filler, layout]


def test_arrangements_are_made_once() -> None:
    assert arrangement((3, 4), FanAxes(0, 1)) is arrangement((3, 4), FanAxes(0, 1))


def test_every_filler_but_that_of_rows_takes_another_layout() -> None:
    """A distribution of values that do not depend on their places is entered in `_WITHOUT_PLACES` of the backend."""
    refused = set()
    for name in (*CAFFE_FILLERS, *OWN_FILLERS):
        shape, layout = ((6, 5), "in,out") if name == "identity" else ((3, 3, 4, 4), "HWIO")
        try:
            blob(name, shape, layout)
        except InvalidArgument:
            refused.add(name)
    assert refused == {"positive_unitball"}
