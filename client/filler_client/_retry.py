"""Retries: when to go on after a failure, and when to give up."""

import random
import time
from dataclasses import dataclass

from caffe_filler.errors import DataLoss, DeadlineExceeded, FillerError, InvalidArgument, LimitExceeded, Unavailable


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits on the attempts of a client.

    Attributes:
        attempts: failures in a row, without a byte between them, after which it gives up.
        first_delay: seconds at most before the second attempt; doubled each time. Up to half of a delay is taken off
            at random, so that many clients do not come back at once.
        longest_delay: seconds at most between attempts.
        patience: seconds for which it asks servers again that are alive but have no place for it. These refusals are
            no failures.
        keepalive: seconds of silence after which a server that owes an answer is asked for a sign of life; servers
            allow no less than 10.
        keepalive_timeout: seconds without that sign after which the connection counts as broken.

    Raises:
        InvalidArgument: less than one attempt, or a negative time.
    """

    attempts: int = 8
    first_delay: float = 0.05
    longest_delay: float = 2.0
    patience: float = 300.0
    keepalive: float = 30.0
    keepalive_timeout: float = 10.0

    def __post_init__(self) -> None:
        if not (self.attempts >= 1 and self.first_delay >= 0 and self.longest_delay >= 0 and self.patience >= 0):
            raise InvalidArgument(
                "a client tries at least once, with delays of 0 or more. Received: "
                f"attempts={self.attempts}, first_delay={self.first_delay}, longest_delay={self.longest_delay}, "
                f"patience={self.patience}"
            )
        if not (self.keepalive > 0 and self.keepalive_timeout > 0):
            raise InvalidArgument(
                "the times of a keepalive are more than 0. Received: "
                f"keepalive={self.keepalive}, keepalive_timeout={self.keepalive_timeout}"
            )


_DOUBLINGS = 32
"""More would make of any delay more than a float can hold."""


class Attempts:
    """The attempts of one call over all of its targets."""

    def __init__(self, policy: RetryPolicy, timeout: float | None) -> None:
        self._policy = policy
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._failures = 0
        self._delays = 0
        self._busy_since: float | None = None
        self._moved = False

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline of the whole call, or None."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def progressed(self) -> None:
        """Note that bytes arrived: the next failure is a first one."""
        self._failures = self._delays = 0
        self._busy_since = None
        self._moved = True

    def failed(self, error: FillerError) -> float:
        """Note a failure and return how many seconds to wait before the next attempt.

        Raises:
            FillerError: `error` itself, when another attempt would not help or the attempts are used up.
            DeadlineExceeded: no time is left.
        """
        if isinstance(error, LimitExceeded) and error.is_busy:
            self._check_patience(error)
        elif isinstance(error, (Unavailable, DataLoss)) or (
            isinstance(error, LimitExceeded) and error.is_cut_off and self._moved
        ):
            self._failures += 1
            if self._failures >= self._policy.attempts:
                raise error
        else:
            raise error
        self._moved = False
        doubled = self._policy.first_delay * 2 ** min(self._delays, _DOUBLINGS)
        self._delays += 1
        longest: float = min(self._policy.longest_delay, doubled)
        delay: float = random.uniform(0.5, 1.0) * longest  # noqa: S311
        remaining = self.remaining
        if remaining is not None and delay >= remaining:
            raise DeadlineExceeded(f"not done in {self._timeout} s; the last failure: {error}") from error
        return delay

    def _check_patience(self, error: LimitExceeded) -> None:
        now = time.monotonic()
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since >= self._policy.patience:
            raise error
