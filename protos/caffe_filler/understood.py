"""The checksum of a request as it was understood: servers send it with each blob, clients compare it with their own.

What it is over stands in `filler.proto`, at `BlobHeader.request_crc32c`.
"""

import struct
from collections.abc import Iterator
from functools import _lru_cache_wrapper, lru_cache

from google.protobuf.message import Message

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.checksum import crc32c
from caffe_filler.filler_types import CAFFE_FILLERS, WITH_DEFAULTS_OF_THEIR_OWN
from caffe_filler.v1 import filler_pb2

_WORD = (1 << 64) - 1

_LONGEST_KEPT = 256
"""Bytes of a shape or a filler up to which its part is kept for further requests."""

_integer = struct.Struct("<Q").pack
_filler = struct.Struct("<5fQQ").pack


def request_checksum(request: filler_pb2.FillRequest | filler_pb2.FillNetRequest) -> int:
    """Return the checksum of a request, wherever it starts."""
    checksum = crc32c(_integers(request.seed, request.dtype, request.stream))
    if isinstance(request, filler_pb2.FillRequest):
        return crc32c(_specs(request), checksum)
    # A net may be large, and is not copied.
    for part in _net_parts(request):
        checksum = crc32c(part, checksum)
    return checksum


def _specs(request: filler_pb2.FillRequest) -> bytes:
    parts = [_integer(len(request.blobs))]
    for spec in request.blobs:
        # Many blobs have the same shapes and fillers, and their encodings are had in no time.
        dims, parameters = _kept(_shape_part, spec.shape), _kept(_parameters_part, spec.filler)
        name = spec.name.encode()
        region = _region(spec.region) if spec.HasField("region") else _NO_REGION
        parts += (_integer(len(name)), name, dims, region, parameters)
        if spec.HasField("axes"):
            # Without any the checksum is that of servers which do not know the field.
            parts.append(_axes(spec.axes))
    return b"".join(parts)


def _kept(part: "_lru_cache_wrapper[bytes]", message: Message) -> bytes:
    encoded = message.SerializeToString()
    return part(encoded) if len(encoded) <= _LONGEST_KEPT else part.__wrapped__(encoded)


@lru_cache(maxsize=1024)
def _shape_part(encoded: bytes) -> bytes:
    return _dims(BlobShape.FromString(encoded))


@lru_cache(maxsize=1024)
def _parameters_part(encoded: bytes) -> bytes:
    return _filler_part(FillerParameter.FromString(encoded))


def _net_parts(request: filler_pb2.FillNetRequest) -> Iterator[bytes]:
    yield _integers(request.data_draws)
    yield _optional(request.data_draw_count if request.HasField("data_draw_count") else None)
    yield from _plan_parts(request.net)
    yield _integer(len(request.before))
    for plan in request.before:
        yield from _plan_parts(plan)
    yield _integer(len(request.blobs))
    for blob in request.blobs:
        yield _text(blob.name) + _region(blob.region)


def _plan_parts(plan: filler_pb2.PlanNetRequest) -> Iterator[bytes]:
    yield _integer(len(plan.net))
    yield plan.net
    state = plan.state
    for name in ("phase", "level"):
        yield _optional(getattr(state, name) if state.HasField(name) else None)
    yield _integer(len(state.stage)) + b"".join(map(_text, state.stage))
    for shapes in (plan.inputs, plan.tops):
        yield _integer(len(shapes))
        for entry in shapes:
            yield _text(entry.name) + _dims(entry.shape) + _integer(entry.shape.unknown_rank)
    yield _integers(plan.strict, plan.lenient)
    if plan.fillers:
        # Without any the checksum is that of servers which do not know the field.
        yield _integer(len(plan.fillers))
        for named in plan.fillers:
            yield _text(named.name) + _filler_part(named.filler)


def _filler_part(filler: FillerParameter) -> bytes:
    floats = filler.value, filler.min, filler.max, filler.mean, filler.std
    part = _text(filler.type) + _filler(*floats, filler.sparse & _WORD, filler.variance_norm)
    if filler.type in CAFFE_FILLERS:
        return part
    # Caffe's own do not ask whether a default is written.
    return part + _integers(*(filler.HasField(name) for name in WITH_DEFAULTS_OF_THEIR_OWN))


def _region(region: filler_pb2.Region) -> bytes:
    kind = region.WhichOneof("kind")
    if kind is None:
        return _NO_REGION
    axes = [region.flat] if kind == "flat" else region.box.axes
    ranges = (_integers(axis.start) + _optional(axis.stop if axis.HasField("stop") else None) for axis in axes)
    return _integers(1 if kind == "flat" else 2, len(axes)) + b"".join(ranges)


def _axes(axes: filler_pb2.FanAxes) -> bytes:
    return b"".join(_integers(len(numbers), *numbers) for numbers in (axes.inputs, axes.outputs, axes.stacks))


def _dims(shape: BlobShape | filler_pb2.PartialShape) -> bytes:
    return _integers(len(shape.dim), *shape.dim)


def _text(text: str | bytes) -> bytes:
    # What protobuf makes of a text that is not UTF-8 are its bytes.
    encoded = text.encode() if isinstance(text, str) else text
    return _integer(len(encoded)) + encoded


def _optional(value: int | None) -> bytes:
    return _integers(0, 0) if value is None else _integers(1, value)


def _integers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *[value & _WORD for value in values])


_NO_REGION = _integer(0)
