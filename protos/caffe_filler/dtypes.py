"""The data types of blobs: their names on the wire, on the command line, in NumPy."""

from typing import Any, TypeAlias, cast

import ml_dtypes
import numpy as np

from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2

DTypeLike: TypeAlias = str | np.dtype[Any] | type[Any]

_WIRE: dict[filler_pb2.DType, np.dtype[Any]] = {
    filler_pb2.FLOAT32: np.dtype(np.float32),
    filler_pb2.FLOAT64: np.dtype(np.float64),
    filler_pb2.FLOAT16: np.dtype(np.float16),
    filler_pb2.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
}
_TO_WIRE = {dtype: value for value, dtype in _WIRE.items()}
_SHORT = {"f32": "float32", "f64": "float64", "f16": "float16", "bf16": "bfloat16"}
SHORT_NAMES = tuple(_SHORT)
"""The names of the command line: f32, f64, f16, bf16."""
_BY_NAME = {dtype.name: dtype for dtype in _WIRE.values()}
_BY_NAME.update({short: _BY_NAME[name] for short, name in _SHORT.items()})
_NAMES = ", ".join([*_SHORT, *_SHORT.values()])


def from_wire(value: int) -> np.dtype[Any]:
    """Return the NumPy dtype of a `DType`.

    Raises:
        InvalidArgument: the number is none of the enum's.
    """
    try:
        return _WIRE[cast(filler_pb2.DType, value)]
    except KeyError:
        raise _unknown(str(value), ", ".join(filler_pb2.DType.keys())) from None


def to_wire(dtype: DTypeLike) -> filler_pb2.DType:
    """Return the `DType` of anything that names one: "f32", "float32", np.float32, a dtype of NumPy or PyTorch.

    Raises:
        InvalidArgument: it is none of the four that a blob can have.
    """
    found = _TO_WIRE.get(dtype) if isinstance(dtype, np.dtype) else None
    return _TO_WIRE[parse(dtype)] if found is None else found


def parse(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the NumPy dtype of anything that names one of the four, a dtype of PyTorch included.

    Raises:
        InvalidArgument: it is none of them.
    """
    name = str(dtype).removeprefix("torch.") if type(dtype).__module__ == "torch" else dtype
    if isinstance(name, str):
        if name not in _BY_NAME:
            raise _unknown(str(dtype), _NAMES)
        return _BY_NAME[name]
    try:
        parsed: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise _unknown(str(dtype), _NAMES) from None
    # NumPy reads None as its own default, float64.
    if dtype is None or parsed not in _WIRE.values():
        raise _unknown(str(dtype), _NAMES)
    return parsed


def _unknown(received: str, names: str) -> InvalidArgument:
    return InvalidArgument(
        f"no data type that a blob can have; there are {names}. Received: dtype={received}", field="dtype"
    )
