"""Text of a planned blob."""

from google.protobuf import text_format

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.v1 import filler_pb2


def dimensions(shape: filler_pb2.PartialShape) -> list[int | None] | None:
    """Return the dimensions with None for an unknown one, or None when not even their number is known."""
    return None if shape.unknown_rank else [None if dim == -1 else dim for dim in shape.dim]


def filler_text(blob: filler_pb2.BlobPlan) -> str:
    """Return the filler as `filler fill` takes it."""
    return text_format.MessageToString(blob.filler, as_one_line=True).strip()


def short_filler(blob: filler_pb2.BlobPlan) -> str:
    """Return the filler without field names where none is needed: gaussian std: 0.01."""
    if blob.given:
        return "given"
    rest = FillerParameter()
    rest.CopyFrom(blob.filler)
    rest.ClearField("type")
    return f"{blob.filler.type} {text_format.MessageToString(rest, as_one_line=True)}".strip()
