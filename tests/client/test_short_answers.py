"""Answers of one message, which are asked for by a unary call of a server that promises them."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import DataLoss, DeadlineExceeded
from filler_client import FillerClient, RetryPolicy, _remote
from filler_client._remote import RemoteBackend
from tests.client.lies.server import LyingServer
from tests.processes import ServerProcess


@pytest.fixture
def unary(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The answers that came by a unary call."""
    seen: list[Any] = []
    read = _remote._pieces_of

    def noted(expected: Any, answer: Any, request: Any) -> Any:
        seen.append(answer)
        return read(expected, answer, request)

    monkeypatch.setattr(_remote, "_pieces_of", noted)
    return seen


@pytest.fixture
def liar() -> Iterator[LyingServer]:
    with LyingServer() as server:
        server.promises, server.piece_bytes = True, 1 << 20
        yield server


@pytest.fixture
def client(liar: LyingServer) -> Iterator[FillerClient]:
    with FillerClient(liar.address, retry=RetryPolicy(attempts=1)) as client:
        yield client


def small(client: FillerClient) -> NDArray[Any]:
    return client.fill("xavier", (8, 5), seed=3, name="a")


EXPECTED = FillerClient.embedded().fill("xavier", (8, 5), seed=3, name="a")


def test_a_server_promises_and_is_asked_so(server: ServerProcess, unary: list[Any]) -> None:
    with FillerClient(server.address) as client:
        for number in range(3):
            np.testing.assert_array_equal(small(client), EXPECTED)
            assert len(unary) == number
        out = np.empty((8, 5), np.float32)
        assert client.fill("xavier", (8, 5), seed=3, name="a", out=out) is out
        np.testing.assert_array_equal(out, EXPECTED)
        assert len(unary) == 3
        client.fill("xavier", (8193, 1), seed=3, name="a")
        client.init_net('input: "x" input_shape { dim: [1, 3] } layer { name: "a" type: "PReLU" bottom: "x" top: "y" }')
        assert len(unary) == 3


def test_one_that_does_not_promise_is_never_asked(liar: LyingServer, client: FillerClient, unary: list[Any]) -> None:
    liar.promises = False
    for _ in range(3):
        np.testing.assert_array_equal(small(client), EXPECTED)
    assert not unary


def test_a_broken_promise_costs_time_alone(
    liar: LyingServer, client: FillerClient, unary: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_remote, "_SHORT_SECONDS", 0.3)
    np.testing.assert_array_equal(small(client), EXPECTED)
    liar.piece_bytes, liar.promises = 16, False
    for _ in range(3):
        np.testing.assert_array_equal(small(client), EXPECTED)
    assert liar.calls == 1 + 2 + 1 + 1
    assert not unary


def test_the_time_of_a_call_stays_its_own(liar: LyingServer, client: FillerClient) -> None:
    small(client)
    liar.piece_bytes = 16
    begun = time.monotonic()
    with FillerClient(liar.address, timeout=0.5) as hasty:
        # So that it knows of the promise, without a first call that takes the time.
        assert isinstance(hasty._backend, RemoteBackend)
        hasty._backend._promising.add(hasty._backend._channel()[1])
        with pytest.raises(DeadlineExceeded):
            small(hasty)
    assert time.monotonic() - begun < 4


def test_the_time_of_a_call_whose_server_is_gone_is_told_as_it_was_given(liar: LyingServer) -> None:
    with FillerClient(liar.address, timeout=0.5) as client:
        small(client)
        liar.stop()
        with pytest.raises(DeadlineExceeded, match=r"not done in 0\.5 s"):
            small(client)


def test_only_a_server_that_promises_is_asked_so(
    liar: LyingServer, unary: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_remote, "_SHORT_SECONDS", 60.0)
    with LyingServer() as other, FillerClient(f"{liar.address},{other.address}", timeout=30) as client:
        other.piece_bytes = 16
        small(client)
        liar.stop()
        np.testing.assert_array_equal(small(client), EXPECTED)
    assert not unary


@pytest.mark.parametrize("lie", ["nothing", "another blob", "a wrong checksum", "half of it"])
def test_a_lie_is_noticed(liar: LyingServer, client: FillerClient, lie: str) -> None:
    def told(_: Any, answers: Any) -> Any:
        (answer,) = answers
        (piece,) = answer.pieces
        if lie == "nothing":
            return []
        if lie == "another blob":
            piece.header.name = "b"
        elif lie == "a wrong checksum":
            piece.crc32c ^= 1
        else:
            piece.data, piece.last = piece.data[:8], False
        return [answer]

    small(client)
    liar.lie = told
    with pytest.raises(DataLoss):
        small(client)


def test_what_a_server_breaks_is_asked_for_again(liar: LyingServer, unary: list[Any]) -> None:
    with FillerClient(liar.address, retry=RetryPolicy(attempts=3, first_delay=0.01)) as client:
        small(client)
        spoilt = iter([True, False])

        def told(_: Any, answers: Any) -> Any:
            if next(spoilt):
                answers[0].pieces[0].crc32c ^= 1
            return answers

        liar.lie = told
        np.testing.assert_array_equal(small(client), EXPECTED)
        assert len(unary) == 2
