"""Messages of the wire to calls of the library."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from caffe_filler import dtypes
from caffe_filler.errors import FieldViolation, FillerError, FillerParameterError, InvalidArgument, UnknownFiller
from caffe_filler.v1 import filler_pb2
from filler_server.engine.net import net_sources
from filler_server.engine.region import Region
from filler_server.engine.source import BlobSource, FilledBlob
from filler_server.fillers import get_filler
from filler_server.rng.philox import PhiloxStream
from filler_server.service.limits import Limits
from filler_server.service.planning import plan


@dataclass(frozen=True, slots=True)
class Job:
    """What a stream will send: the blobs, and where to begin.

    Attributes:
        sources: all blobs of the request in the order of the stream.
        blob: number of the blob to begin with.
        offset: byte of its region to begin with.
    """

    sources: Sequence[BlobSource]
    blob: int = 0
    offset: int = 0


def fill_job(request: filler_pb2.FillRequest, limits: Limits) -> Job:
    """Return the job of a Fill.

    Raises:
        FillerError: the request is wrong or over a limit; `violations` name the fields as in `blobs[3].filler.std`.
    """
    limits.check("request_blobs", len(request.blobs))
    dtype = dtypes.from_wire(request.dtype)
    _check_stream(request.stream)
    sources: list[BlobSource] = []
    for index, spec in enumerate(request.blobs):
        with _field(f"blobs[{index}]"):
            shape = tuple(spec.shape.dim)
            region = _region(spec.region)(shape)
            random = PhiloxStream(request.seed, spec.name)
            sources.append(FilledBlob(spec.name, get_filler(spec.filler), random, region, dtype, shape=shape))
    return _job(sources, request.start, limits)


def fill_net_job(request: filler_pb2.FillNetRequest, limits: Limits) -> Job:
    """Return the job of a FillNet.

    Raises:
        FillerError: the request is wrong or over a limit.
    """
    limits.check("request_blobs", len(request.blobs))
    dtype = dtypes.from_wire(request.dtype)
    _check_stream(request.stream)
    selection = [
        (blob.name, _region_of_field(f"blobs[{index}]", blob.region)) for index, blob in enumerate(request.blobs)
    ]
    sources = net_sources(plan(request.net, limits), seed=request.seed, dtype=dtype, selection=selection or None)
    limits.check("request_blobs", len(sources))
    return _job(sources, request.start, limits)


def _job(sources: Sequence[BlobSource], start: filler_pb2.Position, limits: Limits) -> Job:
    limits.check("request_bytes", sum(source.nbytes for source in sources))
    length = sources[start.blob].nbytes if start.blob < len(sources) else 0
    if start.blob > len(sources) or start.offset > length:
        message = (
            f"the request has {len(sources)} blobs and its blob {start.blob} has {length} bytes. "
            f"Received: start=(blob {start.blob}, offset {start.offset})"
        )
        raise InvalidArgument(message, violations=[FieldViolation("start", message)])
    return Job(sources, start.blob, start.offset)


def _region(region: filler_pb2.Region) -> Callable[[tuple[int, ...]], Region]:
    kind = region.WhichOneof("kind")
    if kind is None:
        return Region.whole
    if kind == "flat":
        start, stop = _range(region.flat)
        return lambda shape: Region.flat(shape, start, stop)
    ranges = [_range(axis) for axis in region.box.axes]
    return lambda shape: Region.box(shape, ranges)


def _region_of_field(prefix: str, region: filler_pb2.Region) -> Callable[[tuple[int, ...]], Region]:
    make = _region(region)

    def named(shape: tuple[int, ...]) -> Region:
        with _field(prefix):
            return make(shape)

    return named


def _range(wire: filler_pb2.Range) -> tuple[int, int | None]:
    return wire.start, wire.stop if wire.HasField("stop") else None


def _check_stream(value: int) -> None:
    if value not in filler_pb2.RandomStream.values():
        message = f"there are {', '.join(filler_pb2.RandomStream.keys())}. Received: stream={value}"
        raise InvalidArgument(message, violations=[FieldViolation("stream", message)])


@contextmanager
def _field(prefix: str) -> Iterator[None]:
    """Name the field of the request in which an error lies."""
    try:
        yield
    except FillerError as error:
        within = f"{prefix}.filler" if isinstance(error, (FillerParameterError, UnknownFiller)) else prefix
        error.violations = tuple(
            # The dtype is one of the whole request.
            violation if violation.field == "dtype" else replace(violation, field=f"{within}.{violation.field}")
            for violation in error.violations
        )
        raise
