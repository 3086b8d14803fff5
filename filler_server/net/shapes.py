"""Shapes that a blob can have at all (Caffe's `Blob::Reshape`)."""

from caffe_filler.caffe import caffe_pb2
from caffe_filler.shapes import CAFFE_MAX_COUNT, MAX_AXES
from filler_server.net.dimensions import Dims, Unknown


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
