"""HTTP/2 by hand, to say what no client would."""

import socket
import struct
import time
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
ENHANCE_YOUR_CALM = 11
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame; `length` is what its header says of the payload, if not the truth."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: bytes, value: bytes) -> bytes:
    """A header field in HPACK, literal and not indexed."""
    return b"\x00" + _integer(len(name)) + name + _integer(len(value)) + value


def call_headers(method: str, *more: tuple[bytes, bytes]) -> bytes:
    """The header block of a gRPC call."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", method.encode()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]
    return b"".join(field(name, value) for name, value in fields)


def message(data: bytes, length: int | None = None) -> bytes:
    """A gRPC message; `length` is what its prefix says, if not the truth."""
    return b"\x00" + struct.pack(">I", len(data) if length is None else length) + data


def _integer(value: int) -> bytes:
    """A length of HPACK, in a prefix of 7 bits."""
    if value < 127:
        return bytes([value])
    encoded, value = bytearray([127]), value - 127
    while value >= 128:
        encoded.append(value % 128 + 128)
        value //= 128
    return bytes([*encoded, value])


class Connection:
    """A connection to a server; what is sent on it is up to the caller."""

    def __init__(self, address: str, *, settings: dict[int, int] | None = None, preface: bool = True) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._received = b""
        if preface:
            payload = b"".join(struct.pack(">HI", key, value) for key, value in (settings or {}).items())
            self.send(PREFACE + frame(SETTINGS, payload=payload))

    def send(self, data: bytes) -> bool:
        """Send, and say whether the other side still takes it."""
        try:
            self._socket.sendall(data)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def frames_until_closed(self, seconds: float) -> list[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and payload of what comes until the other side closes.

        Raises:
            TimeoutError: it does not within the time.
        """
        frames = []
        end = time.monotonic() + seconds
        while (received := self.next_frame(end - time.monotonic())) is not None:
            frames.append(received)
        return frames

    def next_frame(self, seconds: float, *, acknowledge: bool = True) -> tuple[int, int, int, bytes] | None:
        """Kind, flags, stream and payload of the next frame, None when the other side has closed.

        Settings are acknowledged, which gRPC waits for before it holds a client to them.

        Raises:
            TimeoutError: nothing comes within the time.
        """
        head = self._read(9, seconds)
        if head is None:
            return None
        payload = self._read(int.from_bytes(head[:3], "big"), seconds)
        if payload is None:
            return None
        if acknowledge and head[3] == SETTINGS and not head[4] & ACK:
            self.send(frame(SETTINGS, ACK))
        return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, count: int, seconds: float) -> bytes | None:
        self._socket.settimeout(max(seconds, 0.001))
        while len(self._received) < count:
            try:
                data = self._socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not data:
                return None
            self._received += data
        taken, self._received = self._received[:count], self._received[count:]
        return taken
