"""Answers of one message that are none, too large, contradict themselves, or are to another question."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caffe_filler.errors import (
    DataLoss,
    FillerError,
    InvalidArgument,
    LimitExceeded,
    NetError,
    NotFound,
    ServiceError,
)
from caffe_filler.v1 import filler_pb2
from caffe_filler.wire import length_delimited
from filler_client import AsyncFillerClient, FillerClient, RetryPolicy, _requests
from tests.client.lies.server import LyingServer, Refusal, encoded

POLICY = RetryPolicy(attempts=1)
NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 6] } } }
layer { name: "one" type: "InnerProduct" bottom: "data" top: "one" param { name: "w" }
        inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "two" type: "InnerProduct" bottom: "one" top: "two" param { name: "w" }
        inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
"""
PLAN = _requests.plan_request(NET, phase="TEST", level=2, stages=["deploy"])


@pytest.fixture(scope="module")
def server() -> Iterator[LyingServer]:
    with LyingServer() as server:
        yield server


def changed(change: Callable[[Any], object]) -> Callable[[Any, Any], Any]:
    """A lie that changes the answer."""

    def lie(_: Any, answer: Any) -> Any:
        change(answer)
        return answer

    return lie


def instead(data: bytes) -> Callable[[Any, Any], bytes]:
    """A lie that is another answer altogether."""
    return lambda _, __: data


def first_blob(plan: filler_pb2.PlanNetResponse) -> filler_pb2.BlobPlan:
    return plan.layers[1].blobs[0]


def no_text(_: Any, plan: filler_pb2.PlanNetResponse) -> bytes:
    return plan.SerializeToString().replace(b"xavier", b"\xff\xfe\xfd\xfc\xfb\xfa")


PLANS: dict[str, tuple[Any, str]] = {
    "garbage": (instead(b"\xff" * 50), "a message of 50 bytes is not a PlanNetResponse"),
    "large garbage": (instead(b"\xff" * (1 << 20)), "a message of 1048576 bytes is not a PlanNetResponse"),
    "a name that is no text": (instead(b"\x0a\x02\xff\xfe"), "a message of 4 bytes is not a PlanNetResponse"),
    "a type that is no text": (no_text, "the type of a filler is text. Received: b'"),
    "60 MiB": (instead(b"\x0a" + b"\xff\xff\xff\x1c" + bytes(60 << 20)), "has at most [0-9]+ bytes. Received: 6"),
    "500,000 layers": (instead(b"\x1a\x00" * 500_000), "has at most [0-9]+ fields. Received: more of them"),
    "deep and many": (
        instead(length_delimited(3, length_delimited(5, b"\x12\x00" * 200_000))),
        "has at most [0-9]+ fields. Received: more of them",
    ),
    "another phase": (changed(lambda plan: setattr(plan.state, "phase", 0)), "phase=TEST.*Received: phase=TRAIN"),
    "another level": (changed(lambda plan: plan.state.ClearField("level")), "level=2.*Received: .*level=0"),
    "without its stage": (changed(lambda plan: plan.state.ClearField("stage")), "'deploy'.*Received: .*stages=\\[\\]"),
    "draws": (changed(lambda plan: setattr(plan, "sequential", True)), "draws were not asked for. Received: "),
    "draws of a layer": (changed(lambda plan: setattr(plan.layers[0], "draws", 3)), "all layers have draws or none"),
    "a blob twice": (
        changed(lambda plan: plan.layers[1].blobs.add().CopyFrom(first_blob(plan))),
        "each blob is in a plan once. Received: 'one/0' twice",
    ),
    "a negative dimension": (
        changed(lambda plan: first_blob(plan).shape.dim.__setitem__(0, -6)),
        r"a blob has a shape. Received: 'one/0' of shape \[-6, 6\]",
    ),
    "no values": (
        changed(lambda plan: first_blob(plan).shape.dim.__setitem__(0, 0)),
        r"a blob has a shape. Received: 'one/0' of shape \[0, 6\]",
    ),
    "too many axes": (
        changed(lambda plan: first_blob(plan).shape.dim.extend([1] * 40)),
        "a blob has a shape. Received: 'one/0' of shape .* of 42 axes",
    ),
    "a top with a negative dimension": (
        changed(lambda plan: plan.layers[0].tops[0].shape.dim.__setitem__(0, -2)),
        "a top has a shape. Received: 'data' of shape",
    ),
    "an unknown rank with dimensions": (
        changed(lambda plan: setattr(first_blob(plan).shape, "unknown_rank", True)),
        "a blob has a shape. Received: 'one/0' of unknown rank and shape",
    ),
    "another count": (
        changed(lambda plan: setattr(first_blob(plan), "count", 2**62)),
        r"blob 'one/0' of shape \[6, 6\] has 36 values. Received: 4611686018427387904",
    ),
    "no count": (
        changed(lambda plan: first_blob(plan).ClearField("count")),
        "has 36 values. Received: an unknown number of",
    ),
    "another number of parameters": (
        changed(lambda plan: setattr(plan, "parameters", 1)),
        "the blobs have 48 values. Received: parameters=1",
    ),
    "an owner that does not exist": (
        changed(lambda plan: setattr(plan.layers[2].blobs[0], "owner", "nobody/0")),
        "an owner is a blob of the net. Received: owner='nobody/0'",
    ),
    "owners in a circle": (
        changed(lambda plan: setattr(first_blob(plan), "owner", "two/0")),
        "an owner is a blob of the net. Received: owner='two/0'",
    ),
}

UPGRADES: dict[str, tuple[Any, str]] = {
    "garbage": (instead(b"\xff" * 50), "a message of 50 bytes is not a UpgradeNetResponse"),
    "another kind": (changed(lambda answer: setattr(answer, "kind", "cat")), "a net or a solver. Received: kind='cat'"),
    "another file": (
        changed(lambda answer: setattr(answer, "file", b"name: 'other'")),
        "a file that needs no upgrade stays as it is",
    ),
    "changes": (changed(lambda answer: answer.changes.add(message="changed")), "a file that needs no upgrade stays"),
    "60 MiB": (
        instead(filler_pb2.UpgradeNetResponse(file=bytes(60 << 20)).SerializeToString()),
        "has at most [0-9]+ bytes. Received: 6",
    ),
    "changes without number": (instead(b"\x1a\x00" * 500_000), "has at most [0-9]+ fields. Received: more of them"),
}

FILLERS: dict[str, tuple[Any, str]] = {
    "garbage": (instead(b"\xff" * 50), "a message of 50 bytes is not a ListFillersResponse"),
    "a type twice": (changed(lambda answer: answer.fillers.add(type="msra")), "each filler has a type of its own"),
    "no type": (changed(lambda answer: answer.fillers.add()), "each filler has a type of its own"),
    "fillers without number": (instead(b"\x0a\x00" * 500_000), "has at most [0-9]+ fields. Received: more of them"),
    "over 64 MiB": (instead(bytes(65 << 20)), "larger than max"),
}


def both(server: LyingServer, method: str, *arguments: Any, **options: Any) -> list[FillerError]:
    """The errors that the call raises in both clients."""
    errors: list[FillerError] = []

    async def run() -> None:
        async with AsyncFillerClient(server.address, retry=POLICY) as client:
            await getattr(client, method)(*arguments, **options)

    def call() -> None:
        with FillerClient(server.address, retry=POLICY) as client:
            getattr(client, method)(*arguments, **options)

    for attempt in (call, lambda: asyncio.run(run())):
        with pytest.raises((DataLoss, LimitExceeded)) as caught:
            attempt()
        errors.append(caught.value)
    return errors


@pytest.mark.parametrize("lie", PLANS)
def test_a_plan(server: LyingServer, lie: str) -> None:
    server.lie, words = PLANS[lie]
    for error in both(server, "plan_net", NET, phase="TEST", level=2, stages=["deploy"]):
        assert_matches(error, words)


@pytest.mark.parametrize("lie", UPGRADES)
def test_an_upgrade(server: LyingServer, lie: str) -> None:
    server.lie, words = UPGRADES[lie]
    for error in both(server, "upgrade_net", NET):
        assert_matches(error, words)


@pytest.mark.parametrize("lie", FILLERS)
def test_a_list_of_fillers(server: LyingServer, lie: str) -> None:
    server.lie, words = FILLERS[lie]
    for error in both(server, "list_fillers"):
        assert_matches(error, words)


def test_counted_draws_that_are_left_out(server: LyingServer) -> None:
    server.lie = changed(lambda plan: setattr(plan, "sequential", False))
    request = _requests.with_draws(PLAN, seed=1, stream="caffe", data_draws="none")
    with FillerClient(server.address, retry=POLICY) as client, pytest.raises(DataLoss, match="draws were asked for"):
        client.plan(request)


def test_the_truth_passes(server: LyingServer) -> None:
    server.lie = lambda _, answer: answer
    embedded = FillerClient.embedded()
    draws = _requests.with_draws(PLAN, seed=1, stream="caffe", data_draws="none")
    old = 'layers { name: "c" type: CONVOLUTION convolution_param { num_output: 1 kernel_size: 1 } }'
    with FillerClient(server.address, retry=POLICY) as client:
        assert client.plan(PLAN) == embedded.plan(PLAN)
        assert client.plan(draws) == embedded.plan(draws)
        assert client.list_fillers() == embedded.list_fillers()
        for file in (NET, old):
            assert client.upgrade_net(file) == embedded.upgrade_net(file)


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Some bytes cut out of an answer, and some put in."""
    at, cut, put = draw(st.integers(0, 10_000)), draw(st.integers(0, 9)), draw(st.binary(max_size=9))

    def damage(data: bytes) -> bytes:
        start = at % (len(data) + 1)
        return data[:start] + put + data[start + cut :]

    return damage


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=damages(), call=st.sampled_from(["plan_net", "upgrade_net", "list_fillers"]))
def test_a_damaged_answer_is_an_answer_or_an_error_of_the_tree(
    server: LyingServer, damage: Callable[[bytes], bytes], call: str
) -> None:
    server.lie = lambda _, answer: damage(encoded(answer))
    with FillerClient(server.address, retry=POLICY) as client, contextlib.suppress(FillerError):
        assert getattr(client, call)(*([] if call == "list_fillers" else [NET])) is not None


def details(**metadata: str) -> bytes:
    """Details of a status as this project's servers send them."""
    info = error_details_pb2.ErrorInfo(reason="NetError", domain="caffe_filler", metadata=metadata)
    status = status_pb2.Status()
    status.details.add().Pack(info)
    return status.SerializeToString()


REFUSALS: dict[str, tuple[Refusal, type[FillerError]]] = {
    "details that are none": (Refusal("INVALID_ARGUMENT", "no", b"\xff" * 9), InvalidArgument),
    "numbers that are none": (Refusal("INVALID_ARGUMENT", "no", details(line="x", column="9" * 9999)), NetError),
    "a text of control characters": (Refusal("NOT_FOUND", "\x1b[31mno\r\n"), NotFound),
    "no text": (Refusal("DATA_LOSS", ""), DataLoss),
    "another status than the details": (Refusal("NOT_FOUND", "no", details()), NetError),
    "a status that means nothing here": (Refusal("ALREADY_EXISTS", "no"), ServiceError),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal(server: LyingServer, case: str) -> None:
    refusal, kind = REFUSALS[case]

    def lie(_: Any, __: Any) -> Any:
        raise refusal

    server.lie = lie
    with FillerClient(server.address, retry=POLICY) as client:
        for call in (client.list_fillers, lambda: client.fill("msra", (3, 3))):
            with pytest.raises(FillerError) as caught:
                call()
            assert type(caught.value) is kind


def assert_matches(error: FillerError, words: str) -> None:
    with pytest.raises(FillerError, match=words):
        raise error
    assert len(str(error)) < 1000
