"""The memory of a client stays small, whatever a server says."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from caffe_filler.v1 import filler_pb2
from caffe_filler.wire import length_delimited
from tests.client.lies import streams
from tests.client.lies.server import LyingServer

MOST_BYTES = 320 << 20
"""Five times the longest message that a client receives: gRPC and Python have it in parts and as a whole."""

SMALL_BYTES = 24 << 20
"""Of lies that are short."""


def instead(data: bytes) -> Callable[[Any, Any], bytes]:
    return lambda _, __: data


EMPTY_LAYERS = b"\x1a\x00" * (30 << 20)
SHORT: dict[str, tuple[str, Any]] = {
    **{f"fill: {name}": ("fill", lie) for name, (lie, _) in streams.FILL.items()},
    **{f"init_net: {name}": ("init_net", lie) for name, (lie, _) in streams.NET.items()},
}
LONG: dict[str, tuple[str, Any]] = {
    **{
        f"fill: {name}": SHORT.pop(f"fill: {name}")
        for name in ("30 million empty pieces", "a message over 64 MiB", "a name of 20 MiB", "a million axes")
    },
    **{f"init_net: {name}": SHORT.pop(f"init_net: {name}") for name in ("30 million empty pieces", "a name of 20 MiB")},
    "plan_net: 30 million layers": ("plan_net", instead(EMPTY_LAYERS)),
    "plan_net: 300,000 layers": ("plan_net", instead(EMPTY_LAYERS[:600_000])),
    "plan_net: 30 million tops": ("plan_net", instead(length_delimited(3, b"\x22\x00" * (30 << 20)))),
    "upgrade_net: 30 million changes": ("upgrade_net", instead(EMPTY_LAYERS)),
    "upgrade_net: 60 MiB": (
        "upgrade_net",
        instead(filler_pb2.UpgradeNetResponse(file=bytes(60 << 20)).SerializeToString()),
    ),
    "list_fillers: 30 million": ("list_fillers", instead(b"\x0a\x00" * (30 << 20))),
    "list_fillers: over 64 MiB": ("list_fillers", instead(bytes(80 << 20))),
}


class Victim:
    """A client in a process of its own, and the server that lies to it."""

    def __init__(self) -> None:
        self.server = LyingServer()
        command = [sys.executable, "-m", "tests.client.lies.victim", self.server.address]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "ready\n"

    def hear(self, call: str, lie: Any) -> dict[str, Any]:
        """Return the outcome of a call."""
        assert self.process.stdin is not None
        self.server.lie = lie
        self.process.stdin.write(f"{call}\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def close(self) -> int:
        self.process.communicate(timeout=60)
        with self.server:
            return self.process.returncode

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    victim = Victim()
    yield victim
    assert victim.close() == 0


@pytest.mark.parametrize("case", SHORT)
def test_a_short_lie(victim: Victim, case: str) -> None:
    found = victim.hear(*SHORT[case])
    assert found["error"].startswith(("DataLoss: ", "LimitExceeded: "))
    assert found["took"] < SMALL_BYTES


@pytest.mark.parametrize("case", LONG)
def test_a_long_lie(victim: Victim, case: str) -> None:
    found = victim.hear(*LONG[case])
    assert found["error"].startswith(("DataLoss: ", "LimitExceeded: "))
    assert found["took"] < MOST_BYTES
