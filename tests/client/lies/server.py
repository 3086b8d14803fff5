"""A server that lies: it works out the right answer, from the messages of the published schema, and then spoils it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeAlias

import grpc
from crc32c import crc32c

from caffe_filler.metadata import SHORT_ANSWERS
from caffe_filler.understood import request_checksum
from caffe_filler.v1 import filler_pb2
from filler_client import FillerClient
from filler_server.api.plan_wire import to_wire

SERVICE = "caffe_filler.v1.FillerService"

Answer: TypeAlias = Any
"""A message, or bytes that are to be sent as one."""

Lie: TypeAlias = Callable[[Any, Any], Iterable[Answer]]
"""Takes the request and the right answer, of streams the list of their messages; gives what is sent instead."""


class Refusal(Exception):
    """Raised by a lie to end the call by a status, with any bytes for the details."""

    def __init__(self, status: str, text: str, details: bytes | None = None) -> None:
        super().__init__(text)
        self.code = grpc.StatusCode[status]
        self.text = text
        self.metadata = () if details is None else (("grpc-status-details-bin", details),)


@contextmanager
def _refusing(context: grpc.ServicerContext) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        context.set_trailing_metadata(refusal.metadata)
        context.abort(refusal.code, refusal.text)


class LyingServer:
    """Serves on a port of its own; `lie` may be set at any time.

    Attributes:
        address: where it listens.
        lie: what becomes of an answer.
        hears: what becomes of the request of a stream before it is answered.
        tells: whether blobs come with the checksum of their request, as servers of this version send it.
        promises: whether it says that short answers are one message each.
        piece_bytes: most bytes of a piece.
        calls: how many there were.
    """

    def __init__(self) -> None:
        self.lie: Lie = lambda _, answer: answer
        self.hears: Callable[[Any], Any] = lambda request: request
        self.tells = False
        self.promises = False
        self.piece_bytes = 64
        self.calls = 0
        self.ended = threading.Event()
        self._library = FillerClient.embedded()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8),
            options=[("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
        )
        unary: dict[str, Any] = {
            "ListFillers": (filler_pb2.ListFillersRequest, lambda _: self._library.list_fillers()),
            "PlanNet": (filler_pb2.PlanNetRequest, lambda request: to_wire(self._library.plan(request))),
            "UpgradeNet": (filler_pb2.UpgradeNetRequest, self._upgraded),
        }
        streams: dict[str, Any] = {"Fill": filler_pb2.FillRequest, "FillNet": filler_pb2.FillNetRequest}
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._one(answer), kind.FromString, encoded)
            for name, (kind, answer) in unary.items()
        }
        handlers.update(
            {
                name: grpc.unary_stream_rpc_method_handler(self._stream, kind.FromString, encoded)
                for name, kind in streams.items()
            }
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def __enter__(self) -> "LyingServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Serve no more."""
        self.ended.set()
        self._server.stop(0).wait()

    def _one(self, answer: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Answer]:
        def call(request: Any, context: grpc.ServicerContext) -> Answer:
            self.calls += 1
            with _refusing(context):
                return self.lie(request, answer(request))

        return call

    def _upgraded(self, request: filler_pb2.UpgradeNetRequest) -> filler_pb2.UpgradeNetResponse:
        return self._library.upgrade_net(request.file, strict=request.strict)

    def _stream(self, request: Any, context: grpc.ServicerContext) -> Iterator[Answer]:
        self.calls += 1
        if self.promises:
            context.send_initial_metadata([(SHORT_ANSWERS, "1")])
        with _refusing(context):
            request = self.hears(request)
            for answer in self.lie(request, list(self._messages(request))):
                if not context.is_active():
                    break
                yield answer

    def _messages(self, request: Any) -> Iterator[filler_pb2.FillResponse]:
        """A stream as the contract has it, one small piece a message."""
        blobs: list[tuple[filler_pb2.BlobHeader, bytearray]] = []
        whole = type(request)()
        whole.CopyFrom(request)
        whole.ClearField("start")
        for piece in self._library.pieces(whole):
            if piece.offset == 0:
                if self.tells:
                    piece.header.request_crc32c = request_checksum(request)
                blobs.append((piece.header, bytearray()))
            blobs[-1][1].extend(piece.data)
        start = request.start
        nbytes = sum(len(data) for _, data in blobs[start.blob :]) - start.offset
        head: filler_pb2.StreamHeader | None = filler_pb2.StreamHeader(blobs=len(blobs), bytes=nbytes)
        for number, (header, data) in list(enumerate(blobs))[start.blob :]:
            first = start.offset if number == start.blob else 0
            for offset in range(first, max(len(data), 1), self.piece_bytes):
                part = bytes(data[offset : offset + self.piece_bytes])
                piece = filler_pb2.Piece(
                    blob=number, offset=offset, data=part, crc32c=crc32c(part), last=offset + len(part) == len(data)
                )
                if offset == first:
                    piece.header.CopyFrom(header)
                yield filler_pb2.FillResponse(pieces=[piece], header=head)
                head = None
        if head is not None:
            yield filler_pb2.FillResponse(header=head)


def encoded(answer: Answer) -> bytes:
    """The bytes of an answer."""
    data: bytes = answer if isinstance(answer, bytes) else answer.SerializeToString()
    return data
