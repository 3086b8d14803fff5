"""Retries: when to go on after a failure, and when to give up."""

import logging
import random
import time
from dataclasses import dataclass

from caffe_filler.errors import DataLoss, DeadlineExceeded, FillerError, InvalidArgument, LimitExceeded, Unavailable


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits on the attempts of a client.

    Attributes:
        attempts: failures in a row, without a byte between them, after which it gives up; None: patience alone counts.
        first_delay: seconds at most before the second attempt; doubled each time. Up to half of a delay is taken off
            at random, so that many clients do not come back at once.
        longest_delay: seconds at most between attempts.
        patience: seconds without a byte for which it asks again: servers that do not answer, such as one that is being
            started anew, and servers that have no place for it. The latter are no failures. What does not pass by
            itself, such as a certificate that is not trusted, is tried 8 times.
        keepalive: seconds of silence after which a server that owes an answer is asked for a sign of life; servers
            allow no less than 10.
        keepalive_timeout: seconds without that sign after which the connection counts as broken.

    After 2 seconds without an answer the logger `filler_client` warns of what is waited for.

    Raises:
        InvalidArgument: less than one attempt, or a negative time.
    """

    attempts: int | None = None
    first_delay: float = 0.05
    longest_delay: float = 2.0
    patience: float = 300.0
    keepalive: float = 30.0
    keepalive_timeout: float = 10.0

    def __post_init__(self) -> None:
        times = (self.first_delay, self.longest_delay, self.patience)
        if not (self.attempts is None or self.attempts >= 1) or not all(seconds >= 0 for seconds in times):
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

_LASTING = 8
"""Failures in a row after which one that time does not mend is final."""

_SILENT_SECONDS = 2.0
_REPEATED_SECONDS = 30.0
"""Seconds of waiting after which that is told, and told again."""

_SHOWN = 200

_log = logging.getLogger("filler_client")


class Attempts:
    """The attempts of one call over all of its targets.

    Args:
        policy: when to go on.
        timeout: seconds for the whole call, or None.
        servers: what to call the targets.
    """

    def __init__(self, policy: RetryPolicy, timeout: float | None, servers: str = "a server") -> None:
        self._policy = policy
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._failures = 0
        self._delays = 0
        self._servers = servers
        self._since: float | None = None
        self._told: float | None = None
        self._moved = False

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline of the whole call, or None."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def progressed(self) -> None:
        """Note that bytes arrived: the next failure is a first one."""
        if self._told is not None and self._since is not None:
            _log.warning("going on with %s after %.0f s", self._servers, time.monotonic() - self._since)
        self._failures = self._delays = 0
        self._since = self._told = None
        self._moved = True

    def failed(self, error: FillerError) -> float:
        """Note a failure and return how many seconds to wait before the next attempt.

        Raises:
            FillerError: `error` itself, when another attempt would not help or the attempts are used up.
            DeadlineExceeded: no time is left.
        """
        is_busy = isinstance(error, LimitExceeded) and error.is_busy
        if not is_busy:
            self._count(error)
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        patience = self._since + self._policy.patience - now
        if patience <= 0:
            raise error
        self._moved = False
        doubled = self._policy.first_delay * 2 ** min(self._delays, _DOUBLINGS)
        self._delays += 1
        longest: float = min(self._policy.longest_delay, doubled)
        delay: float = min(random.uniform(0.5, 1.0) * longest, patience)  # noqa: S311
        remaining = self.remaining
        if remaining is not None and delay >= remaining:
            raise DeadlineExceeded(f"not done in {self._timeout} s; the last failure: {error}") from error
        self._tell(error, now + delay)
        return delay

    def _count(self, error: FillerError) -> None:
        """Count a failure.

        Raises:
            FillerError: `error` itself, when another attempt would not help or there were too many.
        """
        is_cut_off = isinstance(error, LimitExceeded) and error.is_cut_off and self._moved
        if not (is_cut_off or isinstance(error, Unavailable | DataLoss)):
            raise error
        self._failures += 1
        is_lasting = isinstance(error, DataLoss) or (isinstance(error, Unavailable) and error.is_lasting)
        most = self._policy.attempts or (_LASTING if is_lasting else None)
        if most is not None and self._failures >= most:
            raise error

    def _tell(self, error: FillerError, until: float) -> None:
        """Tell that nothing comes until a time, once that has lasted for a while, and again from time to time."""
        if self._since is None or until - (self._since if self._told is None else self._told) < (
            _SILENT_SECONDS if self._told is None else _REPEATED_SECONDS
        ):
            return
        self._told = until
        _log.warning("waiting for %s ... (%s)", self._servers, str(error)[:_SHOWN])
