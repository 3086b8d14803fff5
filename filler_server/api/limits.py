"""Limits of what a server gives to its callers, each checked before anything is allocated."""

import threading
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass

from caffe_filler.errors import LimitExceeded
from filler_server.api.setting import check_fields, setting
from filler_server.cancellation import metered
from filler_server.net.size import PLAN_BYTES, most_bytes

_MIB = 1 << 20

_SAME = "The same of one client's address."
_OTHERS = "other clients"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server; flags, environment variables and keys of a file are made from these fields.

    Raises:
        InvalidArgument: a limit is not a number that it can be.
    """

    request_bytes: int = setting(
        1 << 40, "Data of one Fill or FillNet.", protects="the network", unit="BYTES", minimum=1
    )
    request_elements: int = setting(1 << 38, "Values of one Fill or FillNet.", protects="processors", minimum=1)
    sequential_elements: int = setting(
        1 << 33,
        "Values that must be computed one after the other, wanted or not: those of Caffe's random numbers, again "
        "for each selection of a blob, and whole blobs of positive_unitball; and of orthogonal, each value as often as "
        "its shorter side is long, at least 2048 times.",
        protects="processors, from requests of a few values that cost billions",
        minimum=1,
    )
    request_blobs: int = setting(1 << 16, "Blobs of one Fill or FillNet.", protects="memory and processors", minimum=1)
    request_nets: int = setting(64, "Nets that draw before the one of a request.", protects="processors", minimum=1)
    net_bytes: int = setting(
        64 << 20, "Length of a net's prototxt or binary.", protects="memory and processors", unit="BYTES", minimum=1
    )
    layers: int = setting(1 << 16, "Layers of a net.", protects="memory, of which the emptiest takes 500 B", minimum=1)
    fields: int = setting(
        1 << 20,
        "Fields and integers of a net, and of the message of a request.",
        protects="memory, of which an empty message of two bytes takes a hundred",
        minimum=1,
    )
    name_length: int = setting(
        4096,
        "Characters of the name of a layer, a blob or a type in a net.",
        protects="memory and answers, in which names are repeated for every blob",
        minimum=1,
    )
    plan_bytes: int = setting(
        PLAN_BYTES,
        "Memory of a plan, and names in the headers of a FillNet, besides 16 times the length of the net.",
        protects="memory and answers, from short nets with long plans",
        unit="BYTES",
        minimum=1,
    )
    held_bytes: int = setting(
        256 << 20,
        "Messages of the requests that are answered at once, and answers that are not taken yet, all clients together.",
        protects="memory",
        unit="BYTES",
        minimum=1,
    )
    peer_held_bytes: int = setting(128 << 20, _SAME, protects=_OTHERS, unit="BYTES", minimum=1)
    metadata_bytes: int = setting(16 << 10, "Metadata of a call.", protects="memory", unit="BYTES", minimum=1)
    probe_bytes: int = setting(
        4096,
        "Request of a health check, which needs no token, or of reflection.",
        protects="memory, from strangers",
        unit="BYTES",
        minimum=1,
    )
    connections: int = setting(4096, "Connections at once.", protects="descriptors and memory", minimum=1)
    connection_calls: int = setting(
        1024, "Calls of one connection at once; its client holds further ones back.", protects="memory", minimum=1
    )
    calls: int = setting(
        512,
        "Calls of any kind that run or wait at once, and as many whose answer is not taken yet.",
        protects="memory and threads",
        minimum=1,
    )
    slow_requests: int = setting(
        8,
        "Calls at once whose request is not there a moment after they began.",
        protects="memory, of which each may hold a longest request, and threads",
        minimum=1,
    )
    peer_slow_requests: int = setting(4, _SAME, protects=_OTHERS, minimum=1)
    streams: int = setting(
        64, "Fill and FillNet calls that run at once, all clients together.", protects="threads", minimum=1
    )
    peer_streams: int = setting(32, _SAME, protects=_OTHERS, minimum=1)
    sequential_streams: int = setting(
        8,
        "Of the streams, those of Caffe's random numbers, and those that hold whole blobs of orthogonal.",
        protects="processors, and memory",
        minimum=1,
    )
    peer_sequential_streams: int = setting(4, _SAME, protects=_OTHERS, minimum=1)
    idle_streams: int = setting(
        64, "Streams of health and reflection that are open at once.", protects="threads", minimum=1
    )
    peer_idle_streams: int = setting(32, _SAME, protects=_OTHERS, minimum=1)
    plans: int = setting(
        16,
        "Large nets and requests that are read and planned, or wait for that, at once.",
        protects="memory and small calls, which wait for the interpreter",
        minimum=1,
    )
    peer_plans: int = setting(
        8,
        "The same of one client's address, of which one is worked on at a time.",
        protects=_OTHERS,
        minimum=1,
    )
    plan_seconds: float = setting(
        10.0,
        "Processor time that reading and planning a net may take, once and again for each MiB of its request.",
        protects="processors",
        unit="SECONDS",
        above=0,
    )
    ping_seconds: float = setting(
        10.0,
        "Time between two keepalive pings of a client; after the third that comes sooner it is cut off.",
        protects="processors",
        unit="SECONDS",
        above=0,
    )
    request_seconds: float = setting(
        30.0,
        "Time that a call may take to send its request.",
        protects="the places of slow requests",
        unit="SECONDS",
        above=0,
    )
    stall_seconds: float = setting(
        120.0,
        "Time that a client may take for one message of a stream, or for an answer.",
        protects="the places of streams, and memory",
        unit="SECONDS",
        above=0,
    )
    call_seconds: float = setting(
        21600.0, "Time that a call may take in all.", protects="the places of streams", unit="SECONDS", above=0
    )

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, name: str, received: int) -> None:
        """Compare a value with the limit of that name.

        Raises:
            LimitExceeded: it is over.
        """
        if received > getattr(self, name):
            raise self.exceeded(name, received)

    def check_plan(self, received: int, *, net_bytes: int) -> None:
        """Compare what is made of a net of so many bytes with what may be made of it.

        Raises:
            LimitExceeded: it is more.
        """
        limit = most_bytes(net_bytes, self.plan_bytes)
        if received > limit:
            raise self.exceeded("plan_bytes", received, limit=limit)

    def metered(self, nbytes: int) -> AbstractContextManager[None]:
        """Let the work of a block, for a request of so many bytes, take no more time of the processor than it may."""
        seconds = self.plan_seconds * (1 + nbytes / _MIB)
        return metered(seconds, lambda: self.exceeded("plan_seconds", round(seconds, 3), limit=round(seconds, 3)))

    def exceeded(self, name: str, received: float, *, limit: float | None = None) -> LimitExceeded:
        """Return the refusal of a value that is over the limit of that name, or over what it is for the moment."""
        value: float = getattr(self, name) if limit is None else limit
        return LimitExceeded.over(name, value, received)


_NO_END = 1 << 62

UNLIMITED = Limits(
    request_bytes=_NO_END,
    request_elements=_NO_END,
    sequential_elements=_NO_END,
    request_blobs=_NO_END,
    request_nets=_NO_END,
    net_bytes=(1 << 31) - 1,
    layers=_NO_END,
)
"""For callers who compute for themselves; protobuf reads no message of 2 GiB."""


class Places:
    """A resource that calls hold while they run; the limit of that name says how much there is.

    Where there is a limit `peer_<name>` as well, each peer gets no more than that.
    """

    def __init__(self, limits: Limits, name: str) -> None:
        self._limits = limits
        self._name = name
        self._peer_name = f"peer_{name}" if hasattr(limits, f"peer_{name}") else None
        self._lock = threading.Lock()
        self._held = 0
        self._held_by: Counter[str] = Counter()

    def take(self, amount: int, peer: str) -> None:
        """Take that much.

        Raises:
            LimitExceeded: so much is not left.
        """
        with self._lock:
            if self._peer_name is not None:
                self._limits.check(self._peer_name, self._held_by[peer] + amount)
            self._limits.check(self._name, self._held + amount)
            self._held += amount
            if self._peer_name is not None:
                self._held_by[peer] += amount

    def give_back(self, amount: int, peer: str) -> None:
        """Give back what was taken."""
        with self._lock:
            self._held -= amount
            if self._peer_name is not None:
                self._held_by[peer] -= amount
                if not self._held_by[peer]:
                    del self._held_by[peer]

    def hold(self, amount: int = 1, *, peer: str = "") -> AbstractContextManager[None]:
        """Return what holds that much while its block runs; errors are those of `take`."""
        return _Held(self, amount, peer)


class _Held:
    """Holds what a call takes; a generator would cost as much as much else of a small call."""

    __slots__ = ("_amount", "_peer", "_places")

    def __init__(self, places: Places, amount: int, peer: str) -> None:
        self._places = places
        self._amount = amount
        self._peer = peer

    def __enter__(self) -> None:
        self._places.take(self._amount, self._peer)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._places.give_back(self._amount, self._peer)
