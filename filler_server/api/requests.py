"""Messages of the wire to calls of the library.

What is over a stream of Caffe stands in `caffe_requests`, which is imported where one is asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from caffe_filler import dtypes
from caffe_filler.axes import FanAxes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerError, FillerParameterError, InvalidArgument, UnknownFiller
from caffe_filler.filler_types import CAFFE_FILLERS
from caffe_filler.printable import counted
from caffe_filler.v1 import filler_pb2
from filler_server.api.expectations import expected
from filler_server.api.limits import Limits
from filler_server.api.plan_wire import to_wire
from filler_server.api.planning import Plan, plan
from filler_server.engine.computed import ComputedTensor, FilledBlob
from filler_server.engine.net import net_tensors
from filler_server.engine.region import Region
from filler_server.fillers import get_filler
from filler_server.net.plan import NetPlan
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import BRIEF, RandomStream

_STREAMS = frozenset(filler_pb2.RandomStream.values())

_LONGEST_KEPT = 512
"""Bytes of a description up to which a blob is kept for further calls."""


_FEW_BLOBS = 8


@dataclass(frozen=True, slots=True)
class Job:
    """Content of a stream to be sent: the blobs, and where to begin.

    Attributes:
        tensors: all blobs of the request in the order of the stream.
        blob: number of the blob to begin with.
        offset: byte of its region to begin with.
    """

    tensors: Sequence[ComputedTensor]
    blob: int
    offset: int


def is_brief(request: filler_pb2.FillRequest) -> bool:
    """Return whether a Fill has few blobs and few values, each of which takes no time of its own."""
    if request.stream != filler_pb2.PHILOX or len(request.blobs) > _FEW_BLOBS:
        return False
    count = 0
    for spec in request.blobs:
        count += prod(spec.shape.dim)
        if spec.filler.type not in CAFFE_FILLERS:
            return False
    return count <= BRIEF


def fill_job(request: filler_pb2.FillRequest, limits: Limits) -> Job:
    """Return the job of a Fill.

    Raises:
        FillerError: the request is wrong or over a limit; `violations` name the fields as in `blobs[3].filler.std`.
    """
    limits.check("request_blobs", len(request.blobs))
    dtype = dtypes.from_wire(request.dtype)
    _check_stream(request.stream)
    tensors: list[ComputedTensor] = []
    # Models have many blobs that differ in their names alone.
    made: dict[bytes, FilledBlob] = {}
    for index, spec in enumerate(request.blobs):
        with _Field(index):
            random = _blob_stream(request, spec)
            key = _without_name(spec)
            blob = made.get(key)
            if blob is None:
                blob = made[key] = _filled_blob(spec, key, random, dtype)
            tensors.append(blob.over(random, spec.name))
    limits.check("sequential_elements", _sequential(tensors))
    return _job(tensors, request, limits)


def _filled_blob(spec: filler_pb2.BlobSpec, key: bytes, random: RandomStream, dtype: np.dtype[Any]) -> FilledBlob:
    """Return a blob; `key` is all that the description says of it but its name."""
    is_kept = not random.sequential and may_be_kept(spec.filler, key)
    return kept_blob(key, dtype) if is_kept else _new_blob(spec, random, dtype)


def may_be_kept(filler: FillerParameter, key: bytes) -> bool:
    """Whether a blob of a filler, and of a description without a name, may be a `kept_blob`."""
    return len(key) <= _LONGEST_KEPT and filler.type in CAFFE_FILLERS


@lru_cache(maxsize=1024)
def kept_blob(key: bytes, dtype: np.dtype[Any]) -> FilledBlob:
    """Return a blob over the philox stream, for the next call, too: many ask for blobs that are alike.

    Args:
        key: its BlobSpec without a name.
        dtype: its data type.

    Raises:
        FillerError: the description is wrong.
    """
    return _new_blob(filler_pb2.BlobSpec.FromString(key), PhiloxStream(0, ""), dtype)


def _new_blob(spec: filler_pb2.BlobSpec, random: RandomStream, dtype: np.dtype[Any]) -> FilledBlob:
    shape = tuple(spec.shape.dim)
    region = _region(spec.region)(shape)
    axes = FanAxes.from_wire(spec.axes, shape) if spec.HasField("axes") else None
    return FilledBlob(spec.name, get_filler(spec.filler), random, region, dtype, shape=shape, axes=axes)


def _without_name(spec: filler_pb2.BlobSpec) -> bytes:
    """Return all that a description says of a blob but its name."""
    other = filler_pb2.BlobSpec()
    other.CopyFrom(spec)
    other.ClearField("name")
    return other.SerializePartialToString()


def fill_net_job(request: filler_pb2.FillNetRequest, limits: Limits, *, plan: Plan = plan) -> Job:
    """Return the job of a FillNet.

    Raises:
        FillerError: the request is wrong or over a limit.
    """
    limits.check("request_blobs", len(request.blobs))
    dtype = dtypes.from_wire(request.dtype)
    _check_stream(request.stream)
    selection = [(blob.name, _region_of_field(index, blob.region)) for index, blob in enumerate(request.blobs)]
    planned = plan(request.net, limits)
    if request.stream == filler_pb2.PHILOX:
        tensors = net_tensors(planned, seed=request.seed, dtype=dtype, selection=selection or None)
        drawn = 0
    else:
        from filler_server.api.caffe_requests import caffe_net

        net, drawn = caffe_net(planned, request, dtype, limits, plan=plan)
        tensors = net.tensors(selection or None)
    if selection or not drawn:
        # However often a blob is selected, it is run through each time.
        limits.check("sequential_elements", drawn + _sequential(tensors))
    limits.check("request_blobs", len(tensors))
    # A selection of a few bytes has a header with the names of a blob and of its owner.
    names = sum(len(tensor.name) + len(tensor.owner or "") for tensor in tensors)
    limits.check_plan(names, net_bytes=request.ByteSize())
    return _job(tensors, request, limits)


def digest_job(request: filler_pb2.DigestRequest, limits: Limits, *, plan: Plan = plan) -> Job:
    """Return the job whose blobs a Digest sums up.

    Raises:
        FillerError: the request is wrong or over a limit.
    """
    kind = request.WhichOneof("kind")
    if kind is None:
        raise InvalidArgument("a digest is that of a fill or of a fill_net. Received: neither", field="kind")
    try:
        job = fill_job(request.fill, limits) if kind == "fill" else fill_net_job(request.fill_net, limits, plan=plan)
        if job.offset:
            raise InvalidArgument(f"digests start at a whole blob. Received: offset={job.offset}", field="start")
    except FillerError as error:
        raise error.within(field=kind) from None
    return job


def plan_net(request: filler_pb2.PlanNetRequest, limits: Limits, *, plan: Plan = plan) -> NetPlan:
    """Return the plan of a PlanNet with what theory expects, and with what each layer draws where that is asked for.

    Raises:
        FillerError: the net cannot be read or set up, or is over a limit.
    """
    planned = plan(request, limits)
    answer = expected(planned)
    if not request.HasField("draws"):
        return answer
    from filler_server.api.caffe_requests import layer_draws

    _check_stream(request.draws.stream)
    draws = layer_draws(planned, request.draws, limits, plan)
    layers = tuple(replace(layer, draws=count) for layer, count in zip(answer.layers, draws, strict=True))
    return replace(answer, layers=layers, sequential=True)


def plan_reply(request: filler_pb2.PlanNetRequest, limits: Limits, *, plan: Plan = plan) -> filler_pb2.PlanNetResponse:
    """Return the answer of a PlanNet; errors are those of `plan_net`."""
    answer = plan_net(request, limits, plan=plan)
    return answer.keep("reply", None, lambda: to_wire(answer))


def _sequential(tensors: Sequence[ComputedTensor]) -> int:
    return sum(tensor.sequential for tensor in tensors)


def _blob_stream(request: filler_pb2.FillRequest, spec: filler_pb2.BlobSpec) -> RandomStream:
    if request.stream == filler_pb2.PHILOX:
        return PhiloxStream(request.seed, spec.name)
    from filler_server.api.caffe_requests import blob_stream

    return blob_stream(request, spec)


def _job(
    tensors: Sequence[ComputedTensor], request: filler_pb2.FillRequest | filler_pb2.FillNetRequest, limits: Limits
) -> Job:
    limits.check("request_bytes", sum(tensor.nbytes for tensor in tensors))
    limits.check("request_elements", sum(tensor.count for tensor in tensors))
    start = request.start
    length = tensors[start.blob].nbytes if start.blob < len(tensors) else 0
    if start.blob > len(tensors) or start.offset > length:
        raise InvalidArgument(
            f"the request has {counted(len(tensors), 'blob')} and its blob {start.blob} has {counted(length, 'byte')}. "
            f"Received: start=(blob {start.blob}, offset {start.offset})",
            field="start",
        )
    return Job(tensors, start.blob, start.offset)


def _region(region: filler_pb2.Region) -> Callable[[tuple[int, ...]], Region]:
    kind = region.WhichOneof("kind")
    if kind is None:
        return Region.whole
    if kind == "flat":
        start, stop = _range(region.flat)
        return lambda shape: Region.flat(shape, start, stop)
    ranges = [_range(axis) for axis in region.box.axes]
    return lambda shape: Region.box(shape, ranges)


def _region_of_field(index: int, region: filler_pb2.Region) -> Callable[[tuple[int, ...]], Region]:
    make = _region(region)

    def named(shape: tuple[int, ...]) -> Region:
        with _Field(index):
            return make(shape)

    return named


def _range(wire: filler_pb2.Range) -> tuple[int, int | None]:
    return wire.start, wire.stop if wire.HasField("stop") else None


def _check_stream(value: int) -> None:
    if value not in _STREAMS:
        raise InvalidArgument(
            f"there are {', '.join(filler_pb2.RandomStream.keys())}. Received: stream={value}", field="stream"
        )


class _Field:
    """Names the field of the request in which an error lies; a generator would cost as much as a small blob."""

    __slots__ = ("_index",)

    def __init__(self, index: int) -> None:
        self._index = index

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # The dtype is one of the whole request.
        if isinstance(error, FillerError) and error.field != "dtype":
            of_filler = isinstance(error, (FillerParameterError, UnknownFiller))
            error.within(field=f"blobs[{self._index}].filler" if of_filler else f"blobs[{self._index}]")
