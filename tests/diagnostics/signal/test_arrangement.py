"""Crop and Slice of values that are not alike everywhere: exact numbers, by counts of windows or by parts."""

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient

ROWS, CHANNELS, OUTPUTS, EXTENT, KERNEL, PAD, VARIANCE = 8, 4, 6, 6, 3, 7, 0.25
WIDE = EXTENT + 2 * PAD - KERNEL + 1

NET = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [{ROWS}, {CHANNELS}, {EXTENT}, {EXTENT}] }} }} }}
layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{
  num_output: {OUTPUTS} kernel_size: {KERNEL} pad: {PAD} weight_filler {{ type: "gaussian" std: {VARIANCE**0.5} }} }} }}
"""
LOSS = 'layer { name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 }\n'


def meetings(kept: range) -> NDArray[np.int64]:
    """Return which windows that are kept meet which places of x along one axis by which tap: [window, place, tap]."""
    places, taps = np.arange(EXTENT)[:, None], np.arange(KERNEL)
    return np.array([(window - PAD + taps == places).astype(int) for window in kept])


def expected(rows: range, columns: range) -> dict[str, float]:
    """Return the mean square of the windows that are kept, and of the gradients where a loss is the sum of these."""
    first, second = meetings(rows).sum((1, 2)), meetings(columns).sum((1, 2))
    number = len(rows) * len(columns)
    met = float(first.sum() * second.sum())
    return {
        "y": VARIANCE * CHANNELS * met / number,
        "c": number / WIDE**2,
        "x": VARIANCE * OUTPUTS * met / EXTENT**2,
        "c/0": ROWS * met / KERNEL**2,
    }


@pytest.mark.parametrize(("offset", "extent"), [(PAD - 1, EXTENT), (0, 9), (9, 5)])
def test_a_crop_keeps_what_its_places_have(offset: int, extent: int) -> None:
    crop = f"""
layer {{ name: "size" type: "DummyData" top: "size" dummy_data_param {{ shape {{ dim: [1, 1, {extent}, 8] }} }} }}
layer {{ name: "y" type: "Crop" bottom: "c" bottom: "size" top: "y" crop_param {{ offset: {offset} offset: 6 }} }}
"""
    report = FillerClient.embedded().signal(NET + crop + LOSS)
    found, wanted = (
        {value.top: value for value in report.values},
        expected(range(offset, offset + extent), range(6, 14)),
    )
    assert found["y"].mean_square == pytest.approx(wanted["y"], rel=1e-6)
    assert found["c"].gradient_mean_square == pytest.approx(wanted["c"])
    assert found["x"].gradient_mean_square == pytest.approx(wanted["x"], rel=1e-6)
    assert report.parameters[0].gradient_mean_square == pytest.approx(wanted["c/0"], rel=1e-6)


def test_gradients_of_places_that_go_together_are_not_known_where_these_are_uneven() -> None:
    crop = """
layer { name: "size" type: "DummyData" top: "size" dummy_data_param { shape { dim: [1, 1, 6, 6] } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "r" }
layer { name: "y" type: "Crop" bottom: "r" bottom: "size" top: "y" crop_param { offset: 6 } }
"""
    report = FillerClient.embedded().signal(NET + crop + LOSS)
    found, wanted = {value.top: value for value in report.values}, expected(range(6, 12), range(6, 12))
    assert found["y"].mean_square == pytest.approx(wanted["y"] / 2, rel=1e-6)
    assert found["r"].gradient_mean_square is None
    assert any("layer 'y': values at the places that it keeps are larger or smaller" in note for note in report.notes)


def test_a_slice_of_places_has_what_these_have() -> None:
    pieces = [range(6), range(6, 11), range(11, WIDE)]
    sliced = """layer { name: "slice" type: "Slice" bottom: "c" top: "a" top: "y" top: "b"
  slice_param { axis: 2 slice_point: 6 slice_point: 11 } }
"""
    report = FillerClient.embedded().signal(NET + sliced + LOSS)
    found = {value.top: value for value in report.values}
    for top, rows in zip("ayb", pieces, strict=True):
        assert found[top].mean_square == pytest.approx(expected(rows, range(WIDE))["y"], rel=1e-6), top
    wanted = expected(pieces[1], range(WIDE))
    assert found["c"].gradient_mean_square == pytest.approx(wanted["c"])
    assert found["x"].gradient_mean_square == pytest.approx(wanted["x"], rel=1e-6)
    assert report.parameters[0].gradient_mean_square == pytest.approx(wanted["c/0"], rel=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_slice_of_a_concat_has_the_parts_that_lie_in_it(axis: int) -> None:
    # Along the axis there are four values of x and four of 10 x: the second of three pieces has two of each.
    net = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [4, 4, 3, 3] }} }} }}
layer {{ name: "p" type: "Power" bottom: "x" top: "p" power_param {{ scale: 10 }} }}
layer {{ name: "c" type: "Concat" bottom: "x" bottom: "p" top: "c" concat_param {{ axis: {axis} }} }}
layer {{ name: "s" type: "Slice" bottom: "c" top: "a" top: "b" top: "y"
  slice_param {{ axis: {axis} slice_point: 2 slice_point: 6 }} }}
"""
    found = {value.top: value.mean_square for value in FillerClient.embedded().signal(net + LOSS).values}
    assert [found[name] for name in ("c", "a", "b", "y")] == pytest.approx([50.5, 1, 50.5, 100])


@pytest.mark.parametrize("axis", [0, 1])
def test_each_part_of_a_concat_gets_its_own_gradient_where_slices_tell_them_apart(axis: int) -> None:
    # Simulated: 0.50, 449 and 218 forward; 1.5e-3 and 1.66e-6 come back to x and p.
    net = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [32, 16, 4, 4] }} }} }}
layer {{ name: "z" type: "Input" top: "z" input_param {{ shape {{ dim: [32, 16, 4, 4] }} }} }}
layer {{ name: "p" type: "Power" bottom: "z" top: "p" power_param {{ scale: 30 }} }}
layer {{ name: "c" type: "Concat" bottom: "x" bottom: "p" top: "c" concat_param {{ axis: {axis} }} }}
layer {{ name: "r" type: "ReLU" bottom: "c" top: "r" }}
layer {{ name: "s" type: "Slice" bottom: "r" top: "a" top: "b" slice_param {{ axis: {axis} }} }}
layer {{ name: "m" type: "Eltwise" bottom: "a" bottom: "b" top: "m" eltwise_param {{ operation: PROD }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "m" top: "ip"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: 32 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""
    found = {value.top: value for value in FillerClient.embedded().signal(net).values}
    assert [found[name].mean_square for name in "abm"] == pytest.approx([0.5, 450, 225])
    back = [found[name].gradient_mean_square for name in "xpc"]
    assert back == pytest.approx([1.5e-3, 1.66e-6, 7.6e-4], rel=0.1)


def test_parts_of_a_concat_along_places_get_what_comes_to_theirs() -> None:
    # A window of 3 meets each of the first rows less often; simulated: 1.19 and 2.25 (16 seeds).
    net = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [8, 4, 2, 6] } } }
layer { name: "z" type: "Input" top: "z" input_param { shape { dim: [8, 4, 10, 6] } } }
layer { name: "c" type: "Concat" bottom: "x" bottom: "z" top: "c" concat_param { axis: 2 } }
layer { name: "y" type: "Convolution" bottom: "c" top: "y"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.5 } } }
"""
    found = {value.top: value.gradient_mean_square for value in FillerClient.embedded().signal(net + LOSS).values}
    # Taps that meet a place: 1.5 of the rows of x and 2.7 of those of z on average, 2 of the columns.
    assert [found[name] for name in "xzc"] == pytest.approx([1.5 * 3, 2.7 * 3, 2.5 * 3])


def test_gradients_of_parts_add_up_part_by_part() -> None:
    # One loss reads the whole Concat, the other its first quarter, 10 times as much.
    net = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [4, 2, 3, 3] } } }
layer { name: "z" type: "Input" top: "z" input_param { shape { dim: [4, 2, 3, 3] } } }
layer { name: "c" type: "Concat" bottom: "x" bottom: "z" top: "c" }
layer { name: "s" type: "Slice" bottom: "c" top: "a" top: "b" slice_param { slice_point: 1 } }
layer { name: "all" type: "Reduction" bottom: "c" top: "all" loss_weight: 1 }
layer { name: "first" type: "Reduction" bottom: "a" top: "first" loss_weight: 10 }
layer { name: "drop" type: "Silence" bottom: "b" }
"""
    found = {value.top: value.gradient_mean_square for value in FillerClient.embedded().signal(net).values}
    assert [found[name] for name in "xzc"] == pytest.approx([51, 1, 26])


NORMALIZED = """
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [32, 16, 4, 4] }} }} }}
layer {{ name: "z" type: "Input" top: "z" input_param {{ shape {{ dim: [32, 16, 4, 4] }} }} }}
layer {{ name: "p" type: "Power" bottom: "z" top: "p" power_param {{ scale: 30 }} }}
layer {{ name: "c" type: "Concat" bottom: "x" bottom: "p" top: "c" }}
layer {{ name: "n" type: "{kind}" bottom: "c" top: "n" }}
layer {{ name: "r" type: "ReLU" bottom: "n" top: "r" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "r" top: "ip"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: 32 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""


@pytest.mark.parametrize(("kind", "x", "p"), [("BatchNorm", 9.04e-7, 1.01e-9), ("MVN", 9.8e-7, 1.11e-9)])
def test_channels_of_a_concat_are_normalized_each_by_its_own_variance(kind: str, x: float, p: float) -> None:
    # As in a DenseNet; gradients as simulated, with 16 seeds.
    found = {value.top: value for value in FillerClient.embedded().signal(NORMALIZED.format(kind=kind)).values}
    assert [found[name].gradient_mean_square for name in "xp"] == pytest.approx([x, p], rel=0.2)
    assert found["r"].mean_square == pytest.approx(0.5, rel=0.01)


def test_a_slice_after_a_pooling_has_its_own_part() -> None:
    # Simulated: 2.30 and 2077 forward; 3.6e-3 and 3.9e-6 come back to x and p.
    net = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [32, 16, 8, 8] } } }
layer { name: "z" type: "Input" top: "z" input_param { shape { dim: [32, 16, 8, 8] } } }
layer { name: "p" type: "Power" bottom: "z" top: "p" power_param { scale: 30 } }
layer { name: "c" type: "Concat" bottom: "x" bottom: "p" top: "c" }
layer { name: "r" type: "Pooling" bottom: "c" top: "r" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "s" type: "Slice" bottom: "r" top: "a" top: "b" }
layer { name: "m" type: "Eltwise" bottom: "a" bottom: "b" top: "m" eltwise_param { operation: PROD } }
layer { name: "ip" type: "InnerProduct" bottom: "m" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 32 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
    found = {value.top: value for value in FillerClient.embedded().signal(net).values}
    assert [found[name].mean_square for name in "ab"] == pytest.approx([2.3, 2077], rel=0.1)
    assert [found[name].gradient_mean_square for name in "xp"] == pytest.approx([3.6e-3, 3.9e-6], rel=0.1)


@pytest.mark.parametrize(("layer", "first", "second"), [('type: "PReLU"', 0.534, 464), ('type: "LRN"', 0.287, 0.0486)])
def test_a_slice_after_other_layers_has_its_own_part(layer: str, first: float, second: float) -> None:
    # As simulated; the channels of a LRN have some of the other part as neighbors.
    net = f"""
layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: [32, 16, 4, 4] }} }} }}
layer {{ name: "z" type: "Input" top: "z" input_param {{ shape {{ dim: [32, 16, 4, 4] }} }} }}
layer {{ name: "p" type: "Power" bottom: "z" top: "p" power_param {{ scale: 30 }} }}
layer {{ name: "c" type: "Concat" bottom: "x" bottom: "p" top: "c" }}
layer {{ name: "n" bottom: "c" top: "n" {layer} }}
layer {{ name: "s" type: "Slice" bottom: "n" top: "a" top: "b" }}
"""
    found = {value.top: value for value in FillerClient.embedded().signal(net).values}
    assert [found[name].mean_square for name in "ab"] == pytest.approx([first, second], rel=0.2)
