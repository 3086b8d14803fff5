from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_filler import errors
from caffe_filler.errors import FieldViolation, FillerError
from filler_client._errors import from_rpc
from filler_client._security import Security
from filler_server.service import status

TREE: list[FillerError] = [
    errors.FillerError("inside"),
    errors.InvalidArgument("wrong", violations=[FieldViolation("a", "b"), FieldViolation("c.d[3]", "e")]),
    errors.PrototxtError("not a message", line=3, column=14),
    errors.PrototxtError("not a message"),
    errors.NetError("no such bottom", layer="conv1", line=7),
    errors.NetError("no layer"),
    errors.FillerParameterError("std must be positive. Received: std=-1", field="std"),
    errors.ShapeError("too long. Received: shape=[0, 3]"),
    errors.RegionError("outside. Received: region=0:4"),
    errors.WeightsError("cut short. Received: 3 bytes"),
    errors.NotFound("nothing"),
    errors.UnknownFiller("no such filler", field="type"),
    errors.UnknownBlob("no such blob"),
    errors.Unauthenticated("no token"),
    errors.LimitExceeded("over", limit="streams", value=64),
    errors.Unavailable("compiling"),
    errors.DeadlineExceeded("over"),
    errors.Cancelled("given up"),
    errors.DataLoss("bits"),
    errors.ServiceError("broken", code="INTERNAL"),
    errors.InvalidArgument("two\nlines\tof 100 % «naïve» 日本語 text\x7f\x01 "),
]


class Raiser:
    """A real gRPC server that ends its one call with any error, and a client of it."""

    def __init__(self) -> None:
        self.end: Callable[[Any], None] = lambda context: None
        method = grpc.unary_unary_rpc_method_handler(lambda request, context: self.end(context) or request)
        self._server = grpc.server(ThreadPoolExecutor(1))
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test", {"Raise": method})])
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._call = self._channel.unary_unary("/test/Raise")

    def close(self) -> None:
        self._channel.close()
        self._server.stop(None).wait()

    def status_of(self, error: FillerError) -> Any:
        """Return what a client gets when a servicer aborts with `error`."""
        self.end = lambda context: status.abort(context, error)
        with pytest.raises(grpc.RpcError) as caught:
            self._call(b"")
        return caught.value

    def over_the_wire(self, error: FillerError) -> FillerError:
        return from_rpc(self.status_of(error), "host:1", Security(token="shown"))


@pytest.fixture(scope="module")
def raiser() -> Iterator[Raiser]:
    raiser = Raiser()
    yield raiser
    raiser.close()


def test_the_tree_is_complete() -> None:
    classes = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FillerError)}
    assert classes == {type(error) for error in TREE}


@pytest.mark.parametrize("error", TREE, ids=lambda error: type(error).__name__)
def test_a_remote_client_raises_what_the_library_would_have(raiser: Raiser, error: FillerError) -> None:
    received = raiser.over_the_wire(error)
    assert type(received) is type(error)
    assert str(received) == received.message == str(error)
    assert received.args == (str(error),)
    assert received.violations == error.violations
    assert received.metadata == error.metadata
    for name in ("line", "column", "layer", "field", "code", "limit", "value"):
        assert getattr(received, name, None) == getattr(error, name, None)


@pytest.mark.parametrize("error", TREE, ids=lambda error: type(error).__name__)
def test_any_client_reads_status_and_details(raiser: Raiser, error: FillerError) -> None:
    received = raiser.status_of(error)
    assert received.code().name == error.status
    assert received.code().name != "UNKNOWN"
    (encoded,) = [value for key, value in received.trailing_metadata() if key == "grpc-status-details-bin"]
    details = status_pb2.Status.FromString(encoded)
    assert (details.code, details.message) == (received.code().value[0], received.details())
    info = error_details_pb2.ErrorInfo()
    assert details.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("caffe_filler", type(error).__name__)
    assert len(details.details) == (2 if error.violations else 1)


@pytest.mark.parametrize("character", ["x", "é", "日", "🙂", "\n", "%"])
def test_a_long_error_is_cut_and_arrives(raiser: Raiser, character: str) -> None:
    text = character * 100_000
    error = errors.NetError(text, layer=text, line=12)
    error.violations = tuple(FieldViolation(text, text) for _ in range(1000))
    received = raiser.over_the_wire(error)
    assert isinstance(received, errors.NetError)
    assert received.message.startswith(f"line 12, layer '{character}")
    assert received.message.endswith(f"{character}...")
    assert len(received.message.encode()) > 1000
    assert received.line == 12
    assert received.layer is not None
    assert received.layer.endswith("...")
    assert 1 <= len(received.violations) < 10
    assert received.violations[0].description.endswith("...")


@pytest.mark.parametrize("character", ["x", "日"])
def test_the_first_of_many_violations_arrive(raiser: Raiser, character: str) -> None:
    violations = [FieldViolation(f"blobs[{number}].shape", character * 30) for number in range(1000)]
    received = raiser.over_the_wire(errors.InvalidArgument("wrong", violations=violations))
    assert len(received.violations) > 5
    assert list(received.violations[:-1]) == violations[: len(received.violations) - 1]


def test_long_metadata_are_cut(raiser: Raiser) -> None:
    name = "日" * 1000
    error = errors.NetError(name, layer=name, line=7).within(name, blob=name, field=name)
    error.field = name
    received = raiser.over_the_wire(error)
    assert type(received) is errors.NetError
    assert received.metadata.keys() == error.metadata.keys() == {"field", "layer", "line", "blob"}
    assert all(len(value.encode()) <= 256 for value in received.metadata.values())


def test_half_a_surrogate_pair_does_no_harm(raiser: Raiser) -> None:
    error = errors.InvalidArgument("\udc80", violations=[FieldViolation("\udc80", "\udc80")])
    error.layer = "\udc80"
    assert str(raiser.over_the_wire(error)) == "?"


class Failed(grpc.RpcError):  # type: ignore[misc]
    """A failed call as gRPC shows it."""

    def __init__(self, code: grpc.StatusCode, details: str | None = "text", trailing: Any = ()) -> None:
        super().__init__()
        self._code, self._details, self._trailing = code, details, trailing

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailing


def packed(message: Any) -> any_pb2.Any:
    any_message = any_pb2.Any()
    any_message.Pack(message)
    return any_message


def with_details(*details: Any) -> Any:
    value = status_pb2.Status(details=[packed(detail) for detail in details]).SerializeToString()
    return (("grpc-status-details-bin", value),)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN"])
def test_what_the_transport_answers_is_unavailable(code: str) -> None:
    error = from_rpc(Failed(grpc.StatusCode[code], "Socket closed"), "host:1", Security())
    assert type(error) is errors.Unavailable
    assert str(error) == "host:1: Socket closed"


@pytest.mark.parametrize("trailing", [None, (), (("other", "x"),)])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", errors.InvalidArgument),
        ("NOT_FOUND", errors.NotFound),
        ("RESOURCE_EXHAUSTED", errors.LimitExceeded),
        ("DEADLINE_EXCEEDED", errors.DeadlineExceeded),
        ("DATA_LOSS", errors.DataLoss),
    ],
)
def test_a_status_without_details(trailing: Any, code: str, kind: type[FillerError]) -> None:
    error = from_rpc(Failed(grpc.StatusCode[code], trailing=trailing), "host:1", Security())
    assert type(error) is kind
    assert (str(error), error.metadata, error.violations) == ("text", {}, ())


@pytest.mark.parametrize(
    ("text", "metadata", "busy", "cut_off"),
    [
        ("Concurrent RPC limit exceeded!", {"limit": "calls"}, True, False),
        (
            "over the limit stall_seconds=120.0. Received: 120.5",
            {"limit": "stall_seconds", "value": "120.0", "received": "120.5"},
            False,
            True,
        ),
        ("over the limit streams=1. Received: 2", {"limit": "streams", "value": "1", "received": "2"}, True, False),
        ("CLIENT: Received message larger than max", {}, False, False),
    ],
)
def test_a_limit_without_details(text: str, metadata: dict[str, str], busy: bool, cut_off: bool) -> None:
    error = from_rpc(Failed(grpc.StatusCode.RESOURCE_EXHAUSTED, text), "host:1", Security())
    assert isinstance(error, errors.LimitExceeded)
    assert (str(error), error.metadata, error.is_busy, error.is_cut_off) == (text, metadata, busy, cut_off)


@pytest.mark.parametrize("code", ["UNIMPLEMENTED", "PERMISSION_DENIED", "ABORTED", "OUT_OF_RANGE"])
def test_other_statuses(code: str) -> None:
    error = from_rpc(Failed(grpc.StatusCode[code]), "host:1", Security())
    assert isinstance(error, errors.ServiceError)
    assert error.code == code
    assert str(error) == f"host:1: {code}: text"


def test_no_details_at_all() -> None:
    assert str(from_rpc(Failed(grpc.StatusCode.UNAVAILABLE, None, None), "host:1", Security())) == "host:1: UNAVAILABLE"


def test_an_error_of_a_newer_server_is_one_of_its_status() -> None:
    info = error_details_pb2.ErrorInfo(domain="caffe_filler", reason="BrandNew", metadata={"layer": "a"})
    error = from_rpc(Failed(grpc.StatusCode.INVALID_ARGUMENT, trailing=with_details(info)), "host:1", Security())
    assert type(error) is errors.InvalidArgument
    assert error.metadata == {"layer": "a"}


@pytest.mark.parametrize("reason", ["FieldViolation", "Mapping", "__doc__", "_number", ""])
def test_a_reason_that_is_no_error(reason: str) -> None:
    info = error_details_pb2.ErrorInfo(domain="caffe_filler", reason=reason)
    error = from_rpc(Failed(grpc.StatusCode.NOT_FOUND, trailing=with_details(info)), "host:1", Security())
    assert type(error) is errors.NotFound


def test_details_of_another_domain_are_not_ours() -> None:
    info = error_details_pb2.ErrorInfo(domain="proxy.example", reason="ShapeError", metadata={"a": "b"})
    error = from_rpc(Failed(grpc.StatusCode.INTERNAL, trailing=with_details(info)), "host:1", Security())
    assert type(error) is errors.Unavailable


def test_violations_come_in_any_order_with_other_details() -> None:
    bad = error_details_pb2.BadRequest(field_violations=[{"field": "a", "description": "b"}])
    info = error_details_pb2.ErrorInfo(domain="caffe_filler", reason="ShapeError")
    help_links = error_details_pb2.Help(links=[{"url": "x"}])
    error = from_rpc(
        Failed(grpc.StatusCode.INVALID_ARGUMENT, trailing=with_details(help_links, bad, info)), "host:1", Security()
    )
    assert type(error) is errors.ShapeError
    assert error.violations == (FieldViolation("a", "b"),)


def test_details_that_nobody_can_read() -> None:
    trailing = (("grpc-status-details-bin", b"\xff\xff\xff"),)
    error = from_rpc(Failed(grpc.StatusCode.INVALID_ARGUMENT, trailing=trailing), "host:1", Security())
    assert type(error) is errors.InvalidArgument


@given(st.text(max_size=3000), st.integers(0, 1100))
@settings(deadline=None)
def test_shortened_text_fits(text: str, room: int) -> None:
    short = status._shorten(text, room)
    assert len(short.encode()) <= room
    if len(text.encode(errors="replace")) <= room:
        assert short == text.encode(errors="replace").decode()
