import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers import fans


@pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"),
    [
        ((20, 1, 5, 5), 25, 500),
        ((64, 3, 7, 7), 147, 64 * 49),
        ((500, 800), 800, 500),
        ((11,), 1, 11),
        ((4, 3, 3, 5, 7), 315, 420),
        ((1,), 1, 1),
        ((65536, 65536), 65536, 65536),
    ],
)
def test_fans(shape: tuple[int, ...], fan_in: int, fan_out: int) -> None:
    assert (fans.fan_in(shape), fans.fan_out(shape)) == (fan_in, fan_out)
    for dtype in (np.float32, np.float64):
        assert fans.fan(shape, FillerParameter.FAN_IN, dtype) == dtype(fan_in)
        assert fans.fan(shape, FillerParameter.FAN_OUT, dtype) == dtype(fan_out)
        average = fans.fan(shape, FillerParameter.AVERAGE, dtype)
        assert type(average) is dtype
        assert average == dtype(fan_in + fan_out) / 2


def test_the_average_is_rounded_once() -> None:
    """fan_in + fan_out is an int, which is rounded to float32 as a whole."""
    shape = (2**24 + 1, 2**24 + 1)
    assert fans.fan(shape, FillerParameter.AVERAGE, np.float32) == np.float32(2**25 + 2) / np.float32(2)
