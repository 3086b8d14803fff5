"""The last message of a stream with all that goes along with it, by both ways, as a client sees them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from filler_server.service import last_message
from filler_server.service.last_message import Send, can_end_with, end_with

METADATA = (("x-name", "some"),)


def stream(request: bytes, context: grpc.ServicerContext, send: Send) -> None:
    """Answer with as many messages as asked for, the last one of them with the status."""
    *others, last = (bytes([number]) for number in range(int(request)))
    context.set_trailing_metadata((("x-trailing", "too"),))
    if others:
        context.send_initial_metadata(METADATA)
    for message in others:
        send(message)
    end_with(last, context, send, None if others else METADATA)


stream.experimental_non_blocking = True  # type: ignore[attr-defined]


@pytest.fixture(params=["at once", "one by one"])
def channel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[grpc.Channel]:
    """A channel to a server, with what gRPC has inside and without it."""
    assert last_message.IS_KNOWN, "gRPC has other names inside, so that every small stream is slower"
    monkeypatch.setattr(last_message, "IS_KNOWN", request.param == "at once")
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        handler = grpc.unary_stream_rpc_method_handler(stream)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Stream": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
            yield opened
        server.stop(0).wait()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_client_gets_metadata_messages_and_status(channel: grpc.Channel, count: int) -> None:
    call = channel.unary_stream("/test/Stream")(b"%d" % count)
    assert list(call) == [bytes([number]) for number in range(count)]
    assert tuple(call.initial_metadata()) == METADATA
    assert tuple(call.trailing_metadata()) == (("x-trailing", "too"),)
    assert call.code() is grpc.StatusCode.OK


def test_long_messages_are_waited_for() -> None:
    assert can_end_with(bytes(64 << 10))
    assert not can_end_with(bytes((64 << 10) + 1))


@pytest.mark.parametrize("missing", ["_RPCState", "_send_status_from_server", "_SEND_STATUS_FROM_SERVER_TOKEN"])
def test_a_grpc_that_is_another_one_inside_is_noticed(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    assert last_message._is_inside()
    monkeypatch.delattr(last_message._server, missing)
    assert not last_message._is_inside()


def test_a_grpc_that_takes_other_arguments_inside_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_message._server, "_send_status_from_server", lambda state: None)
    assert not last_message._is_inside()
