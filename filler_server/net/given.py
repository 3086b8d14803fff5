"""Blobs whose values stand in the prototxt itself, as in a trained net written as text."""

from math import prod

from caffe_filler.caffe import caffe_pb2
from filler_server.net.layer import LearnedBlob
from filler_server.net.refusals import refusal
from filler_server.net.shapes import proto_shape, shape_fault

_UNUSED = caffe_pb2.FillerParameter()


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
