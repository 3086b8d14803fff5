import numpy as np
import pytest

from caffe_filler.errors import ShapeError
from caffe_filler.shapes import CAFFE_MAX_COUNT, MAX_AXES, MAX_COUNT, check_array_shape, check_shape


def test_shapes_that_a_blob_has() -> None:
    assert check_shape([]) == ()
    assert check_shape(list(np.array([2, 3], np.int32))) == (2, 3)
    assert all(type(dim) is int for dim in check_shape(list(np.array([2, 3], np.uint8))))
    assert check_shape([1] * MAX_AXES) == (1,) * MAX_AXES
    assert check_shape([MAX_COUNT]) == (MAX_COUNT,)
    assert check_shape([CAFFE_MAX_COUNT, 2]) == (CAFFE_MAX_COUNT, 2)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([1] * (MAX_AXES + 1), "a blob has at most 32 axes. Received: 33 axes"),
        ([0], "every dimension of a blob is at least 1. Received: shape=[0]"),
        ([3, -1], "every dimension of a blob is at least 1. Received: shape=[3, -1]"),
        ([MAX_COUNT + 1], f"at most {MAX_COUNT} values. Received: shape=[{MAX_COUNT + 1}]"),
        ([2**30, 2**31], f"at most {MAX_COUNT} values. Received: shape=[{2**30}, {2**31}]"),
        ([2.0], "the dimensions of a blob are integers. Received: shape=[2.0]"),
        ([True, 2], "the dimensions of a blob are integers. Received: shape=[True, 2]"),
        (["3"], "the dimensions of a blob are integers. Received: shape=['3']"),
    ],
)
def test_shapes_that_no_blob_has(shape: list[int], words: str) -> None:
    with pytest.raises(ShapeError) as caught:
        check_shape(shape)
    assert str(caught.value).endswith(words)
    assert caught.value.field == "shape"


def test_the_limits() -> None:
    assert MAX_COUNT * 8 < 2**63 <= (MAX_COUNT + 1) * 8
    assert np.iinfo(np.int32).max == CAFFE_MAX_COUNT


def test_shapes_of_arrays() -> None:
    assert check_array_shape([0, 3]) == (0, 3)
    assert check_array_shape([1] * 64) == (1,) * 64
    for shape in ([-1], [10**30, 0], [2**32, 2**32], [1] * 65, [True], [2.0]):
        with pytest.raises(ShapeError):
            check_array_shape(shape)
