"""The guard between the wire and every service of the server: it reads the requests and watches the clients.

gRPC itself reads a request with a thread that waits as long as the client likes, has it parsed by the one thread that
serves all connections, and calls a request that cannot be parsed an error of the server.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded
from filler_server.api.limits import Limits, Places
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.wire import check_wire
from filler_server.service import status
from filler_server.service.watch import CallWatch, WatchedCall

_LOOKED_THROUGH = 64 << 10
"""Bytes of a request from which on its fields are counted before it is parsed: two of them can make a message."""

_FIELD = 32
"""Bytes that HTTP/2 counts for a header field besides its text."""

_Parse = Callable[[bytes], Message]


class RequestGuard(grpc.ServerInterceptor):
    """Makes of every method one that reads its request itself, within the limits.

    The innermost interceptor: others see how calls end, and can end them before anything is read. A unary request
    becomes a stream of one, which on the wire is the same.

    Args:
        limits: those of the server.
        watch: ends the calls whose client neither sends nor reads.
        service: the service whose streams are counted elsewhere; those of the others hold an idle place.
    """

    def __init__(self, limits: Limits, watch: CallWatch, service: str) -> None:
        self._limits = limits
        self._watch = watch
        self._service = service
        self._idle = Places(limits, "idle_streams")
        self._held = Places(limits, "held_bytes")

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Return the handler of a method behind the guard."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        idles = handler.response_streaming and not handler_call_details.method.startswith(f"/{self._service}/")
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: self._stream(handler, idles, requests, context),
                response_serializer=handler.response_serializer,
            )
        return grpc.stream_unary_rpc_method_handler(
            lambda requests, context: self._unary(handler, requests, context),
            response_serializer=handler.response_serializer,
        )

    def _unary(
        self, handler: grpc.RpcMethodHandler, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Message:
        with status.Translated(context), self._watch.watch(context) as call:
            self._check_metadata(context)
            data = _receive(call, requests)
            with self._held.hold(len(data)):
                request = self._parse(data, handler.request_deserializer)
                del data
                response: Message = handler.unary_unary(request, context)
                return response

    def _stream(
        self, handler: grpc.RpcMethodHandler, idles: bool, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        idle: AbstractContextManager[None] = self._idle.hold() if idles else nullcontext()
        with status.Translated(context), idle, self._watch.watch(context) as call:
            self._check_metadata(context)
            if handler.request_streaming:
                yield from _sent(call, handler.stream_stream(self._requests(call, requests, handler), context))
                return
            data = _receive(call, requests)
            with self._held.hold(len(data)):
                request = self._parse(data, handler.request_deserializer)
                del data
                yield from _sent(call, handler.unary_stream(request, context))

    def _check_metadata(self, context: grpc.ServicerContext) -> None:
        self._limits.check(
            "metadata_bytes", sum(len(key) + len(value) + _FIELD for key, value in context.invocation_metadata())
        )

    def _requests(
        self, call: WatchedCall, requests: Iterator[bytes], handler: grpc.RpcMethodHandler
    ) -> Iterator[Message]:
        while True:
            with call.waits("request_seconds"):
                data = next(requests, None)
            if data is None:
                return
            yield self._parse(data, handler.request_deserializer)

    def _parse(self, data: bytes, parse: _Parse) -> Message:
        """Parse a request.

        Raises:
            InvalidArgument: it is not a message of its type.
            LimitExceeded: it has too many fields.
        """
        kind: Any = getattr(parse, "__self__", None)
        try:
            if len(data) > _LOOKED_THROUGH and kind is not None:
                check_wire(data, kind.DESCRIPTOR, ReadLimits(fields=self._limits.fields))
            return parse(data)
        except LimitExceeded:
            raise
        except (FillerError, DecodeError) as error:
            name = "request" if kind is None else kind.DESCRIPTOR.name
            raise InvalidArgument(
                f"the request is not a {name}: {error}. Received: {len(data)} bytes", field=""
            ) from None


def _receive(call: WatchedCall, requests: Iterator[bytes]) -> bytes:
    with call.waits("request_seconds"):
        data = next(requests, None)
    if data is None:
        raise InvalidArgument("a call of this method has one request. Received: none")
    return data


def _sent(call: WatchedCall, responses: Iterator[Any]) -> Iterator[Any]:
    for response in responses:
        with call.waits("stall_seconds"):
            yield response
