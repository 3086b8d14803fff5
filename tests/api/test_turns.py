"""Turns: two at a time, one of each peer, and those first who had the fewest."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from caffe_filler.errors import Cancelled, LimitExceeded
from filler_server.api.limits import Limits
from filler_server.api.turns import Caller, Turns


class Worker(threading.Thread):
    """Takes a turn, tells when it has it, and keeps it until it is told to end."""

    def __init__(self, turns: Turns, peer: str, order: list[str]) -> None:
        super().__init__(daemon=True)
        self.works = threading.Event()
        self.ends = threading.Event()
        self._turns = turns
        self._peer = peer
        self._order = order
        self.start()

    def run(self) -> None:
        with self._turns.turn(Caller(self._peer)):
            self._order.append(self._peer)
            self.works.set()
            self.ends.wait(60)

    def finish(self) -> None:
        self.ends.set()
        self.join(60)


@pytest.fixture
def order() -> list[str]:
    return []


@pytest.fixture
def start(order: list[str]) -> Iterator[Callable[[str], Worker]]:
    turns = Turns(Limits(plans=8, peer_plans=4))
    workers: list[Worker] = []

    def start_one(peer: str) -> Worker:
        workers.append(Worker(turns, peer, order))
        # Whoever comes later is to wait behind it.
        deadline = time.monotonic() + 60
        while not any(ticket.peer == peer for ticket in (*turns._waiting, *turns._working)):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return workers[-1]

    yield start_one
    for worker in workers:
        worker.finish()


def test_two_work_at_a_time(start: Callable[[str], Worker]) -> None:
    first, second, third = start("a"), start("b"), start("c")
    assert first.works.wait(60)
    assert second.works.wait(60)
    assert not third.works.wait(0.1)
    first.finish()
    assert third.works.wait(60)


def test_one_of_each_peer_works(start: Callable[[str], Worker]) -> None:
    first, second = start("a"), start("a")
    assert first.works.wait(60)
    assert not second.works.wait(0.1)
    other = start("b")
    assert other.works.wait(60)
    first.finish()
    assert second.works.wait(60)


def test_those_first_who_had_the_fewest(start: Callable[[str], Worker], order: list[str]) -> None:
    many, other = start("many"), start("other")
    assert other.works.wait(60)
    waiting = [start("many"), start("many")]
    late = start("late")
    many.finish()
    assert late.works.wait(60)
    assert not any(worker.works.is_set() for worker in waiting)
    late.finish()
    assert any(worker.works.wait(10) for worker in waiting)
    assert order == ["many", "other", "late", "many"]


def test_a_peer_has_no_more_than_its_share() -> None:
    turns = Turns(Limits(plans=3, peer_plans=2))

    @contextmanager
    def waits(peer: str) -> Iterator[None]:
        with turns._places.hold(peer=peer):
            yield

    with waits("a"), waits("a"):
        with pytest.raises(LimitExceeded, match="over the limit peer_plans=2"), turns.turn(Caller("a")):
            pass
        with waits("b"), pytest.raises(LimitExceeded, match="over the limit plans=3"), turns.turn(Caller("b")):
            pass
    with turns.turn(Caller("a")):
        pass


def test_who_gives_up_waits_no_longer(start: Callable[[str], Worker]) -> None:
    turns = Turns(Limits())
    with turns.turn(Caller("a")):
        with pytest.raises(Cancelled), turns.turn(Caller("a", lambda: False)):
            pass
        assert not turns._waiting
    with turns.turn(Caller("a")):
        pass
    assert not turns._working
    assert not turns._had
