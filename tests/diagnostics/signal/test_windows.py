"""Windows and profiles, held to counts by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient
from filler_server.diagnostics.signal.moments import APART, CROSS, NEAR, OTHER, UNITS
from filler_server.diagnostics.signal.windows import Axis, apart, averaged, blended, flattened, met, pairs, summed


@pytest.mark.parametrize(
    "axis", [Axis(7, 5, 3, 1, 0), Axis(7, 7, 3, 1, 1), Axis(8, 4, 3, 2, 1), Axis(9, 5, 3, 1, 0, 2), Axis(3, 9, 7, 1, 6)]
)
def test_pairs_are_those_of_a_loop(axis: Axis) -> None:
    places = [
        window * axis.stride - axis.pad + tap * axis.dilation
        for window in range(axis.windows)
        for tap in range(axis.kernel)
    ]
    inside = sum(0 <= place < axis.extent for place in places)
    assert pairs(axis) == inside
    taps, _ = summed([axis], None)
    assert taps == pytest.approx(inside / axis.windows)
    back, _ = summed([axis], None, back=True)
    assert back == pytest.approx(inside / axis.extent)
    assert met([axis], (np.ones(axis.extent),), None) == pytest.approx(inside)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(
    "windows",
    [
        (Axis(7, 5, 3, 1, 0), Axis(6, 6, 3, 1, 1)),
        (Axis(8, 4, 3, 2, 1), Axis(8, 4, 1, 2, 0)),
        (Axis(9, 5, 3, 1, 0, 2), Axis(4, 4, 3, 1, 1)),
    ],
)
def test_two_sums_share_the_taps_that_both_have(windows: tuple[Axis, Axis], back: bool) -> None:
    def taps(axis: Axis) -> NDArray[np.int64]:
        """Return which place has which tap: of windows, those within the input; of the input, those of windows."""
        found = np.zeros((axis.extent if back else axis.windows, axis.kernel), np.int64)
        for window in range(axis.windows):
            for tap in range(axis.kernel):
                place = window * axis.stride - axis.pad + tap * axis.dilation
                if 0 <= place < axis.extent:
                    found[place if back else window, tap] += 1
        return found

    rows, columns = map(taps, windows)
    both = np.einsum("at,bs->abts", rows, columns).reshape(len(rows) * len(columns), -1)
    common = both @ both.T
    mean = float(np.trace(common)) / len(common)
    others = (common.sum() - np.trace(common)) / (len(common) * (len(common) - 1))
    found = apart(windows, back=back)
    assert found[[APART, OTHER]] == pytest.approx(1 - others / mean)
    assert not found[[CROSS, UNITS]].any()
    means = [((part[1:] * part[:-1]).sum() / (len(part) - 1), part.sum() / len(part)) for part in (rows, columns)]
    assert found[NEAR] == pytest.approx(1 - sum(beside / alone for beside, alone in means) / 2)


def test_without_padding_all_places_are_alike() -> None:
    assert summed([Axis(7, 5, 3, 1, 0)] * 2, None) == (9.0, None)


def test_a_profile_follows_the_border() -> None:
    axis = Axis(4, 4, 3, 1, 1)
    taps, profile = summed([axis], None)
    assert taps == 2.5
    assert profile is not None
    assert profile[0] == pytest.approx(np.array([2, 3, 3, 2]) / 2.5)
    taps, again = summed([axis], profile)
    assert taps == pytest.approx((5 + 8 + 8 + 5) / 2.5 / 4)
    assert again is not None
    assert again[0] == pytest.approx(np.array([5, 8, 8, 5]) / 6.5)


def test_windows_too_large_for_a_table_are_flat() -> None:
    axis = Axis(100_000, 100_000, 3, 1, 1)
    assert summed([axis], None) == (pytest.approx(3, abs=1e-4), None)
    assert averaged([axis], (np.ones(100_000),)) == (None,)


def test_profiles_blend_by_mean_squares() -> None:
    made = blended([(1.0, (np.array([0.5, 1.5]),)), (3.0, None)])
    assert made is not None
    assert made[0] == pytest.approx([0.875, 1.125])
    assert blended([(1.0, None), (2.0, None)]) is None


def test_a_flattened_profile_keeps_its_mean() -> None:
    made = flattened((np.array([0.6, 1.4]), None), 0.5)
    assert made is not None
    assert made[0] == pytest.approx([0.8, 1.2])
    assert made[1] is None
    assert flattened(None, 0.5) is None


def test_places_that_no_window_meets_count_as_zeros() -> None:
    # As in an FCN, which pads by 100; simulated: 73.6, 86.8, 70.8, 73.8, 86.9 and 0 %.
    net = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [4, 3, 36, 36] } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 8 kernel_size: 3 pad: 20 weight_filler { type: "msra" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "r" }
layer { name: "d" type: "Convolution" bottom: "r" top: "d"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "s" type: "ReLU" bottom: "d" top: "s" }
layer { name: "p" type: "Pooling" bottom: "s" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "o" type: "Dropout" bottom: "p" top: "o" }
layer { name: "e" type: "Convolution" bottom: "o" top: "e" convolution_param { num_output: 8 kernel_size: 3 pad: 1
  weight_filler { type: "msra" } bias_filler { type: "constant" value: 0.1 } } }
"""
    found = {value.top: value.zeros for value in FillerClient.embedded().signal(net).values}
    assert [found[name] for name in "crdpoe"] == pytest.approx([0.736, 0.868, 0.708, 0.738, 0.869, 0], abs=0.02)
