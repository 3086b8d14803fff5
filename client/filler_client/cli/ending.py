"""Signals that end a command, where it can be ended.

A handler that raises does so in the middle of whatever the main thread is at. In the middle of an import, the lock of
the module stays locked, and other threads wait for it without an end; in the middle of a compilation by Numba, the
exception may get lost, and the command goes on as if there had been no signal. So there a signal waits.
"""

import signal
from types import FrameType

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""The signals that ask a process to end, of those that the platform has."""

_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)

_COMPILERS = ("numba", "llvmlite")
_IMPORTS = "importlib"
_FINALIZER = "__del__"

_AGAIN_SECONDS = 0.02
"""After which a signal that waits is looked at again."""


class Ended(BaseException):
    """A signal that asks the process to end, raised so that half-written files are removed.

    Attributes:
        signal: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


def end_by_signals() -> None:
    """Let the signals that ask a process to end raise `Ended` in the main thread; a second one ends it at once.

    A signal that is ignored stays so: what was started under nohup goes on when its terminal closes.
    """
    end = _End()
    for number in _SIGNALS:
        if signal.getsignal(number) in _DEFAULTS:
            signal.signal(number, end.hear)


class _End:
    """The handler of these signals."""

    def __init__(self) -> None:
        self._heard: int | None = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Raise `Ended`, at once or as soon as that does no harm."""
        if self._heard is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._heard = number
        # A thread that waits for this could not be started if the signal came while another was.
        signal.signal(signal.SIGALRM, self._look)
        self._look(number, frame)

    def _look(self, _: int, frame: FrameType | None) -> None:
        """Raise what was heard, or look again later."""
        if _must_finish(frame):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        elif self._heard is not None:
            raise Ended(self._heard)


def _must_finish(frame: FrameType | None) -> bool:
    """Return whether the main thread is at something that an exception may not interrupt."""
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package == _IMPORTS or package in _COMPILERS or frame.f_code.co_name == _FINALIZER:
            return True
        frame = frame.f_back
    return False
