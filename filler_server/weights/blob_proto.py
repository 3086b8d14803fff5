"""Caffe's BlobProto: a tensor inside a binary message, of any age."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import InvalidArgument, WeightsError
from caffe_filler.printable import counted
from caffe_filler.shapes import MAX_AXES
from caffe_filler.wire import I32, I64, LEN, VARINT, key, signed, varint
from filler_server.tensors import Tensor
from filler_server.weights.mapped import MappedFile, MappedTensor, Segment
from filler_server.weights.wire import Field, Walker

_NUMBER = {field.name: field.number for field in caffe_pb2.BlobProto.DESCRIPTOR.fields}
_SHAPE = _NUMBER["shape"]
_DIM = caffe_pb2.BlobShape.DESCRIPTOR.fields_by_name["dim"].number
_LEGACY = tuple(_NUMBER[name] for name in ("num", "channels", "height", "width"))
_VALUES: dict[int, np.dtype[Any]] = {_NUMBER["data"]: np.dtype("<f4"), _NUMBER["double_data"]: np.dtype("<f8")}

# Of C3D 1.0 (facebookarchive/C3D, caffe.proto), whose blobs have an axis more: num, channels, length, height, width.
_VOLUME_AXES = (1, 2, 3, 4, 5)
_VOLUME_DATA = 6

# Of NVIDIA's fork (caffe.proto of its releases 0.16 and 0.17); OpenCV writes and reads the same.
_RAW_DATA_TYPE, _RAW_DATA = 10, 12
_RAW_FLOAT16 = 2
_RAW_TYPES: dict[int | None, np.dtype[Any]] = {0: np.dtype("<f8"), 1: np.dtype("<f4"), _RAW_FLOAT16: np.dtype("<f2")}

_WRITTEN: Mapping[str, tuple[bytes, int]] = {
    "float32": (b"", _NUMBER["data"]),
    "float64": (b"", _NUMBER["double_data"]),
    "float16": (key(_RAW_DATA_TYPE, VARINT) + varint(_RAW_FLOAT16), _RAW_DATA),
}
"""Bytes before the values of each dtype, and the field that holds them."""


def is_volume(walker: Walker, start: int, stop: int) -> bool:
    """Whether a BlobProto is one of C3D 1.0, where field 5 is a number: elsewhere it holds values."""
    for field in walker.fields(start, stop):
        if field.number >= _VOLUME_AXES[-1]:
            return field.number == _VOLUME_AXES[-1] and field.wire_type == VARINT
    return False


def read_blob(file: MappedFile, walker: Walker, start: int, stop: int, name: str) -> MappedTensor:
    """Return the blob of a BlobProto that lies at start <= byte < stop; `diff` is passed over.

    Where both are present `double_data` counts and `data` does not, and `data` counts before NVIDIA's `raw_data`, as
    they read it themselves.

    Raises:
        WeightsError: it is damaged, or has another number of values than its shape asks for.
    """
    dims: list[int] = []
    legacy: dict[int, int] = {}
    segments: dict[int, list[Segment]] = {number: [] for number in _VALUES}
    raw: Field | None = None
    raw_type: int | None = None
    if is_volume(walker, start, stop):
        return _read_volume(file, walker, start, stop, name)
    for field in walker.fields(start, stop):
        if field.number in _VALUES:
            segments[field.number].extend(_segments(field, _VALUES[field.number], name))
        elif field.number == _SHAPE and field.wire_type == LEN:
            dims.extend(_dims(walker, field))
        elif field.number in _LEGACY and field.wire_type == VARINT:
            legacy[field.number] = signed(field.value, 32)
        elif field.number == _RAW_DATA and field.wire_type == LEN:
            raw = field
        elif field.number == _RAW_DATA_TYPE and field.wire_type == VARINT:
            raw_type = field.value
    shape = [legacy.get(number, 0) for number in _LEGACY] if legacy else dims
    if len(shape) > MAX_AXES:
        raise WeightsError(f"blob '{name}' has more than {MAX_AXES} axes. Received: {len(shape)}")
    if any(dim < 0 for dim in shape):
        raise WeightsError(f"blob '{name}' has a dimension below 0. Received: shape={shape}")
    number = next((number for number in reversed(_VALUES) if segments[number]), None)
    if number is not None:
        found, dtype = segments[number], _VALUES[number]
    elif raw is not None:
        found, dtype = [_raw_segment(raw, raw_type, name)], _raw_dtype(raw_type, name)
    else:
        found, dtype = [], np.dtype("<f4")
    _check_count(name, shape, found)
    return MappedTensor(name, shape, dtype, file, found or [Segment(start, 0, dtype.itemsize)], legacy=bool(legacy))


def _read_volume(file: MappedFile, walker: Walker, start: int, stop: int, name: str) -> MappedTensor:
    """Return the blob of a BlobProto of C3D 1.0."""
    dims: dict[int, int] = {}
    segments: list[Segment] = []
    dtype = np.dtype("<f4")
    for field in walker.fields(start, stop):
        if field.number in _VOLUME_AXES and field.wire_type == VARINT:
            dims[field.number] = signed(field.value, 32)
        elif field.number == _VOLUME_DATA:
            segments.extend(_segments(field, dtype, name))
    shape = [dims.get(number, 0) for number in _VOLUME_AXES]
    if any(dim < 0 for dim in shape):
        raise WeightsError(f"blob '{name}' has a dimension below 0. Received: shape={shape}")
    _check_count(name, shape, segments)
    return MappedTensor(name, shape, dtype, file, segments or [Segment(start, 0, dtype.itemsize)])


def _check_count(name: str, shape: list[int], segments: list[Segment]) -> None:
    count = sum(segment.count for segment in segments)
    if count != prod(shape):
        raise WeightsError(
            f"blob '{name}' must hold as many values as its shape says, {prod(shape)}. "
            f"Received: shape={shape}, {counted(count, 'value')}"
        )


def _segments(field: Field, dtype: np.dtype[Any], name: str) -> Iterator[Segment]:
    """The values of one field: packed, or one by one as protobuf wrote them before 2.3."""
    size = dtype.itemsize
    if field.wire_type == LEN:
        length = field.stop - field.data
        if length % size:
            raise WeightsError(
                f"blob '{name}' holds values of {size} bytes. Received: {counted(length, 'byte')} of them"
            )
        if length:
            yield Segment(field.data, length // size, size)
    elif field.wire_type == (I32 if size == 4 else I64):
        yield Segment(field.data, field.count, (field.stop - field.start) // field.count)
    else:
        raise WeightsError(f"the values of blob '{name}' are written as something else: wire type {field.wire_type}")


def _raw_dtype(raw_type: int | None, name: str) -> np.dtype[Any]:
    if raw_type not in _RAW_TYPES:
        raise WeightsError(
            f"blob '{name}' has raw_data of a type that no weights have (0: double, 1: float, 2: half). "
            f"Received: raw_data_type={raw_type}"
        )
    return _RAW_TYPES[raw_type]


def _raw_segment(raw: Field, raw_type: int | None, name: str) -> Segment:
    size = _raw_dtype(raw_type, name).itemsize
    length = raw.stop - raw.data
    if length % size:
        raise WeightsError(
            f"blob '{name}' holds values of {size} bytes. Received: {counted(length, 'byte')} of raw_data"
        )
    return Segment(raw.data, length // size, size)


def _dims(walker: Walker, shape: Field) -> list[int]:
    dims: list[int] = []
    for field in walker.fields(shape.data, shape.stop):
        if field.number != _DIM:
            continue
        if field.wire_type == VARINT:
            dims.append(signed(field.value))
        elif field.wire_type == LEN:
            dims.extend(signed(value) for value in walker.varints(field.data, field.stop, most=MAX_AXES + 1))
        if len(dims) > MAX_AXES:
            break
    return dims


def check_dtype(tensor: Tensor) -> None:
    """Make sure that a BlobProto can hold the dtype.

    Raises:
        InvalidArgument: it cannot.
    """
    if tensor.dtype.name not in _WRITTEN:
        raise InvalidArgument(
            f"a .caffemodel has {', '.join(_WRITTEN)}. Received: dtype={tensor.dtype}, name='{tensor.name}'",
            field="dtype",
        )


def set_shape(blob: caffe_pb2.BlobProto, tensor: Tensor) -> None:
    """Give a message the shape of a tensor: a legacy one in the four fields of old files."""
    if tensor.legacy:
        blob.num, blob.channels, blob.height, blob.width = tensor.shape
    else:
        blob.shape.dim.extend(tensor.shape)


def blob_front(tensor: Tensor) -> bytes:
    """Return what stands in a BlobProto before the values; the last of it is their length.

    Raises:
        InvalidArgument: a BlobProto cannot hold the dtype.
    """
    check_dtype(tensor)
    blob = caffe_pb2.BlobProto()
    set_shape(blob, tensor)
    kind, field = _WRITTEN[tensor.dtype.name]
    return blob.SerializeToString() + kind + key(field, LEN) + varint(tensor.nbytes)
