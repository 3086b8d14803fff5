from typing import Any

import numpy as np
import pytest

from filler_server.fillers.variance_scaling import fan_in, fan_out
from tests.fillers.streams import distribution_of

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize(
    ("shape", "inputs", "outputs"),
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
@pytest.mark.parametrize("dtype", DTYPES)
def test_fans(shape: tuple[int, ...], inputs: int, outputs: int, dtype: Any) -> None:
    assert (fan_in(shape), fan_out(shape)) == (inputs, outputs)
    for norm, n in (("FAN_IN", inputs), ("FAN_OUT", outputs), ("AVERAGE", (inputs + outputs) / 2)):
        xavier = distribution_of(f'type: "xavier" variance_norm: {norm}', shape, dtype)
        msra = distribution_of(f'type: "msra" variance_norm: {norm}', shape, dtype)
        assert (xavier.minimum, xavier.maximum) == (-xavier.maximum, float(np.sqrt(dtype(3) / dtype(n))))
        assert msra.std == float(np.sqrt(dtype(2) / dtype(n)))


def test_the_average_is_rounded_once() -> None:
    """fan_in + fan_out is an int, which is rounded to float32 as a whole."""
    shape = (2**24 + 1, 2**24 + 1)
    want = np.sqrt(np.float32(3) / (np.float32(2**25 + 2) / np.float32(2)))
    assert distribution_of('type: "xavier" variance_norm: AVERAGE', shape, np.float32).maximum == want
