"""What a server gives to its callers; each limit is checked before anything is allocated."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from caffe_filler.errors import InvalidArgument, LimitExceeded


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server.

    Attributes:
        request_bytes: data of one Fill or FillNet, in bytes.
        request_elements: values of one Fill or FillNet.
        request_blobs: blobs of one Fill or FillNet.
        request_nets: nets that draw before the one of a request.
        net_bytes: length of a net's prototxt or binary, in bytes.
        layers: layers of a net.
        fields: fields of a net, and of the message of a request.
        held_bytes: messages of the requests that are answered at once, all clients together, in bytes.
        metadata_bytes: metadata of a call, in bytes.
        connections: connections at once.
        calls: calls of any kind that run or wait at once.
        streams: Fill and FillNet calls that run at once, all clients together.
        peer_streams: the same of one client's address.
        sequential_streams: of these, those of a Caffe stream.
        idle_streams: streams of health and reflection that are open at once.
        plans: large nets that are read and planned, or wait for that, at once.
        ping_seconds: time between two keepalive pings of a client; after the third that comes sooner it is cut off.
        request_seconds: time that a call may take to send its request.
        stall_seconds: time that the reader of a stream may take for one message.
        call_seconds: time that a call may take in all.

    Raises:
        InvalidArgument: a limit is not positive.
    """

    request_bytes: int = 1 << 40
    request_elements: int = 1 << 38
    request_blobs: int = 1 << 16
    request_nets: int = 64
    net_bytes: int = 64 << 20
    layers: int = 1 << 16
    fields: int = 1 << 21
    held_bytes: int = 256 << 20
    metadata_bytes: int = 16 << 10
    connections: int = 4096
    calls: int = 1024
    streams: int = 64
    peer_streams: int = 32
    sequential_streams: int = 8
    idle_streams: int = 64
    plans: int = 8
    ping_seconds: float = 10.0
    request_seconds: float = 30.0
    stall_seconds: float = 120.0
    call_seconds: float = 21600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise InvalidArgument(f"a limit is more than 0. Received: {field.name}={value}")

    def check(self, name: str, received: int) -> None:
        """Compare a value with the limit of that name.

        Raises:
            LimitExceeded: it is over.
        """
        if received > getattr(self, name):
            raise self.exceeded(name, received)

    def exceeded(self, name: str, received: float) -> LimitExceeded:
        """Return the refusal of a value that is over the limit of that name."""
        limit: float = getattr(self, name)
        return LimitExceeded(
            f"over the limit {name}={limit}. Received: {received}",
            metadata={"limit": name, "value": str(limit), "received": str(received)},
        )


class Places:
    """What calls hold while they run, of which there is as much as the limit of that name says."""

    def __init__(self, limits: Limits, name: str) -> None:
        self._limits = limits
        self._name = name
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, amount: int = 1, *, of: str = "") -> Iterator[None]:
        """Hold that much; of each `of` there is as much as the limit says.

        Raises:
            LimitExceeded: so much is not left.
        """
        with self._lock:
            self._limits.check(self._name, self._held[of] + amount)
            self._held[of] += amount
        try:
            yield
        finally:
            with self._lock:
                self._held[of] -= amount
                if not self._held[of]:
                    del self._held[of]
