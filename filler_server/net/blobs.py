"""Shapes that a blob can have (Caffe's `Blob::Reshape`), and blobs whose values stand in the prototxt itself."""

from math import prod

from caffe_filler.caffe import caffe_pb2
from caffe_filler.shapes import CAFFE_MAX_COUNT, MAX_AXES
from filler_server.net.dimensions import Dims, Unknown, refusal
from filler_server.net.layer import LearnedBlob

_UNUSED = caffe_pb2.FillerParameter()


def shape_fault(dims: Dims) -> str | None:
    """Return what keeps a blob from having this shape, or None; unknown dimensions are given the benefit of doubt."""
    if isinstance(dims, Unknown):
        return None
    if len(dims) > MAX_AXES:
        return f"a blob has at most {MAX_AXES} axes"
    count: int | None = 1
    for dim in dims:
        if isinstance(dim, Unknown):
            count = None
        elif dim < 0:
            return "a dimension is negative"
        elif dim > CAFFE_MAX_COUNT:
            return "a dimension exceeds INT_MAX"
        elif count is not None:
            if count and dim > CAFFE_MAX_COUNT // count:
                return "blob size exceeds INT_MAX"
            count *= dim
    return None


def four_axes(dims: Dims) -> Dims:
    """Return a shape as old files have it, with axes of 1 in front (Caffe's `Blob::LegacyShape` from the end)."""
    return dims if isinstance(dims, Unknown) else (1,) * (4 - len(dims)) + dims


def is_legacy(blob: caffe_pb2.BlobProto) -> bool:
    """Whether the shape of a BlobProto stands in the four fields of old files."""
    return any(blob.HasField(field) for field in ("num", "channels", "height", "width"))


def proto_shape(blob: caffe_pb2.BlobProto) -> tuple[int, ...]:
    """Return the shape of a BlobProto; any of the four old fields makes it (num, channels, height, width)."""
    if is_legacy(blob):
        return blob.num, blob.channels, blob.height, blob.width
    return tuple(blob.shape.dim)


def given_blobs(parameter: caffe_pb2.LayerParameter, *, line: int | None = None) -> tuple[LearnedBlob, ...]:
    """Return the blobs that a layer brings along (Caffe's `Blob::FromProto`).

    Raises:
        NetError: a shape that no blob can have, or another number of values than the shape asks for.
    """
    return tuple(_given(parameter, index, blob, line) for index, blob in enumerate(parameter.blobs))


def _given(parameter: caffe_pb2.LayerParameter, index: int, blob: caffe_pb2.BlobProto, line: int | None) -> LearnedBlob:
    shape = proto_shape(blob)
    fault = shape_fault(shape)
    if fault is not None:
        raise refusal(f"blobs[{index}]: {fault}", layer=parameter.name, line=line, shape=shape)
    count = prod(shape)
    values, diffs = blob.double_data or blob.data, blob.double_diff or blob.diff
    if len(values) != count or len(diffs) not in (0, count):
        raise refusal(
            f"blobs[{index}] must hold as many values as its shape says, {count}",
            layer=parameter.name,
            line=line,
            shape=shape,
            data=len(values),
            diff=len(diffs),
        )
    return LearnedBlob(shape, _UNUSED, blob)
