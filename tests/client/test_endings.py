"""Calls that should end, and do or do not."""

import threading
import time

import pytest

from filler_client import _endings
from filler_client._endings import Endings


class Call:
    """Notes when it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def cancel(self) -> None:
        self.cancelled.set()


def watchers() -> int:
    return sum(thread.name == "endings" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_endings, "_LOOK_SECONDS", 0.01)


def test_a_call_that_does_not_end_is_cancelled() -> None:
    endings, calls = Endings(0.05), [Call() for _ in range(5)]
    started = time.monotonic()
    for call in calls:
        endings.expect(call)
    assert all(call.cancelled.wait(30) for call in calls)
    assert time.monotonic() - started >= 0.05


def test_a_call_that_ends_is_left_alone() -> None:
    endings, ended, late = Endings(0.05), Call(), Call()
    endings.expect(ended)
    endings.expect(late)
    endings.ended(ended)
    endings.ended(Call())
    assert late.cancelled.wait(30)
    assert not ended.cancelled.is_set()


def test_one_thread_watches_all_calls_and_ends_with_them() -> None:
    before = watchers()
    endings, calls = Endings(60), [Call() for _ in range(20)]
    for call in calls:
        endings.expect(call)
    assert watchers() == before + 1
    for call in calls:
        endings.ended(call)
    end = time.monotonic() + 30
    while watchers() > before:
        assert time.monotonic() < end
        time.sleep(0.01)
    another = Call()
    endings.expect(another)
    assert watchers() == before + 1
    endings.ended(another)


def test_without_a_thread_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    endings, call = Endings(0), Call()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        endings.expect(call)
    assert not call.cancelled.is_set()
    endings.expect(call)
    assert call.cancelled.wait(30)
