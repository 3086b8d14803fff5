"""Amount of work of a run: all of it, or as much as fits into five minutes."""

from dataclasses import dataclass

from tests.benchmarks.tables import GIB, KIB, MIB


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes and rounds.

    Attributes:
        fill_sizes: bytes of the blobs that are generated, with the number of rounds of each.
        fill_seconds: how long one repetition of a short call goes on.
        stream_sizes: bytes of the blobs that are streamed, with the number of rounds of each.
        net_rounds: rounds of filling whole nets into files.
        large_net_rounds: the same of the largest.
        module_rounds: rounds of initializing modules of PyTorch.
        calls: calls of each caller where latency is measured.
        caller_rounds: rounds of many callers at once.
        caller_seconds: how long they call in each.
        plan_rounds: rounds of planning.
        start_rounds: rounds of starting programs.
        growth_rounds: rounds of each point of a curve.
    """

    fill_sizes: dict[int, int]
    fill_seconds: float
    stream_sizes: dict[int, int]
    net_rounds: int
    large_net_rounds: int
    module_rounds: int
    calls: int
    caller_rounds: int
    caller_seconds: float
    plan_rounds: int
    start_rounds: int
    growth_rounds: int


FULL = Effort(
    fill_sizes={64 * KIB: 31, 4 * MIB: 31, 64 * MIB: 11, GIB: 3},
    fill_seconds=0.01,
    stream_sizes={256 * MIB: 11, GIB: 5},
    net_rounds=9,
    large_net_rounds=5,
    module_rounds=9,
    calls=1000,
    caller_rounds=7,
    caller_seconds=1.5,
    plan_rounds=7,
    start_rounds=15,
    growth_rounds=9,
)
QUICK = Effort(
    fill_sizes={64 * KIB: 11, 4 * MIB: 9, 64 * MIB: 3},
    fill_seconds=0.004,
    stream_sizes={256 * MIB: 4},
    net_rounds=3,
    large_net_rounds=2,
    module_rounds=3,
    calls=200,
    caller_rounds=3,
    caller_seconds=0.5,
    plan_rounds=3,
    start_rounds=5,
    growth_rounds=3,
)
