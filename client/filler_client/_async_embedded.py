"""The service without a server, for asyncio: the library in threads of this process."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from caffe_filler.v1 import filler_pb2
from filler_client._backend import Arrays, BlobDigest, InOrder, Piece, StreamRequest
from filler_client._embedded import EmbeddedBackend

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan

_Entry = TypeVar("_Entry")


class AsyncEmbeddedBackend:
    """The embedded backend, called in threads; work whose caller is cancelled ends at its next step."""

    def __init__(self) -> None:
        self._backend = EmbeddedBackend()

    def __reduce__(self) -> tuple[Any, ...]:
        return AsyncEmbeddedBackend, ()

    def __repr__(self) -> str:
        return repr(self._backend)

    def in_thread(self) -> EmbeddedBackend:
        """Return another backend, for a thread."""
        return EmbeddedBackend()

    async def list_fillers(self, timeout: float | None) -> filler_pb2.ListFillersResponse:
        """Answer ListFillers."""
        return await asyncio.to_thread(self._backend.list_fillers, timeout)

    async def plan_net(self, request: filler_pb2.PlanNetRequest, timeout: float | None) -> "NetPlan":
        """Answer PlanNet."""
        return await asyncio.to_thread(self._backend.plan_net, request, timeout)

    async def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, timeout: float | None
    ) -> filler_pb2.UpgradeNetResponse:
        """Answer UpgradeNet."""
        return await asyncio.to_thread(self._backend.upgrade_net, request, timeout)

    def pieces(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> AsyncIterator[Piece]:
        """Compute piece by piece."""
        return _in_thread(lambda: self._backend.pieces(request, timeout, plan))

    def digests(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> "AsyncIterator[BlobDigest]":
        """Sum up each blob as it is computed."""
        return _in_thread(lambda: self._backend.digests(request, timeout, plan))

    def arrays(
        self, request: StreamRequest, out: Arrays | InOrder, timeout: float | None, plan: "NetPlan | None" = None
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Compute each blob in its array."""
        return _in_thread(lambda: self._backend.arrays(request, out, timeout, plan))

    async def close(self) -> None:
        """End the use of the client."""
        self._backend.close()

    def check_open(self) -> None:
        """Make sure that the client is not closed.

        Raises:
            InvalidArgument: it is.
        """
        self._backend.check_open()

    check_not_closed = check_open


async def _in_thread(entries_of: Callable[[], Iterator[_Entry]]) -> AsyncIterator[_Entry]:
    """Yield what an iterator has, which one thread runs from its beginning to its end."""
    from filler_server.cancellation import cancel_when

    context, loop, unwanted = contextvars.copy_context(), asyncio.get_running_loop(), threading.Event()
    context.run(cancel_when, unwanted.is_set)
    entries = entries_of()
    pool = ThreadPoolExecutor(1, "fill")
    try:
        while (entry := await loop.run_in_executor(pool, context.run, lambda: next(entries, None))) is not None:
            yield entry
    finally:
        unwanted.set()
        # Until then the thread may write to arrays of the caller.
        ended = loop.run_in_executor(pool, context.run, getattr(entries, "close", lambda: None))
        pool.shutdown(wait=False)
        await ended
        # It has nothing to do any more, so that this waits for its end only.
        pool.shutdown()
