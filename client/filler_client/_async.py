"""The client for asyncio programs."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import Cancelled, FillerError
from caffe_filler.v1 import filler_pb2
from filler_client import _finetune, _requests
from filler_client._async_embedded import AsyncEmbeddedBackend
from filler_client._backend import ArrayList, AsyncBackend, BlobDigest, Piece, StreamRequest, client_text
from filler_client._finetune import FinetuneOptions, WeightsLike
from filler_client._many import Batches, BlobSpec
from filler_client._options import takes_options
from filler_client._requests import FillerLike, FillNetOptions, FillOptions, NetLike, NetOptions, ValueOptions
from filler_client._retry import RetryPolicy
from filler_client._saving import SavedNet, SaveNetOptions, save_net
from filler_client._security import Security, SecurityOptions

if TYPE_CHECKING:
    from filler_server.digests import Digest
    from filler_server.net.plan import NetPlan
    from filler_server.weights.merge import MergePlan

_GIVING_UP_SECONDS = 5.0


class AsyncFillerClient:
    """`FillerClient` with coroutines and asynchronous iterators; the arguments are the same.

    A client of a server belongs to the event loop in which it is first used.

    Example:
        async with AsyncFillerClient("localhost:50051") as client:
            async for name, weight in client.fill_net(Path("train_val.prototxt"), seed=1701):
                ...
    """

    @takes_options(SecurityOptions)
    def __init__(
        self,
        target: str | Sequence[str],
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        request_id: str | None = None,
        **security: Unpack[SecurityOptions],
    ) -> None:
        from filler_client._async_remote import AsyncRemoteBackend

        self._backend: AsyncBackend = AsyncRemoteBackend(
            target, retry or RetryPolicy(), Security(**security), request_id
        )
        self._timeout = timeout

    @classmethod
    def embedded(cls) -> "AsyncFillerClient":
        """Return a client that computes in threads of this process; it needs the extra `server`."""
        client = cls.__new__(cls)
        client._backend = AsyncEmbeddedBackend()
        client._timeout = None
        return client

    def __repr__(self) -> str:
        return client_text(self, self._backend)

    async def list_fillers(self) -> filler_pb2.ListFillersResponse:
        """Return the fillers with the fields that each reads and their defaults."""
        return await self._backend.list_fillers(self._timeout)

    @takes_options(FillOptions)
    async def fill(
        self,
        filler: FillerLike,
        shape: Sequence[int],
        *,
        out: NDArray[Any] | None = None,
        **options: Unpack[FillOptions],
    ) -> NDArray[Any]:
        """Return a blob, or a region of one; see `FillerClient.fill`."""
        _requests.warn_of_equal_blobs(options, filler)
        request = _requests.fill_request(filler, shape, **options)
        given = {} if out is None else {request.blobs[0].name: out}
        ((_, array),) = [entry async for entry in self._backend.arrays(request, given, self._timeout)]
        return array

    @takes_options(ValueOptions)
    async def fill_many(
        self,
        blobs: Iterable[BlobSpec],
        *,
        out: ArrayList | None = None,
        **options: Unpack[ValueOptions],
    ) -> list[NDArray[Any]]:
        """Return several blobs, or regions of them, by one request if limits allow; see `FillerClient.fill_many`."""
        self._backend.check_open()
        batches = Batches(blobs, out, self._timeout, **options)
        arrays: list[NDArray[Any]] = []
        while (batch := batches.following()) is not None:
            try:
                async for _, array in self._backend.arrays(batch.request, batch.out, batches.remaining):
                    arrays.append(array)
            except FillerError as error:
                batches.failed(batch, len(arrays) - batch.first, error)
        return arrays

    @takes_options(NetOptions)
    async def plan_net(self, net: NetLike, **options: Unpack[NetOptions]) -> "NetPlan":
        """Return the layers of a net with every shape and learnable blob; see `FillerClient.plan_net`."""
        return await self._backend.plan_net(_requests.plan_request(net, **options), self._timeout)

    async def upgrade_net(
        self, file: NetLike, *, strict: bool = False, lenient: bool = False
    ) -> filler_pb2.UpgradeNetResponse:
        """Return a net or solver in the current format; see `FillerClient.upgrade_net`."""
        request = _requests.upgrade_request(file, strict=strict, lenient=lenient)
        return await self._backend.upgrade_net(request, self._timeout)

    @takes_options(FillNetOptions)
    def fill_net(
        self,
        net: NetLike,
        *,
        out: Mapping[str, NDArray[Any]] | None = None,
        **options: Unpack[FillNetOptions],
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Yield name and array of each learnable blob; see `FillerClient.fill_net`."""
        self._backend.check_not_closed()
        request = _requests.fill_net_request(net, **options)
        return self._backend.arrays(request, {} if out is None else out, self._timeout)

    @takes_options(FillNetOptions)
    async def init_net(self, net: NetLike, **options: Unpack[FillNetOptions]) -> dict[str, NDArray[Any]]:
        """Return all learnable blobs of a net by name; as `fill_net`."""
        return {name: array async for name, array in self.fill_net(net, **options)}

    @takes_options(FillOptions)
    async def digest(self, filler: FillerLike, shape: Sequence[int], **options: Unpack[FillOptions]) -> "Digest":
        """Return the digest of a blob, or a region of one; see `FillerClient.digest`."""
        _requests.warn_of_equal_blobs(options, filler)
        (found,) = [entry async for entry in self.digests(_requests.fill_request(filler, shape, **options))]
        return found.digest

    @takes_options(FillNetOptions)
    def digest_net(self, net: NetLike, **options: Unpack[FillNetOptions]) -> "AsyncIterator[tuple[str, Digest]]":
        """Yield name and digest of each learnable blob; see `FillerClient.digest_net`."""
        self._backend.check_not_closed()
        found = self.digests(_requests.fill_net_request(net, **options))
        return ((entry.header.name, entry.digest) async for entry in found)

    @takes_options(NetOptions)
    async def plan_finetune(
        self,
        net: NetLike,
        weights: WeightsLike,
        *,
        ignore_shape: bool = False,
        reshape: bool = False,
        **options: Unpack[NetOptions],
    ) -> "MergePlan":
        """Return which blobs files of weights have, and which are to be filled; see `FillerClient.plan_finetune`."""
        self._backend.check_open()
        request = _requests.plan_request(net, **options)

        def merge_plan() -> "MergePlan":
            plan = _finetune.local_plan(request)
            with _finetune.open_merge(plan, weights, ignore_shape=ignore_shape, reshape=reshape) as merge:
                return merge.plan

        return await asyncio.to_thread(merge_plan)

    @takes_options(FinetuneOptions)
    async def finetune_net(
        self,
        net: NetLike,
        weights: WeightsLike,
        *,
        ignore_shape: bool = False,
        reshape: bool = False,
        out: Mapping[str, NDArray[Any]] | None = None,
        **options: Unpack[FinetuneOptions],
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Yield name and array of each learnable blob, copied or filled; see `FillerClient.finetune_net`."""
        self._backend.check_open()
        request = _finetune.fill_request(net, **options)
        plan = await asyncio.to_thread(_finetune.local_plan, request.net)
        with ExitStack() as files:
            opening = _finetune.open_merge(plan, weights, ignore_shape=ignore_shape, reshape=reshape)
            merge = await asyncio.to_thread(files.enter_context, opening)
            merge.plan.check()
            _finetune.check_fillers(request, merge)
            for name in merge.plan.missing:
                request.blobs.add(name=name)
            given = {} if out is None else out
            filled = self._backend.arrays(request, given, self._timeout, plan)
            for name, load in _finetune.merged_arrays(merge, dtypes.from_wire(request.dtype), given):
                yield (name, await asyncio.to_thread(load)) if load is not None else await anext(filled)

    @takes_options(SaveNetOptions)
    async def save_net(
        self,
        net: NetLike,
        path: str | PathLike[str],
        *,
        weights: WeightsLike | None = None,
        **options: Unpack[SaveNetOptions],
    ) -> SavedNet:
        """Write all learnable blobs of a net to a file; see `FillerClient.save_net`.

        A thread with a client of its own writes it. Where the caller is cancelled it gives up, and no file appears.
        """
        self._backend.check_open()
        backend, stopped = self._backend.in_thread(), threading.Event()
        advance = options.get("advance")

        def checked(nbytes: int, name: str) -> None:
            if stopped.is_set():
                raise Cancelled("the caller gave up before the file was complete")
            if advance is not None:
                advance(nbytes, name)

        options["advance"] = checked
        pieces = partial(backend.pieces, timeout=self._timeout)
        task = asyncio.create_task(asyncio.to_thread(save_net, pieces, net, path, weights, **options))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stopped.set()
            # It may wait for a server that does not answer.
            backend.close()
            await asyncio.wait([task], timeout=_GIVING_UP_SECONDS)
            raise
        finally:
            backend.close()

    def pieces(self, request: StreamRequest, *, plan: "NetPlan | None" = None) -> AsyncIterator[Piece]:
        """Yield the bytes of a stream piece by piece; see `FillerClient.pieces`."""
        return self._backend.pieces(request, self._timeout, plan)

    def digests(self, request: StreamRequest, *, plan: "NetPlan | None" = None) -> "AsyncIterator[BlobDigest]":
        """Yield the digest of each blob of a request; see `FillerClient.digests`."""
        return self._backend.digests(request, self._timeout, plan)

    async def close(self) -> None:
        """Close the connections; the client cannot be used any more."""
        await self._backend.close()

    async def __aenter__(self) -> "AsyncFillerClient":
        self._backend.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
