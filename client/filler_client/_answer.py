"""Checks that a stream answers its request: each header is compared before a byte is written anywhere."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from caffe_filler import dtypes
from caffe_filler.errors import DataLoss
from caffe_filler.understood import request_checksum
from caffe_filler.v1 import filler_pb2
from filler_client._backend import StreamRequest

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan

MAX_AXES = 32
"""Caffe's `kMaxBlobAxes`."""

_LONGEST_NAME = 8 << 10
"""Characters of a name that the request does not say; servers know no layers with names half as long."""

_SHOWN = 200
"""Characters of a name, and axes of a shape, that a message shows."""

_DTYPES = frozenset(filler_pb2.DType.values())
_SCALAR = (1,)
_WHOLE = filler_pb2.Region()

PartialShape: TypeAlias = tuple[int | None, ...] | None
"""A shape with None for a dimension that is not known, or None where their number is not known."""


class PlannedBlob(NamedTuple):
    """Facts of a plan about a blob: its name, its shape, and the blob whose values it shares, empty if its own."""

    name: str
    shape: PartialShape
    owner: str


class Extent(NamedTuple):
    """A region of a blob of known shape: the indices start <= i < stop of each axis, or of the blob as one axis."""

    is_flat: bool
    ranges: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the region."""
        return tuple(stop - start for start, stop in self.ranges)

    @classmethod
    def of(cls, region: filler_pb2.Region, shape: tuple[int, ...]) -> "Extent | None":
        """Return what a region of the wire is of a blob of `shape`; None if it does not lie inside of it."""
        is_flat = region.WhichOneof("kind") == "flat"
        axes = [region.flat] if is_flat else region.box.axes
        dims = (prod(shape),) if is_flat else shape
        if len(axes) > len(dims):
            return None
        ranges = [
            (axis.start, axis.stop if axis.HasField("stop") else dim) for axis, dim in zip(axes, dims, strict=False)
        ]
        ranges += [(0, dim) for dim in dims[len(ranges) :]]
        if not all(0 <= start <= stop <= dim for (start, stop), dim in zip(ranges, dims, strict=True)):
            return None
        return cls(is_flat, tuple(ranges))


class _Wanted(NamedTuple):
    """Facts of a request, or a plan, about a blob of the stream; None where neither has any."""

    name: str | None = None
    shape: PartialShape = None
    region: filler_pb2.Region = _WHOLE
    owner: str | None = None


_ANY = _Wanted()


class ExpectedStream:
    """The blobs that a request asks for.

    Of a Fill everything is known. Of a FillNet the request says the dtype, and names and regions where it selects;
    number and shapes are the plan's. Without a plan they are as the server says, within what a net of that length can
    have.

    Args:
        request: a Fill or a FillNet.
        plan: the blobs of the net, in their order, where the caller has them.

    Attributes:
        start: where the stream starts.
        count: number of blobs; None where the request leaves it to the net.
    """

    def __init__(self, request: StreamRequest, plan: Sequence[PlannedBlob] | None = None) -> None:
        self._request = request
        self._itemsize = dtypes.from_wire(request.dtype).itemsize
        self._specs = request.blobs if isinstance(request, filler_pb2.FillRequest) else None
        self._is_whole_net = self._specs is None and not request.blobs
        self._is_unknown = self._is_whole_net and plan is None
        self._plan = plan
        self._planned = {} if self._is_whole_net else {blob.name: blob for blob in plan or ()}
        # A layer takes more bytes than it has blobs.
        self._most = len(request.net.net) if isinstance(request, filler_pb2.FillNetRequest) else len(request.blobs)
        self._checksum = request_checksum(request)
        # A server that does not know them would fill the blob as Caffe has it.
        self._has_axes = any(spec.HasField("axes") for spec in self._specs or ())
        self._numbers: dict[str, int] = {}
        self.start = request.start
        self.count = len(request.blobs) if not self._is_whole_net else None if plan is None else len(plan)

    def check_count(self, blobs: int) -> None:
        """Compare the number of blobs that a stream announces.

        Raises:
            DataLoss: it is not the number asked for, or more than the net can have.
        """
        if self.count is not None and blobs != self.count:
            raise DataLoss(f"{blobs_asked_for(self.count)}. Received: a stream of {blobs}")
        self._check_most(blobs)

    def check(self, number: int, header: filler_pb2.BlobHeader) -> tuple[int, ...]:
        """Compare what a stream announces of its blob `number`; return the shape of the region that will come.

        Raises:
            DataLoss: it is not what was asked for, or contradicts itself.
        """
        dims = header.shape.dim
        if len(dims) > MAX_AXES:
            raise DataLoss(f"a blob has at most {MAX_AXES} axes. Received: blob {number} of {_described(header)}")
        # A slice takes half the time of an iteration.
        shape = tuple(dims[:])
        received = shape if self._is_plain(number, header, shape) else self._examine(number, header, shape)
        if self._is_unknown and self._numbers.setdefault(header.name, number) != number:
            raise DataLoss(
                f"each blob of a net was asked for once. Received: '{short(header.name)}' as blob "
                f"{self._numbers[header.name]} and as blob {number}"
            )
        return received

    def _is_plain(self, number: int, header: filler_pb2.BlobHeader, shape: tuple[int, ...]) -> bool:
        """Whether it is a whole blob in which nothing can be wrong: a short way to what `_examine` finds out.

        Receiving a small blob takes a few microseconds, of which this is one.
        """
        if (
            header.request_crc32c != self._checksum
            or header.dtype != self._request.dtype
            or prod(shape) * self._itemsize != header.bytes
            or min(shape or _SCALAR) < 1
            or header.HasField("region")
        ):
            return False
        if self._specs is not None:
            spec = self._specs[number]
            return (
                header.name == spec.name
                and header.shape == spec.shape
                and not spec.HasField("region")
                and not header.owner
            )
        return self._is_unknown and number < self._most and len(header.name) <= _LONGEST_NAME

    def _examine(self, number: int, header: filler_pb2.BlobHeader, shape: tuple[int, ...]) -> tuple[int, ...]:
        self._check_most(number + 1)
        extent = Extent.of(header.region, shape) if header.HasField("region") else None
        received = shape if extent is None else extent.shape
        if not _is_sound(header, shape, extent, received):
            raise DataLoss(f"the header of blob {number} contradicts itself. Received: {_described(header)}")
        wanted = self._wanted(number)
        if not self._fits(header, shape, extent, wanted):
            raise DataLoss(f"blob {number} was asked for as {self._asked(wanted)}. Received: {_described(header)}")
        self._check_understood(number, header)
        return received

    def _check_understood(self, number: int, header: filler_pb2.BlobHeader) -> None:
        # Servers older than the checksum have none.
        if (self._has_axes or header.HasField("request_crc32c")) and header.request_crc32c != self._checksum:
            raise DataLoss(
                f"the server answers another request than that for blob {number}, '{short(header.name)}'. "
                f"Received: request_crc32c={header.request_crc32c:#010x}, asked: {self._checksum:#010x}"
            )

    def _check_most(self, blobs: int) -> None:
        if self.count is None and blobs > self._most:
            raise DataLoss(f"the blobs of a net of {self._most} bytes were asked for. Received: a stream of {blobs}")

    def _fits(
        self, header: filler_pb2.BlobHeader, shape: tuple[int, ...], extent: Extent | None, wanted: _Wanted
    ) -> bool:
        if header.dtype != self._request.dtype or not _matches(shape, wanted.shape):
            return False
        if wanted.name is None:
            if len(header.name) > _LONGEST_NAME:
                return False
        elif header.name != wanted.name:
            return False
        if wanted.owner is not None and header.owner != wanted.owner:
            return False
        if extent is None and wanted.region is _WHOLE:
            return True
        return (extent or Extent.of(_WHOLE, shape)) == Extent.of(wanted.region, shape)

    def _wanted(self, number: int) -> _Wanted:
        if isinstance(self._request, filler_pb2.FillRequest):
            spec = self._request.blobs[number]
            region = spec.region if spec.HasField("region") else _WHOLE
            return _Wanted(spec.name, tuple(spec.shape.dim[:]), region, "")
        if self._is_whole_net:
            return _ANY if self._plan is None else _Wanted(*self._plan[number][:2], owner=self._plan[number].owner)
        selected = self._request.blobs[number]
        region = selected.region if selected.HasField("region") else _WHOLE
        if (planned := self._planned.get(selected.name)) is None:
            return _Wanted(selected.name, region=region)
        return _Wanted(selected.name, planned.shape, region, planned.owner)

    def _asked(self, wanted: _Wanted) -> str:
        said = [] if wanted.name is None else [f"name='{short(wanted.name)}'"]
        if wanted.shape is not None:
            said.append(f"shape={shape_text(wanted.shape)}")
        return ", ".join([*said, f"region={_region(wanted.region)}", f"dtype={_dtype(self._request.dtype)}"])


def _is_sound(
    header: filler_pb2.BlobHeader, shape: tuple[int, ...], extent: Extent | None, received: tuple[int, ...]
) -> bool:
    """Whether the blob's bytes are those of its shape, region and dtype, so that it can be received into an array."""
    if header.dtype not in _DTYPES or min(shape, default=1) < 1 or (extent is None and header.HasField("region")):
        return False
    return prod(received) * dtypes.from_wire(header.dtype).itemsize == header.bytes


def _matches(shape: tuple[int, ...], wanted: PartialShape) -> bool:
    if wanted is None or shape == wanted:
        return True
    return len(shape) == len(wanted) and all(
        want is None or dim == want for dim, want in zip(shape, wanted, strict=True)
    )


def _described(header: filler_pb2.BlobHeader) -> str:
    owner = f", owner='{short(header.owner)}'" if header.owner else ""
    return (
        f"name='{short(header.name)}', shape={shape_text(header.shape.dim)}, region={_region(header.region)}, "
        f"dtype={_dtype(header.dtype)}, bytes={header.bytes}{owner}"
    )


def blobs_asked_for(count: int | None) -> str:
    """Return how many blobs a stream should have as a message says it."""
    return "1 blob was asked for" if count == 1 else f"{count} blobs were asked for"


def short(name: str) -> str:
    """Return a name as a message shows it."""
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."


def shape_text(dims: Sequence[int | None]) -> str:
    """Return a shape as a message shows it."""
    shown = ", ".join("?" if dim is None else str(dim) for dim in dims[:MAX_AXES])
    return f"[{shown}]" if len(dims) <= MAX_AXES else f"[{shown}, ...] of {len(dims)} axes"


def _region(region: filler_pb2.Region) -> str:
    kind = region.WhichOneof("kind")
    if kind is None:
        return "whole"
    axes = [region.flat] if kind == "flat" else region.box.axes[:MAX_AXES]
    shown = ",".join(f"{axis.start}:{axis.stop if axis.HasField('stop') else ''}" for axis in axes)
    return f"flat:{shown}" if kind == "flat" else f"[{shown}]"


def _dtype(value: int) -> str:
    return filler_pb2.DType.Name(value) if value in filler_pb2.DType.values() else str(value)


def planned_blobs(plan: "NetPlan") -> list[PlannedBlob]:
    """Return what a plan says of each blob, in the order in which a stream of the whole net has them."""
    return [PlannedBlob(blob.name, blob.shape, blob.owner or "") for blob in plan.blobs]
