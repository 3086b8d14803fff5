"""Growth of work with the size of what is given, which tells linear work from quadratic on any machine."""

import gc
from collections.abc import Callable
from time import thread_time

ROUNDS = 3


def growth(work: Callable[[int], Callable[[], object]], size: int, *, times: int) -> float:
    """Return how many times as long as work of `size / times` the work of a size takes; linear work: `times`.

    Seconds of this thread's processor are counted, the fewest of a few rounds in turn. No garbage is collected
    meanwhile: that takes as long as all that other tests have left is large.

    Args:
        work: makes, for a size, the function that is measured.
        size: of the larger work.
        times: how many times it is as large as the smaller one.
    """
    small, large = work(size // times), work(size)
    gc.disable()
    try:
        seconds = [(_seconds(small), _seconds(large)) for _ in range(ROUNDS)]
    finally:
        gc.enable()
    return min(last for _, last in seconds) / min(first for first, _ in seconds)


def _seconds(work: Callable[[], object]) -> float:
    begun = thread_time()
    work()
    return thread_time() - begun
