"""Long work of the interpreter, of which there is one for all callers, in turns."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from caffe_filler.errors import Cancelled
from filler_server.api.limits import Limits, Places

_AT_ONCE = 2
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Caller:
    """A call that waits for its turn.

    Attributes:
        peer: address of the client.
        is_active: tells whether it still wants the result.
    """

    peer: str = ""
    is_active: Callable[[], bool] = lambda: True


@dataclass(slots=True, eq=False)
class _Ticket:
    peer: str


class Turns:
    """Turns of two at a time, but only one of each peer, so that nobody's work keeps that of others waiting.

    Of the peers that wait the one goes first that had the fewest turns since it last had none to wait for.
    """

    def __init__(self, limits: Limits) -> None:
        self._places = Places(limits, "plans")
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._working: list[_Ticket] = []
        self._had: Counter[str] = Counter()

    @contextmanager
    def turn(self, caller: Caller) -> Iterator[None]:
        """Wait for a turn, and have it while the block runs.

        Raises:
            LimitExceeded: too many wait already, of all peers or of this one.
            Cancelled: the caller gave up before its turn.
        """
        with self._places.hold(peer=caller.peer):
            ticket = _Ticket(caller.peer)
            self._wait(ticket, caller)
            try:
                yield
            finally:
                with self._changed:
                    self._working.remove(ticket)
                    self._forget_absent(ticket.peer)
                    self._changed.notify_all()

    def _wait(self, ticket: _Ticket, caller: Caller) -> None:
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._next() is not ticket:
                    self._changed.wait(_LOOK_SECONDS)
                    if not caller.is_active():
                        raise Cancelled("the caller gave up before its turn")
                self._had[ticket.peer] += 1
                self._working.append(ticket)
            finally:
                self._waiting.remove(ticket)
                self._forget_absent(ticket.peer)
                # Whoever else may work now is to know.
                self._changed.notify_all()

    def _next(self) -> _Ticket | None:
        """Whose turn it is, if anybody's."""
        busy = {ticket.peer for ticket in self._working}
        ready = [ticket for ticket in self._waiting if ticket.peer not in busy]
        if len(self._working) >= _AT_ONCE or not ready:
            return None
        # The first of those that come first: the list is in the order of arrival.
        return min(ready, key=lambda ticket: self._had[ticket.peer])

    def _forget_absent(self, peer: str) -> None:
        if not any(ticket.peer == peer for ticket in (*self._waiting, *self._working)):
            del self._had[peer]
