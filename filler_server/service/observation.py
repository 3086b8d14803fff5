"""Observation of every call: measures it, names it, and counts how many are running."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any

import grpc

from caffe_filler.errors import Cancelled
from caffe_filler.metadata import REQUEST_ID, SHORT_ANSWERS
from filler_server.service import call_threads, status
from filler_server.service.calls import Call, CallObserver, request_id
from filler_server.service.delivery import Delivery
from filler_server.service.last_message import Send, can_end_with, end_with

_LONGEST_METHOD = 128
_LONGEST_NAME = 128

_PROMISE = (SHORT_ANSWERS, "1")

_EARLY = 0.1
"""Seconds. A client gives up by its own clock, which began before the server's."""


class Observation(grpc.ServerInterceptor):
    """Tells observers of every call, from its begin to the end of its stream. The outermost interceptor.

    Args:
        observers: those to tell, in this order; in the reverse order of the end.
        methods: all methods of the server, as `/service/method`.
        service: the service whose calls `wait_idle` waits for.
        has_names: whether clients show certificates, which have their names.
    """

    def __init__(
        self, observers: Sequence[CallObserver], methods: Sequence[str], service: str, *, has_names: bool
    ) -> None:
        self._observers = observers
        self._has_names = has_names
        self._methods = frozenset(methods)
        self._service = f"/{service}/"
        self._observing: dict[str, tuple[grpc.RpcMethodHandler, grpc.RpcMethodHandler]] = {}
        self._delivery: Delivery | None = None
        self._running = 0
        self._changed = threading.Condition()

    def deliver_before_end(self, delivery: Delivery) -> None:
        """End streams from now on when their clients have all that was sent."""
        self._delivery = delivery

    def wait_idle(self, seconds: float) -> bool:
        """Wait until every call of the service has ended, and return whether that came to pass in time.

        A call ends when its status has been sent, which is later than the end of its stream.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the handler of a method with the observers around it."""
        name = handler_call_details.method
        handler = continuation(handler_call_details) or _NO_SUCH_METHOD
        kept = self._observing.get(name)
        if kept is not None and kept[0] is handler:
            return kept[1]
        made = self._around(name, handler)
        if name in self._methods:
            self._observing[name] = handler, made
        return made

    def _around(self, name: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        inner = getattr(handler, _behaviour(handler))
        serialize = handler.response_serializer or bytes
        if handler.response_streaming:

            def stream(request: Any, context: grpc.ServicerContext, send: Send) -> None:
                self._stream(name, context, lambda: inner(request, context), serialize, send)

            # It sends its messages itself.
            stream.experimental_non_blocking = True  # type: ignore[attr-defined]
            call_threads.receive_first(stream, like=inner)
            kind = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return kind(stream, handler.request_deserializer)

        def unary(request: Any, context: grpc.ServicerContext) -> bytes:
            with self._observed(name, context) as call:
                _Metadata(call, context).send()
                response: bytes = serialize(inner(request, context))
                call.fill_seconds = time.perf_counter() - call.began
                self._sent(call, len(response))
                return response

        kind = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return kind(unary, handler.request_deserializer)

    def _stream(
        self,
        method: str,
        context: grpc.ServicerContext,
        begin: Callable[[], Iterator[Any] | None],
        serialize: Callable[[Any], bytes],
        send: Send,
    ) -> None:
        last: bytes | None = None
        with self._observed(method, context) as call:
            metadata = _Metadata(call, context)
            since = time.perf_counter()
            responses = begin() or iter(())
            try:
                for response in responses:
                    message = serialize(response)
                    del response
                    if call.is_last and can_end_with(message):
                        last = message
                        continue
                    ready = time.perf_counter()
                    call.fill_seconds += ready - since
                    metadata.send()
                    send(message)
                    if not context.is_active():
                        return
                    since = time.perf_counter()
                    call.send_seconds += since - ready
                    self._sent(call, len(message))
                    del message
                call.fill_seconds += time.perf_counter() - since
                if last is not None:
                    self._sent(call, len(last))
            finally:
                # What the stream holds is free again before anybody hears that it has ended.
                getattr(responses, "close", lambda: None)()
                if last is None:
                    metadata.send()
        if self._delivery is not None and context.is_active() and call_threads.has_thread():
            if last is not None:
                metadata.send()
                send(last)
                last = None
            self._delivery.wait_for(call.peer, context.is_active)
        if last is None:
            send(None)
        else:
            end_with(last, context, send, metadata.unsent)

    def _observed(self, method: str, context: grpc.ServicerContext) -> AbstractContextManager[Call]:
        return _Observed(self, method, context)

    def begin(self, method: str, context: grpc.ServicerContext) -> Call:
        """Tell observers of a call that begins."""
        metadata = tuple([(key, value) for key, value in context.invocation_metadata()])
        name = method.removeprefix("/")
        call = Call(
            method=name[:_LONGEST_METHOD],
            label=name if method in self._methods else "unknown",
            peer=context.peer(),
            request_id=request_id(metadata),
            metadata=metadata,
            client=_common_name(context) if self._has_names else "",
        )
        call.make_current()
        if method.startswith(self._service):
            with self._changed:
                self._running += 1
            if not context.add_callback(self._ended):
                self._ended()
        for observer in self._observers:
            observer.began(call)
        return call

    def end(self, call: Call, context: grpc.ServicerContext) -> None:
        """Tell observers of a call that has ended."""
        call.seconds = time.perf_counter() - call.began
        call.status, call.error, call.limit = _outcome(context)
        for observer in reversed(self._observers):
            observer.ended(call)

    def _ended(self) -> None:
        with self._changed:
            self._running -= 1
            if not self._running:
                self._changed.notify_all()

    def _sent(self, call: Call, nbytes: int) -> None:
        call.bytes += nbytes
        for observer in self._observers:
            observer.sent(call, nbytes)


class _Observed:
    """Observes a call, and ends it with the status of an error; a generator would cost as much as much else of it."""

    __slots__ = ("_call", "_context", "_method", "_observation")

    def __init__(self, observation: Observation, method: str, context: grpc.ServicerContext) -> None:
        self._observation = observation
        self._method = method
        self._context = context

    def __enter__(self) -> Call:
        self._call = self._observation.begin(self._method, self._context)
        return self._call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            status.Translated(self._context).__exit__(kind, error, traceback)
        finally:
            self._observation.end(self._call, self._context)


class _Metadata:
    """Metadata that a call sends before its first message: its name, and what the server promises.

    Attributes:
        unsent: it, None once it was sent.
    """

    __slots__ = ("_context", "unsent")

    def __init__(self, call: Call, context: grpc.ServicerContext) -> None:
        self._context = context
        self.unsent: tuple[tuple[str, str], ...] | None = ((REQUEST_ID, call.request_id), _PROMISE)

    def send(self) -> None:
        """Send it, unless that is done or nobody hears it any more."""
        if self.unsent is not None:
            with suppress(grpc.RpcError):
                self._context.send_initial_metadata(self.unsent)
            self.unsent = None


def _behaviour(handler: grpc.RpcMethodHandler) -> str:
    request = "stream" if handler.request_streaming else "unary"
    return f"{request}_{'stream' if handler.response_streaming else 'unary'}"


def _common_name(context: grpc.ServicerContext) -> str:
    names: Sequence[bytes] = context.auth_context().get("x509_common_name", ())
    return names[0].decode(errors="replace")[:_LONGEST_NAME] if names else ""


def _outcome(context: grpc.ServicerContext) -> tuple[str, str, str]:
    """Status, message and limit by which a call has ended."""
    outcome = status.outcome_of(context)
    # Work that finds its call over ends with Cancelled, whatever ended the call.
    if outcome is not None and outcome.status != Cancelled.status:
        return outcome.status, outcome.message, outcome.limit
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        details = context.details()
        return code.name, details.decode(errors="replace") if isinstance(details, bytes) else details or "", ""
    if context.is_active():
        return "OK", "", ""
    remaining = context.time_remaining()
    return ("DEADLINE_EXCEEDED" if remaining is not None and remaining <= _EARLY else "CANCELLED"), "", ""


def _refuse(requests: object, context: grpc.ServicerContext) -> None:
    try:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    except Exception:
        raise status.Ended from None


_NO_SUCH_METHOD = grpc.stream_stream_rpc_method_handler(_refuse)
