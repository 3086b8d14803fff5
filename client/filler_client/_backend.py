"""Backends of the clients: a remote server, or the library in this process."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2

if TYPE_CHECKING:
    from filler_server.digests import Digest
    from filler_server.net.plan import NetPlan

StreamRequest: TypeAlias = filler_pb2.FillRequest | filler_pb2.FillNetRequest


class Piece(NamedTuple):
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


class BlobDigest(NamedTuple):
    """The digest of a blob of a request.

    Attributes:
        header: name, shape, region, dtype and length of the blob.
        digest: of its region.
    """

    header: filler_pb2.BlobHeader
    digest: "Digest"


Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""A caller's arrays to receive into, by the names of the blobs; others are received into new ones."""

ArrayList: TypeAlias = Sequence[NDArray[Any] | None]
"""A caller's arrays in the order of the blobs, with None for a new one."""


Fill: TypeAlias = Callable[..., Mapping[str, NDArray[Any]]]
"""Returns the weights of a net, as `FillerClient.init_net`."""


class InOrder(NamedTuple):
    """Arrays to receive into that are not found by the names of blobs, of which several may be the same."""

    arrays: ArrayList


def client_text(client: object, backend: object) -> str:
    """Return how a client is shown: with where it computes, and without its tokens."""
    kind, where = type(client).__name__, repr(backend)
    return f"{kind}({where!r})" if where else f"{kind}.embedded()"


def closed() -> InvalidArgument:
    """Return the error of a client that is used after its end."""
    return InvalidArgument("this client is closed; a new one can be made")


class Backend(Protocol):
    """The calls of the service, with streams as pieces or straight into arrays."""

    def list_fillers(self, timeout: float | None) -> filler_pb2.ListFillersResponse:
        """ListFillers."""
        ...

    def plan_net(self, request: filler_pb2.PlanNetRequest, timeout: float | None) -> "NetPlan":
        """PlanNet."""
        ...

    def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, timeout: float | None
    ) -> filler_pb2.UpgradeNetResponse:
        """UpgradeNet."""
        ...

    def pieces(self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None) -> Iterator[Piece]:
        """Fill or FillNet, piece by piece, complete and as the plan of the net has it, or an error."""
        ...

    def digests(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> "Iterator[BlobDigest]":
        """Digest, blob by blob."""
        ...

    def arrays(
        self, request: StreamRequest, out: Arrays | InOrder, timeout: float | None, plan: "NetPlan | None" = None
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        """Fill or FillNet, blob by blob, each in its array."""
        ...

    def close(self) -> None:
        """Free what the backend holds; it can do nothing any more."""
        ...

    def check_open(self) -> None:
        """Make sure that the backend is not closed, as every call does.

        Raises:
            InvalidArgument: it is.
        """
        ...


class AsyncBackend(Protocol):
    """The same for asyncio."""

    def in_thread(self) -> Backend:
        """Return another backend of the same settings, for a thread."""
        ...

    async def list_fillers(self, timeout: float | None) -> filler_pb2.ListFillersResponse:
        """ListFillers."""
        ...

    async def plan_net(self, request: filler_pb2.PlanNetRequest, timeout: float | None) -> "NetPlan":
        """PlanNet."""
        ...

    async def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, timeout: float | None
    ) -> filler_pb2.UpgradeNetResponse:
        """UpgradeNet."""
        ...

    def pieces(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> AsyncIterator[Piece]:
        """Fill or FillNet, piece by piece, complete and as the plan of the net has it, or an error."""
        ...

    def digests(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> "AsyncIterator[BlobDigest]":
        """Digest, blob by blob."""
        ...

    def arrays(
        self, request: StreamRequest, out: Arrays | InOrder, timeout: float | None, plan: "NetPlan | None" = None
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Fill or FillNet, blob by blob, each in its array."""
        ...

    async def close(self) -> None:
        """Free what the backend holds; it can do nothing any more."""
        ...

    def check_open(self) -> None:
        """Make sure that the backend is not closed, and is used in its own event loop.

        Raises:
            InvalidArgument: it is closed, or belongs to another loop.
        """
        ...

    def check_not_closed(self) -> None:
        """Make sure that the backend is not closed, where no event loop may be running.

        Raises:
            InvalidArgument: it is.
        """
        ...
