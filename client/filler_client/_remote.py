"""The service at one or several addresses; a stream goes on where it broke, on whichever answers."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.experimental
from google.protobuf.message import Message
from numpy.typing import NDArray

from caffe_filler.errors import DataLoss, FillerError
from caffe_filler.interface import current_interface
from caffe_filler.memory import keep_freed_memory
from caffe_filler.metadata import INTERFACE, SHORT_ANSWERS
from caffe_filler.short_answers import is_short
from caffe_filler.v1 import filler_pb2
from filler_client._answer import ExpectedStream, planned_blobs
from filler_client._arrays import Arrivals, Receivers
from filler_client._backend import Arrays, BlobDigest, InOrder, Piece, StreamRequest, closed
from filler_client._connection import SERVICE, RequestId, channel_options, parse_targets
from filler_client._digests import DigestPosition, digest_request
from filler_client._endings import Endings
from filler_client._errors import from_rpc
from filler_client._replies import read_fillers, read_plan, read_upgrade
from filler_client._resume import Position, StreamPosition
from filler_client._retry import Attempts, RetryPolicy
from filler_client._security import Security, Version

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response")

_PROMISE = (SHORT_ANSWERS, "1")

_SHORT_SECONDS = 5.0
"""Time for an answer of one message. After that the stream is asked for: a unary call would never end where a server
breaks its promise."""

_endings = Endings()


class _NotPromised(Exception):
    """An answer of one message is not to be had."""


class RemoteBackend:
    """One channel for each target, opened when it is first needed."""

    def __init__(
        self, target: str | Sequence[str], policy: RetryPolicy, security: Security, request_id: str | None = None
    ) -> None:
        self._settings = (target, policy, security, request_id)
        self._request_id = RequestId(request_id)
        self._targets = parse_targets(target)
        security.check(self._targets)
        self._security = security
        self._policy = policy
        self._channels: dict[tuple[str, Version], grpc.Channel] = {}
        self._promising: set[grpc.Channel] = set()
        self._current = 0
        self._is_closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteBackend, self._settings

    def __repr__(self) -> str:
        return ",".join(self._targets)

    def list_fillers(self, timeout: float | None) -> filler_pb2.ListFillersResponse:
        """Call ListFillers."""
        return self._call("ListFillers", filler_pb2.ListFillersRequest(), read_fillers, self._attempts(timeout))

    def plan_net(self, request: filler_pb2.PlanNetRequest, timeout: float | None) -> "NetPlan":
        """Call PlanNet."""
        return self._call("PlanNet", request, read_plan, self._attempts(timeout))

    def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, timeout: float | None
    ) -> filler_pb2.UpgradeNetResponse:
        """Call UpgradeNet."""
        return self._call("UpgradeNet", request, read_upgrade, self._attempts(timeout))

    def pieces(self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None) -> Iterator[Piece]:
        """Call Fill or FillNet, as often as it takes to get every byte once."""
        keep_freed_memory()
        expected = ExpectedStream(request, None if plan is None else planned_blobs(plan))
        attempts = self._attempts(timeout)
        if isinstance(request, filler_pb2.FillRequest) and self._promising and is_short(request):
            try:
                answer = self._call("Fill", request, partial(_pieces_of, expected), attempts, is_promised=True)
            except _NotPromised:
                pass
            else:
                for piece in answer:
                    yield piece
                    self.check_open()
                return
        method = "Fill" if isinstance(request, filler_pb2.FillRequest) else "FillNet"
        yield from self._stream(method, copy.deepcopy(request), StreamPosition(expected), attempts)

    def digests(
        self, request: StreamRequest, timeout: float | None, plan: "NetPlan | None" = None
    ) -> Iterator[BlobDigest]:
        """Call Digest, as often as it takes to get every digest once."""
        position = DigestPosition(ExpectedStream(request, None if plan is None else planned_blobs(plan)))
        yield from self._stream("Digest", digest_request(request), position, self._attempts(timeout))

    def _stream(
        self, method: str, sent: _Request, position: Position[_Request, _Response], attempts: Attempts
    ) -> Iterator[_Response]:
        """Yield what a stream has, over as many connections as it takes."""
        request_id = self._request_id.of_call()
        while True:
            position.set_start(sent)
            target, channel = self._channel()
            with self._invoking():
                # Its messages stay bytes.
                call = channel.unary_stream(f"/{SERVICE}/{method}", type(sent).SerializeToString)(
                    sent, timeout=attempts.remaining, metadata=self._metadata(request_id)
                )
            try:
                for message in call:
                    for entry in position.read(message):
                        attempts.progressed()
                        yield entry
                        self.check_open()
                    if position.is_complete:
                        _endings.expect(call)
                position.check_complete()
                if _PROMISE in (call.initial_metadata() or ()):
                    self._promising.add(channel)
            except grpc.RpcError as error:
                if position.is_complete and error.code() is grpc.StatusCode.CANCELLED:
                    return
                self._wait(attempts, from_rpc(error, target, self._security))
            except FillerError as error:
                self._wait(attempts, error)
            else:
                return
            finally:
                _endings.ended(call)
                _end(call)

    def arrays(
        self, request: StreamRequest, out: Arrays | InOrder, timeout: float | None, plan: "NetPlan | None" = None
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        """Receive each blob into its array."""
        arrivals = Arrivals(Receivers(out))
        for piece in self.pieces(request, timeout, plan):
            if (complete := arrivals.take(piece)) is not None:
                yield complete

    def close(self) -> None:
        """Close the channels."""
        self._is_closed = True
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        self._promising.clear()

    def check_open(self) -> None:
        """Make sure that the channels are not closed.

        Raises:
            InvalidArgument: they are.
        """
        if self._is_closed:
            raise closed()

    def _call(
        self,
        method: str,
        request: _Request,
        read: Callable[[bytes, _Request], _Response],
        attempts: Attempts,
        *,
        is_promised: bool = False,
    ) -> _Response:
        """Call what has one answer; where that `is_promised`, of servers that promise it alone.

        Raises:
            _NotPromised: the server whose turn it is does not promise it, or does not keep its promise.
        """
        request_id = self._request_id.of_call()
        while True:
            target, channel = self._channel()
            if is_promised and channel not in self._promising:
                raise _NotPromised
            call = channel.unary_unary(f"/{SERVICE}/{method}", type(request).SerializeToString)
            seconds = attempts.remaining
            if is_promised:
                seconds = _SHORT_SECONDS if seconds is None else min(seconds, _SHORT_SECONDS)
            try:
                with self._invoking():
                    answer = call(request, timeout=seconds, metadata=self._metadata(request_id))
                response = read(answer, request)
            except grpc.RpcError as error:
                if is_promised and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and attempts.remaining != 0:
                    self._promising.discard(channel)
                    raise _NotPromised from None
                self._wait(attempts, from_rpc(error, target, self._security))
            except DataLoss as error:
                self._wait(attempts, error)
            else:
                attempts.progressed()
                return response

    def _attempts(self, timeout: float | None) -> Attempts:
        return Attempts(self._policy, timeout, ",".join(self._targets))

    def _wait(self, attempts: Attempts, error: FillerError) -> None:
        time.sleep(attempts.failed(error))
        self._current += 1

    def _metadata(self, request_id: tuple[str, str]) -> list[tuple[str, str]]:
        return [*(self._security.metadata() or ()), request_id, (INTERFACE, current_interface())]

    @contextmanager
    def _invoking(self) -> Iterator[None]:
        """Tell what it means that gRPC refuses to start a call: another thread has closed the channel meanwhile."""
        try:
            yield
        except ValueError:
            self.check_open()
            raise

    def _channel(self) -> tuple[str, grpc.Channel]:
        self.check_open()
        target = self._targets[self._current % len(self._targets)]
        key = target, self._security.version()
        if key not in self._channels:
            options = [*channel_options(self._policy), (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)]
            self._channels[key] = self._security.channel(target, options)
        return target, self._channels[key]


def _pieces_of(expected: ExpectedStream, answer: bytes | None, _: StreamRequest) -> list[Piece]:
    """Return the pieces of a stream of one message."""
    position = StreamPosition(expected)
    pieces = [] if answer is None else list(position.read(answer))
    position.check_complete()
    return pieces


def _end(call: Any) -> None:
    """Cancel a call that may be over, and let go of it.

    gRPC keeps a call that runs without a thread of its own until its last event is taken, which nothing public does
    for one that is cancelled: each stream that a caller gives up would stay in memory.
    """
    call.cancel()
    take, state = getattr(call, "_consume_next_event", None), getattr(call, "_state", None)
    while take is not None and state is not None and state.due:
        take()
