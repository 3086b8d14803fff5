"""The client for asyncio programs."""

import asyncio
import copy
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import grpc
import grpc.aio
from google.protobuf.message import Message
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import Cancelled, DataLoss, FillerError, InvalidArgument
from caffe_filler.interface import current_interface
from caffe_filler.memory import keep_freed_memory
from caffe_filler.metadata import INTERFACE
from caffe_filler.v1 import filler_pb2
from filler_client import _finetune, _requests
from filler_client._answer import ExpectedStream, planned_blobs
from filler_client._arrays import Arrivals, Receivers
from filler_client._backend import Arrays, Piece, StreamRequest, closed
from filler_client._connection import SERVICE, RequestId, channel_options, parse_targets
from filler_client._digests import BlobDigest, DigestPosition, digest_request
from filler_client._endings import GRACE_SECONDS
from filler_client._errors import from_rpc
from filler_client._finetune import FinetuneOptions, WeightsLike
from filler_client._options import takes_options
from filler_client._remote import RemoteBackend
from filler_client._replies import read_fillers, read_plan, read_upgrade
from filler_client._requests import FillerLike, FillNetOptions, FillOptions, NetLike, NetOptions
from filler_client._resume import Position, StreamPosition
from filler_client._retry import Attempts, RetryPolicy
from filler_client._saving import SavedNet, SaveNetOptions, save_net
from filler_client._security import Security, SecurityOptions, Version

if TYPE_CHECKING:
    from filler_server.digests import Digest
    from filler_server.net.plan import NetPlan
    from filler_server.weights.merge import MergePlan

_GIVING_UP_SECONDS = 5.0

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response")


class AsyncFillerClient:
    """The remote `FillerClient` with coroutines and asynchronous iterators; the arguments are the same.

    A client belongs to the event loop in which it is first used.

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
        self._set_up(target, timeout, retry or RetryPolicy(), request_id, Security(**security))

    def _set_up(
        self,
        target: str | Sequence[str],
        timeout: float | None,
        policy: RetryPolicy,
        request_id: str | None,
        security: Security,
    ) -> None:
        self._settings = (target, timeout, policy, request_id, security)
        self._targets = parse_targets(target)
        self._request_id = RequestId(request_id)
        security.check(self._targets)
        self._security = security
        self._timeout = timeout
        self._policy = policy
        self._channels: dict[tuple[str, Version], grpc.aio.Channel] = {}
        self._current = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, self._settings

    async def list_fillers(self) -> filler_pb2.ListFillersResponse:
        """Return the fillers with the fields that each reads and their defaults."""
        return await self._call("ListFillers", filler_pb2.ListFillersRequest(), read_fillers)

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
        ((_, array),) = [entry async for entry in self._arrays(request, given)]
        return array

    @takes_options(NetOptions)
    async def plan_net(self, net: NetLike, **options: Unpack[NetOptions]) -> "NetPlan":
        """Return the layers of a net with every shape and learnable blob; see `FillerClient.plan_net`."""
        return await self._plan(_requests.plan_request(net, **options))

    async def upgrade_net(
        self, file: NetLike, *, strict: bool = False, lenient: bool = False
    ) -> filler_pb2.UpgradeNetResponse:
        """Return a net or solver in the current format; see `FillerClient.upgrade_net`."""
        request = _requests.upgrade_request(file, strict=strict, lenient=lenient)
        return await self._call("UpgradeNet", request, read_upgrade)

    @takes_options(FillNetOptions)
    def fill_net(
        self,
        net: NetLike,
        *,
        out: Mapping[str, NDArray[Any]] | None = None,
        **options: Unpack[FillNetOptions],
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Yield name and array of each learnable blob; see `FillerClient.fill_net`."""
        self._check_not_closed()
        return self._arrays(_requests.fill_net_request(net, **options), {} if out is None else out)

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
        self._check_not_closed()
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
        self._check_open()
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
        self._check_open()
        request = _finetune.fill_request(net, **options)
        plan = await asyncio.to_thread(_finetune.local_plan, request.net)
        with ExitStack() as files:
            opening = _finetune.open_merge(plan, weights, ignore_shape=ignore_shape, reshape=reshape)
            merge = await asyncio.to_thread(files.enter_context, opening)
            merge.plan.check()
            for name in merge.plan.missing:
                request.blobs.add(name=name)
            given = {} if out is None else out
            filled = self._arrays(request, given, plan)
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
        self._check_open()
        target, timeout, policy, request_id, security = self._settings
        backend, stopped = RemoteBackend(target, policy, security, request_id), threading.Event()
        advance = options.get("advance")

        def checked(nbytes: int, name: str) -> None:
            if stopped.is_set():
                raise Cancelled("the caller gave up before the file was complete")
            if advance is not None:
                advance(nbytes, name)

        options["advance"] = checked
        pieces = partial(backend.pieces, timeout=timeout)
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
        keep_freed_memory()
        position = StreamPosition(ExpectedStream(request, None if plan is None else planned_blobs(plan)))
        method = "Fill" if isinstance(request, filler_pb2.FillRequest) else "FillNet"
        return self._stream(method, copy.deepcopy(request), position)

    def digests(self, request: StreamRequest, *, plan: "NetPlan | None" = None) -> AsyncIterator[BlobDigest]:
        """Yield the digest of each blob of a request; see `FillerClient.digests`."""
        position = DigestPosition(ExpectedStream(request, None if plan is None else planned_blobs(plan)))
        return self._stream("Digest", digest_request(request), position)

    async def _stream(
        self, method: str, sent: _Request, position: Position[_Request, _Response]
    ) -> AsyncIterator[_Response]:
        attempts = Attempts(self._policy, self._timeout, ",".join(self._targets))
        request_id = self._request_id.of_call()
        while True:
            position.set_start(sent)
            target, channel = self._channel()
            call = channel.unary_stream(f"/{SERVICE}/{method}", type(sent).SerializeToString)(
                sent, timeout=attempts.remaining, metadata=self._metadata(request_id)
            )
            ending: asyncio.TimerHandle | None = None
            try:
                async for message in call:
                    for entry in position.read(message):
                        attempts.progressed()
                        yield entry
                        self._check_not_closed()
                    if position.is_complete and ending is None:
                        ending = asyncio.get_running_loop().call_later(GRACE_SECONDS, call.cancel)
                position.check_complete()
            except grpc.RpcError as error:
                await self._wait(attempts, from_rpc(error, target, self._security))
            except FillerError as error:
                await self._wait(attempts, error)
            except asyncio.CancelledError:
                if not self._is_cut_off(call):
                    raise
                if position.is_complete:
                    return
                raise closed() from None
            else:
                return
            finally:
                if ending is not None:
                    ending.cancel()
                call.cancel()

    async def close(self) -> None:
        """Close the connections."""
        if self._channels:
            self._check_loop()
        self._is_closed = True
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def __aenter__(self) -> "AsyncFillerClient":
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _plan(self, request: filler_pb2.PlanNetRequest) -> "NetPlan":
        return await self._call("PlanNet", request, read_plan)

    async def _arrays(
        self, request: StreamRequest, out: Arrays, plan: "NetPlan | None" = None
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        arrivals = Arrivals(Receivers(out))
        async for piece in self.pieces(request, plan=plan):
            if (complete := arrivals.take(piece)) is not None:
                yield complete

    async def _call(self, method: str, request: _Request, read: Callable[[bytes, _Request], _Response]) -> _Response:
        attempts = Attempts(self._policy, self._timeout, ",".join(self._targets))
        request_id = self._request_id.of_call()
        while True:
            target, channel = self._channel()
            call = channel.unary_unary(f"/{SERVICE}/{method}", type(request).SerializeToString)(
                request, timeout=attempts.remaining, metadata=self._metadata(request_id)
            )
            try:
                response = read(await call, request)
            except grpc.RpcError as error:
                await self._wait(attempts, from_rpc(error, target, self._security))
            except DataLoss as error:
                await self._wait(attempts, error)
            except asyncio.CancelledError:
                if self._is_cut_off(call):
                    raise closed() from None
                raise
            else:
                attempts.progressed()
                return response

    @staticmethod
    def _is_cut_off(call: grpc.aio.Call) -> bool:
        """Whether a call was cancelled from this side of the wire, which gRPC tells as if the task had been."""
        task = asyncio.current_task()
        return call.cancelled() and not (task is not None and task.cancelling())

    async def _wait(self, attempts: Attempts, error: FillerError) -> None:
        await asyncio.sleep(attempts.failed(error))
        self._current += 1

    def _metadata(self, request_id: tuple[str, str]) -> list[tuple[str, str]]:
        return [*(self._security.metadata() or ()), request_id, (INTERFACE, current_interface())]

    def _check_open(self) -> None:
        """Make sure that the client is not closed, and is used in its own event loop."""
        self._check_not_closed()
        self._check_loop()

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise closed()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise InvalidArgument("this client was used in another event loop; each loop needs a client of its own")

    def _channel(self) -> tuple[str, grpc.aio.Channel]:
        self._check_open()
        target = self._targets[self._current % len(self._targets)]
        key = target, self._security.version()
        if key not in self._channels:
            self._channels[key] = self._security.aio_channel(target, channel_options(self._policy))
        return target, self._channels[key]


def _restored(*settings: Any) -> AsyncFillerClient:
    client = AsyncFillerClient.__new__(AsyncFillerClient)
    client._set_up(*settings)
    return client
