import math
import time
from itertools import pairwise

import pytest

from caffe_filler.errors import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FillerError,
    InvalidArgument,
    LimitExceeded,
    ServiceError,
    ShapeError,
    Unavailable,
    UnknownBlob,
)
from filler_client._retry import Attempts, RetryPolicy


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


BUSY = LimitExceeded("busy", limit="streams")


@pytest.mark.parametrize("error", [Unavailable("gone"), DataLoss("bits")])
def test_what_may_pass_is_tried_again(error: FillerError) -> None:
    attempts = Attempts(RetryPolicy(attempts=4), None)
    for _ in range(3):
        assert attempts.failed(error) > 0
    with pytest.raises(type(error)) as caught:
        attempts.failed(error)
    assert caught.value is error


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument("x"),
        ShapeError("x"),
        UnknownBlob("x"),
        LimitExceeded("x", limit="request_bytes"),
        LimitExceeded("x"),
        LimitExceeded("x", limit="stall_seconds"),
        DeadlineExceeded("x"),
        Cancelled("x"),
        ServiceError("x"),
    ],
)
def test_what_would_fail_again_is_not(error: FillerError) -> None:
    with pytest.raises(type(error)) as caught:
        Attempts(RetryPolicy(), None).failed(error)
    assert caught.value is error


@pytest.mark.parametrize("limit", ["streams", "peer_streams", "sequential_streams", "plans", "held_bytes", "calls"])
def test_a_server_without_a_place_is_asked_for_as_long_as_patience_lasts(clock: Clock, limit: str) -> None:
    attempts = Attempts(RetryPolicy(attempts=2, patience=60.0), None)
    busy = LimitExceeded("busy", limit=limit)
    for _ in range(60):
        assert attempts.failed(busy) <= 2.0
        clock.now += 1
    with pytest.raises(LimitExceeded) as caught:
        attempts.failed(busy)
    assert caught.value is busy


def test_a_server_that_is_away_is_waited_for_as_long_as_patience_lasts(clock: Clock) -> None:
    attempts = Attempts(RetryPolicy(), None)
    failures = 0
    while clock.now < 400:
        clock.now += attempts.failed(Unavailable("gone"))
        failures += 1
    assert failures > 150
    with pytest.raises(Unavailable):
        attempts.failed(Unavailable("gone"))


def test_the_last_attempt_is_made_when_patience_ends(clock: Clock) -> None:
    attempts = Attempts(RetryPolicy(first_delay=8.0, longest_delay=8.0, patience=3.0), None)
    assert attempts.failed(Unavailable("gone")) == 3.0
    with pytest.raises(Unavailable):
        Attempts(RetryPolicy(patience=0), None).failed(Unavailable("gone"))


@pytest.mark.parametrize("kind", [Unavailable, DataLoss])
def test_what_time_does_not_mend_is_tried_eight_times(kind: type[FillerError]) -> None:
    attempts, error = Attempts(RetryPolicy(), None), kind("wrong")
    if isinstance(error, Unavailable):
        error.is_lasting = True
    for _ in range(7):
        attempts.failed(error)
    with pytest.raises(kind):
        attempts.failed(error)


def test_waiting_is_told_after_two_seconds_and_then_now_and_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = Attempts(RetryPolicy(), None, "one:1,two:2")
    told: list[float] = []
    while clock.now < 180:
        clock.now += attempts.failed(Unavailable("two:2: connection refused"))
        told += [clock.now - 100] * (len(caplog.records) - len(told))
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for one:1,two:2 ... (two:2: connection refused)"
    ] * 3
    assert 2 <= told[0] < 4
    assert all(29 < later - earlier < 33 for earlier, later in pairwise(told))
    attempts.progressed()
    assert caplog.records[-1].getMessage().startswith("going on with one:1,two:2 after 8")
    attempts.progressed()
    attempts.failed(Unavailable("gone"))
    assert len(caplog.records) == 4


def test_patience_begins_anew_when_bytes_arrive(clock: Clock) -> None:
    attempts = Attempts(RetryPolicy(patience=10.0), None)
    for _ in range(5):
        attempts.failed(BUSY)
        clock.now += 9
        attempts.progressed()


def test_refusals_of_a_place_are_no_failures() -> None:
    attempts = Attempts(RetryPolicy(attempts=2), None)
    for _ in range(10):
        attempts.failed(BUSY)
    attempts.failed(Unavailable("gone"))
    attempts.failed(BUSY)
    with pytest.raises(Unavailable):
        attempts.failed(Unavailable("gone"))


@pytest.mark.parametrize("limit", ["stall_seconds", "call_seconds"])
def test_a_stream_that_was_cut_off_goes_on_if_it_moved(limit: str) -> None:
    attempts = Attempts(RetryPolicy(), None)
    error = LimitExceeded("cut off", limit=limit)
    for _ in range(20):
        attempts.progressed()
        assert attempts.failed(error) <= 0.05
    with pytest.raises(LimitExceeded) as caught:
        attempts.failed(error)
    assert caught.value is error


def test_delays_double_up_to_the_longest() -> None:
    attempts = Attempts(RetryPolicy(attempts=9, first_delay=0.25, longest_delay=2.0), None)
    for longest in (0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0):
        assert longest / 2 <= attempts.failed(Unavailable("gone")) <= longest


def test_delays_differ_from_client_to_client() -> None:
    delays = {Attempts(RetryPolicy(), None).failed(Unavailable("gone")) for _ in range(20)}
    assert len(delays) > 10


def test_progress_makes_the_next_failure_a_first_one() -> None:
    attempts = Attempts(RetryPolicy(attempts=2, first_delay=0.1), None)
    for _ in range(20):
        assert attempts.failed(Unavailable("gone")) <= 0.1
        attempts.progressed()
    attempts.failed(Unavailable("gone"))
    with pytest.raises(Unavailable):
        attempts.failed(Unavailable("gone"))


def test_one_attempt_is_no_second_one() -> None:
    with pytest.raises(Unavailable):
        Attempts(RetryPolicy(attempts=1), None).failed(Unavailable("gone"))


def test_very_many_attempts_do_not_overflow() -> None:
    attempts = Attempts(RetryPolicy(attempts=3000), None)
    for _ in range(2999):
        assert attempts.failed(Unavailable("gone")) <= 2.0


def test_the_time_that_remains(clock: Clock) -> None:
    assert Attempts(RetryPolicy(), None).remaining is None
    attempts = Attempts(RetryPolicy(), 5.0)
    assert attempts.remaining == 5.0
    clock.now += 4
    assert attempts.remaining == 1.0
    clock.now += 4
    assert attempts.remaining == 0.0


def test_no_attempt_is_made_that_would_start_too_late(clock: Clock) -> None:
    attempts = Attempts(RetryPolicy(first_delay=1.0), 10.0)
    clock.now += 9.6
    failure = Unavailable("host: connection refused")
    with pytest.raises(DeadlineExceeded) as caught:
        attempts.failed(failure)
    assert str(caught.value) == "not done in 10.0 s; the last failure: host: connection refused"
    assert caught.value.__cause__ is failure


def test_an_attempt_is_made_while_there_is_time(clock: Clock) -> None:
    attempts = Attempts(RetryPolicy(first_delay=1.0), 10.0)
    clock.now += 8.9
    assert attempts.failed(Unavailable("gone")) <= 1.0


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"attempts": 0}, "attempts=0"),
        ({"first_delay": -1.0}, "first_delay=-1.0"),
        ({"longest_delay": -0.5}, "longest_delay=-0.5"),
        ({"first_delay": math.nan}, "first_delay=nan"),
        ({"patience": -1.0}, "patience=-1.0"),
        ({"keepalive": 0.0}, "keepalive=0.0"),
        ({"keepalive_timeout": math.nan}, "keepalive_timeout=nan"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(arguments: dict[str, float], received: str) -> None:
    with pytest.raises(InvalidArgument, match=f"Received: .*{received}"):
        RetryPolicy(**arguments)  # type: ignore[arg-type]
