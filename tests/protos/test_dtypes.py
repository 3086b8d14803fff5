from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler import dtypes
from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
FLOAT16, BFLOAT16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize(
    ("wire", "dtype", "names"),
    [
        (filler_pb2.FLOAT32, FLOAT32, ["f32", "float32", np.float32, FLOAT32]),
        (filler_pb2.FLOAT64, FLOAT64, ["f64", "float64", float, FLOAT64]),
        (filler_pb2.FLOAT16, FLOAT16, ["f16", "float16", np.float16, FLOAT16]),
        (filler_pb2.BFLOAT16, BFLOAT16, ["bf16", "bfloat16", ml_dtypes.bfloat16, BFLOAT16]),
    ],
)
def test_names(wire: filler_pb2.DType, dtype: np.dtype[Any], names: list[Any]) -> None:
    assert dtypes.from_wire(wire) == dtype
    for name in names:
        assert dtypes.parse(name) == dtype
        assert dtypes.to_wire(name) == wire


def test_every_value_of_the_wire_has_a_dtype() -> None:
    assert {dtypes.to_wire(dtypes.from_wire(value)) for value in filler_pb2.DType.values()} == set(
        filler_pb2.DType.values()
    )
    assert {dtypes.to_wire(name) for name in dtypes.SHORT_NAMES} == set(filler_pb2.DType.values())


@pytest.mark.parametrize(
    "dtype", ["int32", "double", "<f4", "", np.dtype(">f4"), "F32", int, bool, object, None, 3, ml_dtypes.int4]
)
def test_what_no_blob_can_have(dtype: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"there are f32, f64, f16, bf16, float32, .* Received: dtype=") as caught:
        dtypes.parse(dtype)
    assert [violation.field for violation in caught.value.violations] == ["dtype"]
    with pytest.raises(InvalidArgument):
        dtypes.to_wire(dtype)


KNOWN = {"f32", "float32", "f64", "float64", "f16", "float16", "bf16", "bfloat16"}


# Hypothesis also tries the names that it finds in the sources.
@given(st.text(max_size=6).filter(lambda text: text not in KNOWN))
def test_no_other_text_is_a_dtype(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Received: dtype="):
        dtypes.parse(text)


@pytest.mark.parametrize("value", [-1, 4, 99])
def test_numbers_that_are_none_of_the_wire(value: int) -> None:
    with pytest.raises(InvalidArgument, match=f"FLOAT32, FLOAT64, FLOAT16, BFLOAT16. Received: dtype={value}$"):
        dtypes.from_wire(value)
