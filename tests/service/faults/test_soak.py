"""`make soak`: minutes of mixed load under faults; no byte is wrong, no request is lost, and memory stays flat."""

import os
import time
from pathlib import Path

import pytest

from tests.proxy import Proxy
from tests.service.faults.load import (
    Expected,
    SoakedServer,
    Tally,
    bad_network,
    clients,
    harm,
    memory,
    nonsense,
    running,
)

SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))
WARM_UP = 0.5
"""Part of the time after which memory is looked at first: by then each hostile request has come once or twice, and the
allocator has what it then keeps in pieces between what is in use."""

SOME = 10
"""Samples, one a second, of which the least counts."""

KILL, PAUSE = 15.0, 4.0
MOST_GROWTH = 64
"""MiB that a side may have more at the end than after the warm-up."""


@pytest.mark.skipif(not SECONDS, reason="takes minutes; run by `make soak`")
@pytest.mark.timeout(2 * SECONDS + 300)
def test_soak(nets: Path, tmp_path: Path) -> None:
    net = (nets / "lenet.prototxt").read_text()
    tally, expected = Tally(), Expected(net)
    steady, mortal = (SoakedServer(tally, tmp_path / name) for name in ("steady.log", "mortal.log"))
    try:
        seconds, samples = soak(tally, expected, net, steady, mortal)
        assert steady.stop() == 0
        assert mortal.stop() == 0
    finally:
        for server in (steady, mortal):
            server.process.kill()
    print(report(tally, samples, seconds))
    assert tally.wrong == 0
    assert tally.failures == []
    assert "Traceback" not in steady.log + mortal.log
    # What is held while hostile requests are looked at is gone between them.
    for side in range(2):
        before, after = (min(sample[side] for sample in some) for some in (samples[:SOME], samples[-SOME:]))
        assert after - before < MOST_GROWTH


def soak(
    tally: Tally, expected: Expected, net: str, steady: SoakedServer, mortal: SoakedServer
) -> tuple[float, list[tuple[float, float]]]:
    """Let the load run; return how long it did, and the memory of server and client after the warm-up."""
    started = time.monotonic()
    samples: list[tuple[float, float]] = []
    with Proxy(steady.address, bad_network(tally)) as proxy:
        turns = clients(tally, expected, net, [mortal.address, steady.address], proxy.address)
        turns["nonsense"] = lambda: nonsense(tally, steady.address)
        turns["harm"] = lambda: harm(tally, steady.address)
        with running(turns, tally):
            last_kill = last_line = started
            while (now := time.monotonic()) < started + SECONDS:
                time.sleep(1)
                if now - last_kill > KILL:
                    last_kill = now
                    mortal.pause(PAUSE)
                    mortal.kill()
                if now - started > WARM_UP * SECONDS:
                    samples.append((memory(steady.process.pid), memory()))
                if now - last_line > 10:
                    last_line = now
                    print(
                        f"{now - started:5.0f} s  {sum(tally.requests.values()):7,} requests  "
                        f"{tally.bytes / 1e9:6.1f} GB  server {memory(steady.process.pid):4.0f} MiB  "
                        f"client {memory():4.0f} MiB",
                        flush=True,
                    )
    seconds = time.monotonic() - started
    samples.append((memory(steady.process.pid), memory()))
    return seconds, samples


def report(tally: Tally, samples: list[tuple[float, float]], seconds: float) -> str:
    """The table that `make soak` prints."""
    rows = [
        ("seconds", f"{seconds:.0f}"),
        ("requests answered", f"{sum(tally.requests.values()):,}"),
        *((f"  {kind}", f"{count:,}") for kind, count in sorted(tally.requests.items())),
        ("bytes received", f"{tally.bytes:,}"),
        ("faults injected", f"{sum(tally.injected.values()):,}"),
        *((f"  {kind}", f"{count:,}") for kind, count in sorted(tally.injected.items())),
        ("answers with wrong bytes", f"{tally.wrong:,}"),
        ("errors that a caller saw", f"{len(tally.failures):,}"),
        *(("  ", failure) for failure in tally.failures[:10]),
        ("memory of the server after the warm-up, at the end, at most", _memory([sample[0] for sample in samples])),
        ("memory of the client after the warm-up, at the end, at most", _memory([sample[1] for sample in samples])),
    ]
    return "\n".join(["", *(f"{name:62} {value}" for name, value in rows)])


def _memory(samples: list[float]) -> str:
    return f"{min(samples[:SOME]):.0f}, {min(samples[-SOME:]):.0f}, {max(samples):.0f} MiB"
