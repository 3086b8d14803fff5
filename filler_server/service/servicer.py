"""The servicer: it only translates."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from caffe_filler.errors import FillerError, LimitExceeded, ServiceError, Unavailable
from caffe_filler.v1 import filler_pb2
from filler_server.service import planning, replies, requests, status
from filler_server.service.frames import frames
from filler_server.service.limits import Limits
from filler_server.service.requests import Job

SERVICE = "caffe_filler.v1.FillerService"

_Response = TypeVar("_Response", bound=Message)
_log = logging.getLogger(__name__)


class FillerServicer:
    """Answers the calls of `caffe_filler.v1.FillerService`.

    Attributes:
        ready: until it is set every call is answered UNAVAILABLE.
    """

    def __init__(self, limits: Limits) -> None:
        self.ready = threading.Event()
        self._limits = limits
        self._streams = threading.BoundedSemaphore(limits.streams)

    def list_fillers(
        self, request: filler_pb2.ListFillersRequest, context: grpc.ServicerContext
    ) -> filler_pb2.ListFillersResponse:
        """Answer ListFillers."""
        return self._answer(context, replies.list_fillers)

    def plan_net(self, request: filler_pb2.PlanNetRequest, context: grpc.ServicerContext) -> filler_pb2.PlanNetResponse:
        """Answer PlanNet."""
        # Counting draws costs what filling costs, and must not take the threads that answer short calls.
        with _Translated(context), self._slot() if request.HasField("draws") else nullcontext():
            self._check_ready()
            return requests.plan_reply(request, self._limits)

    def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, context: grpc.ServicerContext
    ) -> filler_pb2.UpgradeNetResponse:
        """Answer UpgradeNet."""
        return self._answer(context, lambda: replies.upgrade_reply(planning.upgrade(request, self._limits)))

    def fill(self, request: filler_pb2.FillRequest, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer Fill with encoded `FillResponse` messages."""
        return self._stream(context, lambda: requests.fill_job(request, self._limits))

    def fill_net(self, request: filler_pb2.FillNetRequest, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer FillNet with encoded `FillResponse` messages."""
        return self._stream(context, lambda: requests.fill_net_job(request, self._limits))

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the handlers to register with a server.

        The generated registration cannot be used for streams: its serializer expects message objects, and the frames
        are encoded already.
        """
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "ListFillers": grpc.unary_unary_rpc_method_handler(
                    self.list_fillers,
                    filler_pb2.ListFillersRequest.FromString,
                    filler_pb2.ListFillersResponse.SerializeToString,
                ),
                "PlanNet": grpc.unary_unary_rpc_method_handler(
                    self.plan_net,
                    filler_pb2.PlanNetRequest.FromString,
                    filler_pb2.PlanNetResponse.SerializeToString,
                ),
                "UpgradeNet": grpc.unary_unary_rpc_method_handler(
                    self.upgrade_net,
                    filler_pb2.UpgradeNetRequest.FromString,
                    filler_pb2.UpgradeNetResponse.SerializeToString,
                ),
                "Fill": grpc.unary_stream_rpc_method_handler(self.fill, filler_pb2.FillRequest.FromString),
                "FillNet": grpc.unary_stream_rpc_method_handler(self.fill_net, filler_pb2.FillNetRequest.FromString),
            },
        )

    def _answer(self, context: grpc.ServicerContext, call: Callable[[], _Response]) -> _Response:
        with _Translated(context):
            self._check_ready()
            return call()

    def _stream(self, context: grpc.ServicerContext, job: Callable[[], Job]) -> Iterator[bytes]:
        with _Translated(context), self._slot():
            self._check_ready()
            work = job()
            for message in frames(work.sources, blob=work.blob, offset=work.offset):
                if not context.is_active():
                    return
                yield message

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Hold one of the places for calls that run long."""
        if not self._streams.acquire(blocking=False):
            raise LimitExceeded(
                f"over the limit streams={self._limits.streams}: that many streams are running",
                metadata={"limit": "streams", "value": str(self._limits.streams)},
            )
        try:
            yield
        finally:
            self._streams.release()

    def _check_ready(self) -> None:
        if not self.ready.is_set():
            raise Unavailable("the server is still compiling its kernels")


class _Translated:
    """Ends a call with the status of the error that leaves its block; nothing of the host reaches the client."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, FillerError):
            status.abort(self._context, error)
        elif isinstance(error, Exception) and self._context.is_active():
            _log.error("a call failed", exc_info=error)
            status.abort(self._context, ServiceError("the server failed; its log says how"))
