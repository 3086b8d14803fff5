"""The threads that answer calls, and the calls that need none.

gRPC gives a thread to a call when it begins, and that thread waits for the request. To answer a call of a small blob
takes less time than to change threads twice. Of some methods the request is therefore received first, by the one thread
that serves all connections, and what is answered in no time is answered there. Nothing public does that; where gRPC has
another form inside, every call has a thread from its begin.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from inspect import signature
from itertools import islice
from typing import Any

from grpc import _server

from filler_server.service import last_message

CALL_THREADS = "call"
"""Prefix of the names of the threads that answer calls."""

_is_without_thread: ContextVar[bool] = ContextVar("is_without_thread", default=False)

_log = logging.getLogger(__name__)

_inside: Any = _server


def _is_inside() -> bool:
    """Return whether gRPC has inside what receives a request, in the form that is known here."""
    try:
        state = _inside._RPCState()
        _inside._receive_message(state, None, None)
        _inside._RequestIterator(state, None, None)._look_for_request()
        _inside.cygrpc.ReceiveMessageOperation(0)
    except StopIteration:
        arguments = ["rpc_event", "state", "behavior", "argument_thunk", "request_deserializer", "response_serializer"]
        return last_message.IS_KNOWN and list(signature(_inside._stream_response_in_pool).parameters) == arguments
    except (AttributeError, TypeError):
        pass
    return False


_IS_KNOWN = _is_inside()

_MARK = "is_received_first"


def receive_first(answer: Callable[..., Any], like: Callable[..., Any] | None = None) -> None:
    """Mark a function that answers calls as one whose requests are received first; or as `like` is marked."""
    setattr(answer, _MARK, like is None or getattr(like, _MARK, False))


def has_thread() -> bool:
    """Whether what runs may wait for its client: the thread is not the one that serves all connections."""
    return not _is_without_thread.get()


class CallThreads(ThreadPoolExecutor):
    """The threads of a server, to be given to gRPC as its pool.

    Args:
        most: number of threads.
        is_brief: whether a call whose request is received first is answered in no time and waits for nothing: it has
            no further requests, and its answer is one message, which `last_message.end_with` sends.
    """

    def __init__(self, most: int, is_brief: Callable[[bytes], bool]) -> None:
        super().__init__(most, thread_name_prefix=CALL_THREADS)
        self._most = most
        self._is_brief = is_brief
        self._lock = threading.Lock()
        self._arriving: dict[_Arriving, int] = {}
        self._looks = 0
        self._received = 0
        self._is_closing = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> "Future[Any]":
        """Run what answers a call: at once in a thread, or when its request is there."""
        if not (_IS_KNOWN and len(args) == 7 and args[0] is _inside._stream_response_in_pool):
            return super().submit(fn, *args, **named)
        event, state, answer, requests = args[1], args[2], args[3], args[4]()
        is_first = getattr(answer, _MARK, False) and isinstance(requests, _inside._RequestIterator)
        with self._lock:
            # No more requests than there are threads are received at once, as each takes memory.
            is_first = is_first and not self._is_closing and len(self._arriving) + self._received < self._most
            if not is_first:
                return super().submit(fn, *args, **named)
            call = _Arriving(fn, args, requests)
            self._arriving[call] = self._looks
        take = _inside._receive_message(state, event.call, args[5])

        def received(happened: Any) -> Any:
            taken = take(happened)
            self._answer(call)
            return taken

        with state.condition:
            operations = (_inside.cygrpc.ReceiveMessageOperation(0),)
            event.call.start_server_batch(operations, received)
            state.due.add(_inside._RECEIVE_MESSAGE_TOKEN)
        return call.future

    def look(self) -> None:
        """Give threads to the calls whose requests have not come since the look before: there they are waited for."""
        with self._lock:
            late = [call for call, look in self._arriving.items() if look < self._looks]
            for call in late:
                del self._arriving[call]
            self._looks += 1
        for call in late:
            self._run_in_thread(call)

    def close(self) -> None:
        """Give a thread to every call from now on, also to those whose requests are being received."""
        with self._lock:
            self._is_closing = True
            arriving, self._arriving = list(self._arriving), {}
        for call in arriving:
            self._run_in_thread(call)

    def _answer(self, call: "_Arriving") -> None:
        """Answer a call whose request is there, or will never be."""
        with self._lock:
            if self._arriving.pop(call, None) is None:
                return
        if self._needs_no_thread(call.state.request):
            call.run(has_thread=False)
            return
        with self._lock:
            self._received += 1
        call.future.add_done_callback(self._done)
        self._run_in_thread(call)

    def _needs_no_thread(self, request: bytes | None) -> bool:
        try:
            return request is not None and not self._is_closing and self._is_brief(request)
        except Exception:
            # It would end the thread that serves all connections.
            _log.exception("a request cannot be looked at before its call has a thread")
            return False

    def _done(self, _: "Future[Any]") -> None:
        with self._lock:
            self._received -= 1

    def _run_in_thread(self, call: "_Arriving") -> None:
        try:
            super().submit(call.run)
        except RuntimeError:
            # The server has ended, and with it the call; or there can be no more threads, and another one runs it.
            call.end()


class _Arriving:
    """A call whose request is being received.

    Attributes:
        state: what gRPC keeps of the call.
        future: done when the call is answered.
    """

    def __init__(self, run: Callable[..., Any], args: tuple[Any, ...], requests: Any) -> None:
        self._run = run
        self._args = args
        self._requests = requests
        self.state = args[2]
        self.future: Future[Any] = Future()

    def run(self, *, has_thread: bool = True) -> None:
        """Answer the call; `run` of its context takes what follows into it."""
        answer, event, state, behavior, _, *serializers = self._args
        try:
            if not has_thread:
                self._run(_is_without_thread.set, True)
            requests = self._all if has_thread else lambda: islice(self._all(), 1)
            self._run(answer, event, state, behavior, requests, *serializers)
        finally:
            self.end()

    def end(self) -> None:
        """Let gRPC know that the call is answered."""
        with suppress(InvalidStateError):
            self.future.set_result(None)

    def _all(self) -> Iterator[bytes]:
        """Yield the requests: the first, which is being received or has come, and those after it."""
        while True:
            with self.state.condition:
                try:
                    first: bytes | None = self._requests._look_for_request()
                except StopIteration:
                    return
                if first is not None:
                    break
                self.state.condition.wait()
        yield first
        yield from self._requests
