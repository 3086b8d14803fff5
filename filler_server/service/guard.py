"""The guard between the wire and every service of the server: it reads the requests and watches the clients.

gRPC itself reads a request with a thread that waits as long as the client likes, has it parsed by the one thread that
serves all connections, and calls a request that cannot be parsed an error of the server.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import DecodeError, Message

from caffe_filler.errors import InvalidArgument, LimitExceeded, PrototxtError
from caffe_filler.printable import counted
from caffe_filler.v1 import filler_pb2
from filler_server.api.limits import Limits, Places
from filler_server.api.turns import Caller, Turns
from filler_server.cancellation import cancel_when
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.wire import check_wire
from filler_server.service import call_threads, status
from filler_server.service.tokens import HEALTH
from filler_server.service.watch import CallWatch, WatchedCall

_LOOKED_THROUGH = 64 << 10
"""Bytes of a request from which on its fields are counted before it is parsed: two of them can make a message."""

_QUICK = 1024
"""Fields that are counted at once; where there are more, that takes its turn."""

_BLOBS = (filler_pb2.BlobSpec.DESCRIPTOR.full_name, filler_pb2.BlobSelection.DESCRIPTOR.full_name)

_SHORT = 64 << 10
"""Bytes of an answer up to which it is not counted while its client has not taken it."""

_FIELD = 32
"""Bytes that HTTP/2 counts for a header field besides its text."""


class _Method(NamedTuple):
    """A method of the server.

    Attributes:
        handler: answers its calls.
        is_probe: whether its requests are short.
        may_be_slow: whether they may take their time.
    """

    handler: grpc.RpcMethodHandler
    is_probe: bool
    may_be_slow: bool


class RequestGuard(grpc.ServerInterceptor):
    """Makes of every method one that reads its request itself, within the limits.

    The innermost interceptor: others see how calls end, and can end them before anything is read. A unary request
    becomes a stream of one, which on the wire is the same.

    Args:
        limits: those of the server.
        watch: ends the calls whose client neither sends nor reads.
        turns: those of long work.
        service: the service whose requests may be long and whose streams are counted elsewhere; streams of the others
            hold an idle place.
        received_first: methods whose requests are received before a call has a thread (`call_threads`).
    """

    def __init__(
        self, limits: Limits, watch: CallWatch, turns: Turns, service: str, received_first: Collection[str] = ()
    ) -> None:
        self._limits = limits
        self._watch = watch
        self._turns = turns
        self._service = f"/{service}/"
        self._received_first = frozenset(received_first)
        self._idle = Places(limits, "idle_streams")
        self._held = Places(limits, "held_bytes")
        self._guarded: dict[str, tuple[grpc.RpcMethodHandler, grpc.RpcMethodHandler]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the handler of a method behind the guard."""
        handler, name = continuation(handler_call_details), handler_call_details.method
        if handler is None:
            return None
        kept = self._guarded.get(name)
        if kept is None or kept[0] is not handler:
            kept = self._guarded[name] = handler, self._behind(name, handler)
        return kept[1]

    def _behind(self, name: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        method = _Method(handler, is_probe=not name.startswith(self._service), may_be_slow=not name.startswith(HEALTH))
        if handler.response_streaming:

            def stream(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
                return self._stream(method, requests, context)

            if name in self._received_first:
                call_threads.receive_first(stream)
            return grpc.stream_stream_rpc_method_handler(stream, response_serializer=handler.response_serializer)
        return grpc.stream_unary_rpc_method_handler(lambda requests, context: self._unary(method, requests, context))

    def _unary(self, method: _Method, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        with status.Translated(context), self._watch.watch(context, may_be_slow=method.may_be_slow) as call:
            self._begin(call)
            data = _only(call, requests)
            with self._held.hold(len(data), peer=call.peer), ExitStack() as held:
                request = self._parse(method, call, data, held)
                del data
                response: bytes = method.handler.response_serializer(method.handler.unary_unary(request, context))
            if len(response) > _SHORT:
                self._hold_until_over(call, len(response))
            return response

    def _stream(self, method: _Method, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with status.Translated(context), self._watch.watch(context, may_be_slow=method.may_be_slow) as call:
            self._begin(call)
            idle = self._idle.hold(peer=call.peer) if method.is_probe else nullcontext()
            with idle:
                if method.handler.request_streaming:
                    parsed = self._requests(method, call, requests)
                    yield from _sent(call, method.handler.stream_stream(parsed, context))
                    return
                data = _only(call, requests)
                with self._held.hold(len(data), peer=call.peer), ExitStack() as held:
                    request = self._parse(method, call, data, held)
                    del data
                    yield from _sent(call, method.handler.unary_stream(request, context))

    def _begin(self, call: WatchedCall) -> None:
        """Let the work of a call end when the call does.

        The client may cancel it or vanish, its deadline be over or the server's grace. gRPC gives each call a context
        of its own (of `contextvars`), which ends with it.
        """
        metadata = call.context.invocation_metadata()
        self._limits.check("metadata_bytes", sum([len(key) + len(value) + _FIELD for key, value in metadata]))
        cancel_when(lambda: call.is_over)

    def _requests(self, method: _Method, call: WatchedCall, requests: Iterator[bytes]) -> Iterator[Message]:
        while (data := _receive(call, requests)) is not None:
            with ExitStack() as held:
                yield self._parse(method, call, data, held)

    def _parse(self, method: _Method, call: WatchedCall, data: bytes, held: ExitStack) -> Message:
        """Parse a request, and hold in `held` what it then takes.

        Raises:
            InvalidArgument: it is not a message of its type.
            LimitExceeded: it is too long, or has too many fields.
        """
        if method.is_probe:
            self._limits.check("probe_bytes", len(data))
        parse: Callable[[bytes], Message] = method.handler.request_deserializer
        kind: Any = getattr(parse, "__self__", None)
        try:
            if len(data) <= _LOOKED_THROUGH or kind is None:
                return parse(data)
            try:
                memory = self._look_through(kind, data, fields=_QUICK)
                turn: AbstractContextManager[None] = nullcontext()
            except LimitExceeded as error:
                if (error.limit, error.value) != ("fields", _QUICK):
                    raise
                turn = self._turns.turn(Caller(call.peer, lambda: not call.is_over))
                memory = None
            with turn, self._limits.metered(len(data)):
                if memory is None:
                    memory = self._look_through(kind, data, fields=self._limits.fields)
                held.enter_context(self._held.hold(memory, peer=call.peer))
                return parse(data)
        except (PrototxtError, DecodeError) as error:
            name = "request" if kind is None else kind.DESCRIPTOR.name
            raise InvalidArgument(
                f"the request is not a {name}: {error}. Received: {counted(len(data), 'byte')}", field=""
            ) from None

    def _look_through(self, kind: Any, data: bytes, *, fields: int) -> int:
        return check_wire(
            data,
            kind.DESCRIPTOR,
            ReadLimits(fields=min(fields, self._limits.fields)),
            most=dict.fromkeys(_BLOBS, ("request_blobs", self._limits.request_blobs)),
        )

    def _hold_until_over(self, call: WatchedCall, nbytes: int) -> None:
        """Count an answer until the client has taken it."""
        self._held.take(nbytes, call.peer)
        self._watch.when_over(call, lambda: self._held.give_back(nbytes, call.peer))


def _receive(call: WatchedCall, requests: Iterator[bytes]) -> bytes | None:
    call.waits("request_seconds")
    try:
        return next(requests, None)
    finally:
        call.waits(None)


def _only(call: WatchedCall, requests: Iterator[bytes]) -> bytes:
    """Receive the one request of a call."""
    data = _receive(call, requests)
    if data is None:
        raise InvalidArgument("a call of this method has one request. Received: none")
    return data


def _sent(call: WatchedCall, responses: Iterator[Any]) -> Iterator[Any]:
    for response in responses:
        call.waits("stall_seconds")
        try:
            yield response
        finally:
            call.waits(None)
