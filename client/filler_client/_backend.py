"""What the clients stand on: a server somewhere, or the library in this process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2

StreamRequest: TypeAlias = filler_pb2.FillRequest | filler_pb2.FillNetRequest


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive bytes of one blob.

    Attributes:
        header: name, shape, region, dtype and length of the blob.
        shape: shape of the blob's region.
        offset: byte within the blob's region at which `data` belongs.
        data: little-endian values; valid until the next piece is asked for.
        last: ends the blob.
    """

    header: filler_pb2.BlobHeader
    shape: tuple[int, ...]
    offset: int
    data: memoryview
    last: bool


Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""A caller's arrays to receive into, by the names of the blobs; others are received into new ones."""


class Backend(Protocol):
    """The calls of the service, with streams as pieces or straight into arrays."""

    def list_fillers(self, timeout: float | None) -> filler_pb2.ListFillersResponse:
        """ListFillers."""
        ...

    def plan_net(self, request: filler_pb2.PlanNetRequest, timeout: float | None) -> filler_pb2.PlanNetResponse:
        """PlanNet."""
        ...

    def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, timeout: float | None
    ) -> filler_pb2.UpgradeNetResponse:
        """UpgradeNet."""
        ...

    def pieces(self, request: StreamRequest, timeout: float | None) -> Iterator[Piece]:
        """Fill or FillNet, piece by piece, complete or an error."""
        ...

    def arrays(self, request: StreamRequest, out: Arrays, timeout: float | None) -> Iterator[tuple[str, NDArray[Any]]]:
        """Fill or FillNet, blob by blob, each in its array."""
        ...

    def close(self) -> None:
        """Free what the backend holds."""
        ...


def region_shape(header: filler_pb2.BlobHeader) -> tuple[int, ...]:
    """Return the shape of what the header announces: the blob's, or its region's."""
    kind = header.region.WhichOneof("kind")
    if kind is None:
        # A slice takes half the time of an iteration.
        return tuple(header.shape.dim[:])
    axes = [header.region.flat] if kind == "flat" else list(header.region.box.axes)
    return tuple(axis.stop - axis.start for axis in axes)


def array_for(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], out: Arrays) -> NDArray[Any]:
    """Return the array of a blob: the caller's, or a new one.

    Raises:
        InvalidArgument: the caller's has another shape or dtype, is not C-contiguous, or read-only.
    """
    if name not in out:
        return np.empty(shape, dtype)
    array = out[name]
    if array.shape != shape or array.dtype != dtype:
        raise InvalidArgument(
            f"blob '{name}' needs an array of shape {list(shape)} and dtype {dtype}. "
            f"Received: shape={list(array.shape)}, dtype={array.dtype}"
        )
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise InvalidArgument(
            f"blob '{name}' needs a writable C-contiguous array. "
            f"Received: writeable={array.flags.writeable}, c_contiguous={array.flags.c_contiguous}"
        )
    return array


class Arrivals:
    """Puts pieces, in the order of their stream, into the arrays of their blobs.

    Args:
        out: the caller's arrays; new ones are made for the others.
    """

    def __init__(self, out: Arrays) -> None:
        self._out = out
        self._array: NDArray[Any] | None = None
        self._memory = memoryview(b"")

    def take(self, piece: Piece) -> tuple[str, NDArray[Any]] | None:
        """Copy a piece to its place; return name and array of the blob that it completes, if it does.

        Raises:
            InvalidArgument: the caller's array does not fit the blob.
        """
        header = piece.header
        if self._array is None:
            self._array = array_for(header.name, piece.shape, dtypes.from_wire(header.dtype), self._out)
            self._memory = self._array.reshape(-1).view(np.uint8).data
        self._memory[piece.offset : piece.offset + len(piece.data)] = piece.data
        if not piece.last:
            return None
        array, self._array = self._array, None
        return header.name, array
