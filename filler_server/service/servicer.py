"""The servicer: it only translates."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from caffe_filler.errors import Unavailable
from caffe_filler.interface import use_interface
from caffe_filler.metadata import INTERFACE
from caffe_filler.understood import request_checksum
from caffe_filler.v1 import filler_pb2
from filler_server.api import planning, replies, requests
from filler_server.api.digests import digest_replies
from filler_server.api.limits import Limits, Places
from filler_server.api.requests import Job
from filler_server.api.turns import Caller, Turns
from filler_server.cancellation import checkpoint
from filler_server.service.calls import current_call
from filler_server.service.compilation import Compilation
from filler_server.service.frames import frames
from filler_server.service.peers import client_address
from filler_server.service.status import Translated

SERVICE = "caffe_filler.v1.FillerService"
FILL = f"/{SERVICE}/Fill"

_BRIEF_REQUEST = 1024
"""Bytes of a request up to which it is looked at before its call has a thread."""

_Response = TypeVar("_Response", bound=Message)


class FillerServicer:
    """Answers the calls of `caffe_filler.v1.FillerService`.

    Attributes:
        ready: until it is set every call is answered UNAVAILABLE.
    """

    def __init__(self, limits: Limits, turns: Turns, compilation: Compilation) -> None:
        self._compilation = compilation
        self.ready = threading.Event()
        self._limits = limits
        self._streams = Places(limits, "streams")
        self._sequential = Places(limits, "sequential_streams")
        self._planner = planning.Planner(limits, turns)

    def list_fillers(
        self, request: filler_pb2.ListFillersRequest, context: grpc.ServicerContext
    ) -> filler_pb2.ListFillersResponse:
        """Answer ListFillers."""
        return self._answer(context, replies.list_fillers)

    def plan_net(self, request: filler_pb2.PlanNetRequest, context: grpc.ServicerContext) -> filler_pb2.PlanNetResponse:
        """Answer PlanNet."""
        # Counting draws costs what filling costs, and must not take the threads that answer short calls.
        counts = request.HasField("draws")
        with Translated(context):
            self._begin(context)
            if counts:
                self._compilation.wait_for_stream(request.draws.stream)
            with self._slot(context, request.draws.stream) if counts else nullcontext():
                return requests.plan_reply(request, self._limits, plan=self._plan(context))

    def upgrade_net(
        self, request: filler_pb2.UpgradeNetRequest, context: grpc.ServicerContext
    ) -> filler_pb2.UpgradeNetResponse:
        """Answer UpgradeNet."""
        return self._answer(context, lambda: replies.upgrade_reply(self._planner.upgrade(request, _caller(context))))

    def is_brief(self, request: bytes) -> bool:
        """Return whether a Fill with this request is answered in no time, in one message, and waits for nothing."""
        if len(request) > _BRIEF_REQUEST or not self.ready.is_set() or not self._compilation.is_complete:
            return False
        try:
            return requests.is_brief(filler_pb2.FillRequest.FromString(request))
        except DecodeError:
            return False

    def fill(self, request: filler_pb2.FillRequest, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer Fill with encoded `FillResponse` messages."""
        return self._stream(context, request, lambda: requests.fill_job(request, self._limits))

    def fill_net(self, request: filler_pb2.FillNetRequest, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer FillNet with encoded `FillResponse` messages."""
        plan = self._plan(context)
        return self._stream(context, request, lambda: requests.fill_net_job(request, self._limits, plan=plan))

    def digest(
        self, request: filler_pb2.DigestRequest, context: grpc.ServicerContext
    ) -> Iterator[filler_pb2.DigestResponse]:
        """Answer Digest: compute as Fill or FillNet would, and send sums in place of bytes."""
        asked = request.fill_net if request.HasField("fill_net") else request.fill
        plan = self._plan(context)
        job = partial(requests.digest_job, request, self._limits, plan=plan)
        with Translated(context):
            self._wait_for_kernels(context, asked.stream, job)
            with self._slot(context, asked.stream):
                work = job()
                _note(work)
                with self._memory(context, work):
                    yield from digest_replies(work, request_checksum(asked))

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
                "Digest": grpc.unary_stream_rpc_method_handler(
                    self.digest,
                    filler_pb2.DigestRequest.FromString,
                    filler_pb2.DigestResponse.SerializeToString,
                ),
            },
        )

    def _answer(self, context: grpc.ServicerContext, call: Callable[[], _Response]) -> _Response:
        with Translated(context):
            self._begin(context)
            return call()

    def _stream(
        self,
        context: grpc.ServicerContext,
        request: filler_pb2.FillRequest | filler_pb2.FillNetRequest,
        job: Callable[[], Job],
    ) -> Iterator[bytes]:
        with Translated(context):
            self._wait_for_kernels(context, request.stream, job)
            with self._slot(context, request.stream):
                work = job()
                _note(work)
                checksum = request_checksum(request)
                with self._memory(context, work):
                    stream = frames(
                        work.tensors, blob=work.blob, offset=work.offset, checksum=checksum, before_last=_before_last
                    )
                    for message in stream:
                        checkpoint()
                        yield message

    def _memory(self, context: grpc.ServicerContext, work: Job) -> AbstractContextManager[None]:
        """Return what to hold while blobs are sent that are held whole; over Caffe's numbers there are none."""
        if any(tensor.is_held for tensor in work.tensors):
            return self._sequential.hold(peer=client_address(context))
        return nullcontext()

    def _wait_for_kernels(self, context: grpc.ServicerContext, stream: int, job: Callable[[], Job]) -> None:
        """Begin a call that runs long, and hold none of its places while its kernels are being compiled."""
        self._begin(context)
        self._compilation.wait_for_stream(stream)
        if self._compilation.pending:
            with self._slot(context, stream):
                work = job()
            self._compilation.wait_for_tensors(work.tensors)

    def _slot(self, context: grpc.ServicerContext, stream: int) -> AbstractContextManager[object]:
        """Return what holds the places of a call that runs long."""
        peer = client_address(context)
        held = self._streams.hold(peer=peer)
        return held if stream == filler_pb2.PHILOX else _both(held, self._sequential.hold(peer=peer))

    def _plan(self, context: grpc.ServicerContext) -> planning.Plan:
        return lambda request, _: self._planner.plan(request, _caller(context))

    def _begin(self, context: grpc.ServicerContext) -> None:
        """Make sure that the server is ready, and word messages for the interface that the client has."""
        if not self.ready.is_set():
            raise Unavailable("the server is still compiling its kernels")
        for key, value in context.invocation_metadata():
            if key == INTERFACE and isinstance(value, str):
                use_interface(value)


@contextmanager
def _both(first: AbstractContextManager[None], second: AbstractContextManager[None]) -> Iterator[None]:
    with first, second:
        yield


def _note(work: Job) -> None:
    """Let observers of the call know how many blobs its stream has."""
    call = current_call()
    if call is not None:
        call.blobs = len(work.tensors)


def _before_last() -> None:
    call = current_call()
    if call is not None:
        call.is_last = True


def _caller(context: grpc.ServicerContext) -> Caller:
    return Caller(client_address(context), context.is_active)
