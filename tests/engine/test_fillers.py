"""Regions of what Caffe's own fillers give, over the real stream."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.fillers import get_filler
from filler_server.rng.philox import PhiloxStream
from tests.regions import regions

FILLERS = [
    'type: "constant" value: 0.25',
    'type: "gaussian" mean: 1 std: 0.1',
    'type: "gaussian" std: 2 sparse: 3',
    'type: "uniform" min: -1 max: 3',
    'type: "xavier" variance_norm: AVERAGE',
    'type: "msra" variance_norm: FAN_OUT',
    'type: "positive_unitball"',
    'type: "bilinear"',
    'type: "truncated_gaussian" std: 0.5',
    'type: "variance_scaling_truncated" value: 2',
    'type: "orthogonal"',
    'type: "dirac"',
]
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
SHAPES = [(6, 5, 4, 4), (9, 40, 3, 3), (7, 1, 1, 1), (3, 2, 20, 20)]


def blob(filler: str, shape: tuple[int, ...], region: Region, dtype: Any) -> FilledBlob:
    param = text_format.Parse(filler, FillerParameter())
    stream = PhiloxStream(1701, "layer/0")
    return FilledBlob("layer/0", get_filler(param), stream, region, np.dtype(dtype), shape=shape)


def values(tensor: FilledBlob) -> Any:
    out = np.empty(tensor.count, tensor.dtype)
    tensor.read(0, out)
    return out


@pytest.mark.parametrize("filler", FILLERS)
@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SHAPES), st.sampled_from(DTYPES), st.data())
def test_any_region_of_any_filler_has_the_values_of_the_whole(
    filler: str, shape: tuple[int, ...], dtype: Any, data: st.DataObject
) -> None:
    whole = values(blob(filler, shape, Region.whole(shape), dtype))
    region = data.draw(regions(shape))
    tensor = blob(filler, shape, region, dtype)
    window = tuple(slice(start, start + n) for start, n in zip(region.starts, region.shape, strict=True))
    want = whole.reshape(region.dims)[window].tobytes()
    assert values(tensor).tobytes() == want
    offset = data.draw(st.integers(0, len(want)))
    part = bytearray(data.draw(st.integers(0, len(want) - offset)))
    tensor.read_bytes(offset, memoryview(part))
    assert part == want[offset : offset + len(part)]


@pytest.mark.parametrize("dtype", DTYPES[2:])
@pytest.mark.parametrize("filler", FILLERS)
def test_half_precision_is_the_rounded_single_precision(filler: str, dtype: Any) -> None:
    shape = SHAPES[1]
    single = values(blob(filler, shape, Region.whole(shape), np.float32))
    assert values(blob(filler, shape, Region.whole(shape), dtype)).tobytes() == single.astype(dtype).tobytes()
