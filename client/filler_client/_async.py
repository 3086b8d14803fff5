"""The client for asyncio programs."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import grpc
import grpc.aio
from google.protobuf.message import Message
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import FillerError
from caffe_filler.memory import keep_freed_memory
from caffe_filler.v1 import filler_pb2
from filler_client import _finetune, _requests
from filler_client._backend import Arrays, Arrivals, Piece, StreamRequest
from filler_client._connection import SERVICE, RequestId, channel_options, parse_targets
from filler_client._errors import from_rpc
from filler_client._finetune import FinetuneOptions, WeightsLike
from filler_client._requests import FillerLike, FillNetOptions, FillOptions, NetLike, NetOptions
from filler_client._resume import StreamPosition
from filler_client._retry import Attempts, RetryPolicy
from filler_client._security import Security, SecurityOptions, Version

if TYPE_CHECKING:
    from filler_server.weights.merge import MergePlan

_Response = TypeVar("_Response", bound=Message)


class AsyncFillerClient:
    """The remote `FillerClient` with coroutines and asynchronous iterators; the arguments are the same.

    Example:
        async with AsyncFillerClient("localhost:50051") as client:
            async for name, weight in client.fill_net(Path("train_val.prototxt"), seed=1701):
                ...
    """

    def __init__(
        self,
        target: str | Sequence[str],
        *,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        request_id: str | None = None,
        **security: Unpack[SecurityOptions],
    ) -> None:
        self._targets = parse_targets(target)
        self._request_id = RequestId(request_id)
        self._security = Security(**security)
        self._security.check(self._targets)
        self._timeout = timeout
        self._policy = retry or RetryPolicy()
        self._channels: dict[tuple[str, Version], grpc.aio.Channel] = {}
        self._current = 0

    async def list_fillers(self) -> filler_pb2.ListFillersResponse:
        """Return the fillers with the fields that each reads and their defaults."""
        return await self._call(
            "ListFillers", filler_pb2.ListFillersRequest(), filler_pb2.ListFillersResponse.FromString
        )

    async def fill(
        self,
        filler: FillerLike,
        shape: Sequence[int],
        *,
        out: NDArray[Any] | None = None,
        **options: Unpack[FillOptions],
    ) -> NDArray[Any]:
        """Return a blob, or a region of one; see `FillerClient.fill`."""
        request = _requests.fill_request(filler, shape, **options)
        given = {} if out is None else {request.blobs[0].name: out}
        ((_, array),) = [entry async for entry in self._arrays(request, given)]
        return array

    async def plan_net(self, net: NetLike, **options: Unpack[NetOptions]) -> filler_pb2.PlanNetResponse:
        """Return the layers of a net with every shape and learnable blob; see `FillerClient.plan_net`."""
        request = _requests.plan_request(net, **options)
        return await self._call("PlanNet", request, filler_pb2.PlanNetResponse.FromString)

    async def upgrade_net(self, file: NetLike, *, strict: bool = False) -> filler_pb2.UpgradeNetResponse:
        """Return a net or solver in the current format; see `FillerClient.upgrade_net`."""
        request = _requests.upgrade_request(file, strict=strict)
        return await self._call("UpgradeNet", request, filler_pb2.UpgradeNetResponse.FromString)

    def fill_net(
        self,
        net: NetLike,
        *,
        out: Mapping[str, NDArray[Any]] | None = None,
        **options: Unpack[FillNetOptions],
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Yield name and array of each learnable blob; see `FillerClient.fill_net`."""
        return self._arrays(_requests.fill_net_request(net, **options), out or {})

    async def init_net(self, net: NetLike, **options: Unpack[FillNetOptions]) -> dict[str, NDArray[Any]]:
        """Return all learnable blobs of a net by name; as `fill_net`."""
        return {name: array async for name, array in self.fill_net(net, **options)}

    async def plan_finetune(
        self, net: NetLike, weights: WeightsLike, *, ignore_shape: bool = False, **options: Unpack[NetOptions]
    ) -> "MergePlan":
        """Return which blobs files of weights have, and which are to be filled; see `FillerClient.plan_finetune`."""
        plan = await self.plan_net(net, **options)

        def merge_plan() -> "MergePlan":
            with _finetune.open_merge(plan, weights, ignore_shape=ignore_shape) as merge:
                return merge.plan

        return await asyncio.to_thread(merge_plan)

    async def finetune_net(
        self,
        net: NetLike,
        weights: WeightsLike,
        *,
        ignore_shape: bool = False,
        out: Mapping[str, NDArray[Any]] | None = None,
        **options: Unpack[FinetuneOptions],
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Yield name and array of each learnable blob, copied or filled; see `FillerClient.finetune_net`."""
        request = _finetune.fill_request(net, **options)
        plan = await self._call("PlanNet", request.net, filler_pb2.PlanNetResponse.FromString)
        with ExitStack() as files:
            opening = _finetune.open_merge(plan, weights, ignore_shape=ignore_shape)
            merge = await asyncio.to_thread(files.enter_context, opening)
            merge.plan.check()
            for name in merge.plan.missing:
                request.blobs.add(name=name)
            given = out or {}
            filled = self._arrays(request, given)
            for name, load in _finetune.merged_arrays(merge, dtypes.from_wire(request.dtype), given):
                yield (name, await asyncio.to_thread(load)) if load is not None else await anext(filled)

    async def pieces(self, request: StreamRequest) -> AsyncIterator[Piece]:
        """Yield the bytes of a stream piece by piece; see `FillerClient.pieces`."""
        keep_freed_memory()
        attempts = Attempts(self._policy, self._timeout)
        position = StreamPosition(request.start)
        sent = copy.deepcopy(request)
        request_id = self._request_id.of_call()
        method = "Fill" if isinstance(request, filler_pb2.FillRequest) else "FillNet"
        while True:
            position.set_start(sent)
            target, channel = self._channel()
            call = channel.unary_stream(f"/{SERVICE}/{method}", type(sent).SerializeToString)(
                sent, timeout=attempts.remaining, metadata=self._metadata(request_id)
            )
            try:
                async for message in call:
                    for piece in position.pieces(message):
                        attempts.progressed()
                        yield piece
                position.check_complete()
            except grpc.RpcError as error:
                await self._wait(attempts, from_rpc(error, target))
            except FillerError as error:
                await self._wait(attempts, error)
            else:
                return
            finally:
                call.cancel()

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def __aenter__(self) -> "AsyncFillerClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _arrays(self, request: StreamRequest, out: Arrays) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        arrivals = Arrivals(out)
        async for piece in self.pieces(request):
            if (complete := arrivals.take(piece)) is not None:
                yield complete

    async def _call(self, method: str, request: Message, parse: Callable[[bytes], _Response]) -> _Response:
        attempts = Attempts(self._policy, self._timeout)
        request_id = self._request_id.of_call()
        while True:
            target, channel = self._channel()
            call = channel.unary_unary(f"/{SERVICE}/{method}", type(request).SerializeToString, parse)
            try:
                response: _Response = await call(
                    request, timeout=attempts.remaining, metadata=self._metadata(request_id)
                )
            except grpc.RpcError as error:
                await self._wait(attempts, from_rpc(error, target))
            else:
                return response

    async def _wait(self, attempts: Attempts, error: FillerError) -> None:
        await asyncio.sleep(attempts.failed(error))
        self._current += 1

    def _metadata(self, request_id: tuple[str, str]) -> list[tuple[str, str]]:
        return [*(self._security.metadata() or ()), request_id]

    def _channel(self) -> tuple[str, grpc.aio.Channel]:
        target = self._targets[self._current % len(self._targets)]
        key = target, self._security.version()
        if key not in self._channels:
            self._channels[key] = self._security.aio_channel(target, channel_options(self._policy))
        return target, self._channels[key]
