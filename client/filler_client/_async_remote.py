"""The service at one or several addresses, for asyncio; a stream goes on where it broke, on whichever answers."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from numpy.typing import NDArray

from caffe_filler.errors import DataLoss, FillerError, InvalidArgument
from caffe_filler.interface import current_interface
from caffe_filler.memory import keep_freed_memory
from caffe_filler.metadata import INTERFACE
from caffe_filler.v1 import filler_pb2
from filler_client._answer import ExpectedStream, planned_blobs
from filler_client._arrays import Arrivals, Receivers
from filler_client._backend import Arrays, BlobDigest, InOrder, Piece, StreamRequest, closed
from filler_client._connection import SERVICE, RequestId, channel_options, parse_targets
from filler_client._digests import DigestPosition, digest_request
from filler_client._endings import GRACE_SECONDS
from filler_client._errors import from_rpc
from filler_client._remote import RemoteBackend
from filler_client._replies import read_fillers, read_plan, read_upgrade
from filler_client._resume import Position, StreamPosition
from filler_client._retry import Attempts, RetryPolicy
from filler_client._security import Security, Version

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response")


class AsyncRemoteBackend:
    """One channel for each target, opened when it is first needed; of the event loop in which it is first used."""

    def __init__(
        self, target: str | Sequence[str], policy: RetryPolicy, security: Security, request_id: str | None = None
    ) -> None:
        self._settings = (target, policy, security, request_id)
        self._targets = parse_targets(target)
        self._request_id = RequestId(request_id)
        security.check(self._targets)
        self._security = security
        self._policy = policy
        self._channels: dict[tuple[str, Version], grpc.aio.Channel] = {}
        self._current = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return AsyncRemoteBackend, self._settings

    def __repr__(self) -> str:
        return ",".join(self._targets)

    def in_thread(self) -> RemoteBackend:
        """Return another backend of the same settings, for a thread."""
        return RemoteBackend(*self._settings)

    async def list_fillers(self, timeout: float | None) -> filler_pb2.ListFillersResponse:
        """Call ListFillers."""
        return await self._call("ListFillers", filler_pb2.ListFillersRequest(), read_fillers, timeout)

    async def plan_net(self, request: filler_pb2.PlanNetRequest, timeout: float | None) -> "NetPlan":
        """Call PlanNet."""
        return await self._call("PlanNet", request, read_plan, timeout)

    async def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, timeout: float | None
    ) -> filler_pb2.UpgradeNetResponse:
        """Call UpgradeNet."""
        return await self._call("UpgradeNet", request, read_upgrade, timeout)

    def pieces(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> AsyncIterator[Piece]:
        """Call Fill or FillNet, as often as it takes to get every byte once."""
        keep_freed_memory()
        position = StreamPosition(ExpectedStream(request, None if plan is None else planned_blobs(plan)))
        method = "Fill" if isinstance(request, filler_pb2.FillRequest) else "FillNet"
        return self._stream(method, copy.deepcopy(request), position, timeout)

    def digests(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> AsyncIterator[BlobDigest]:
        """Call Digest, as often as it takes to get every digest once."""
        position = DigestPosition(ExpectedStream(request, None if plan is None else planned_blobs(plan)))
        return self._stream("Digest", digest_request(request), position, timeout)

    async def arrays(
        self, request: StreamRequest, out: Arrays | InOrder, timeout: float | None, plan: "NetPlan | None" = None
    ) -> AsyncIterator[tuple[str, NDArray[Any]]]:
        """Receive each blob into its array."""
        arrivals = Arrivals(Receivers(out))
        async for piece in self.pieces(request, timeout, plan):
            if (complete := arrivals.take(piece)) is not None:
                yield complete

    async def close(self) -> None:
        """Close the channels."""
        if self._channels:
            self._check_loop()
        self._is_closed = True
        for channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    def check_open(self) -> None:
        """Make sure that the channels are not closed, and are used in their own event loop.

        Raises:
            InvalidArgument: they are closed, or those of another event loop.
        """
        self.check_not_closed()
        self._check_loop()

    def check_not_closed(self) -> None:
        """Make sure that the channels are not closed, wherever that is asked.

        Raises:
            InvalidArgument: they are.
        """
        if self._is_closed:
            raise closed()

    async def _stream(
        self, method: str, sent: _Request, position: Position[_Request, _Response], timeout: float | None
    ) -> AsyncIterator[_Response]:
        attempts = Attempts(self._policy, timeout, ",".join(self._targets))
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
                        self.check_not_closed()
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

    async def _call(
        self, method: str, request: _Request, read: Callable[[bytes, _Request], _Response], timeout: float | None
    ) -> _Response:
        attempts = Attempts(self._policy, timeout, ",".join(self._targets))
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

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise InvalidArgument("this client was used in another event loop; each loop needs a client of its own")

    def _channel(self) -> tuple[str, grpc.aio.Channel]:
        self.check_open()
        target = self._targets[self._current % len(self._targets)]
        key = target, self._security.version()
        if key not in self._channels:
            self._channels[key] = self._security.aio_channel(target, channel_options(self._policy))
        return target, self._channels[key]
