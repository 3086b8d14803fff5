"""When to go on after a failure, on which server, and when to give up."""

import random
import time
from dataclasses import dataclass

from caffe_filler.errors import DataLoss, DeadlineExceeded, FillerError, LimitExceeded, Unavailable


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a client tries.

    Attributes:
        attempts: failures in a row, without a byte between them, after which it gives up.
        first_delay: seconds before the second attempt; doubled each time, with full jitter.
        longest_delay: seconds at most between attempts.
    """

    attempts: int = 8
    first_delay: float = 0.05
    longest_delay: float = 2.0


class Attempts:
    """The attempts of one call over all of its targets."""

    def __init__(self, policy: RetryPolicy, timeout: float | None) -> None:
        self._policy = policy
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._failures = 0

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline of the whole call, or None."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def progressed(self) -> None:
        """Note that bytes arrived: the next failure is a first one."""
        self._failures = 0

    def failed(self, error: FillerError) -> float:
        """Note a failure and return how many seconds to wait before the next attempt.

        Raises:
            FillerError: `error` itself, when another attempt would not help or the attempts are used up.
            DeadlineExceeded: no time is left.
        """
        busy = isinstance(error, LimitExceeded) and error.metadata.get("limit") == "streams"
        if not (busy or isinstance(error, (Unavailable, DataLoss))):
            raise error
        self._failures += 1
        if self._failures >= self._policy.attempts:
            raise error
        longest: float = min(self._policy.longest_delay, self._policy.first_delay * 2 ** (self._failures - 1))
        delay: float = random.uniform(0.5, 1.0) * longest  # noqa: S311
        remaining = self.remaining
        if remaining is not None and delay >= remaining:
            raise DeadlineExceeded(f"not done in {self._timeout} s; the last failure: {error}") from error
        return delay
