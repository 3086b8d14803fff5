"""The `caffe` stream of one blob: a piece of Caffe's one unbroken sequence of numbers."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument, RegionError
from filler_server.cancellation import checkpoint
from filler_server.rng.arguments import check_out
from filler_server.rng.caffe import boost, kernels
from filler_server.rng.caffe.boost import Dtype, Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.stream import Runs, Values

_APART = 1 << 18
"""Places to which a reader may go back lie at least so many values apart."""

_MOST_PLACES = 32

_STRIDE = 1 << 24
"""Values passed over at once, in some tens of milliseconds; an even number, since some values come in pairs."""


class CaffeStream:
    """The `caffe` stream of one blob.

    Values come in sequence: one costs all that stand before it in the blob. Reading in ascending order goes on where
    the last call ended, and going back goes back to one of a few places passed before. Memory is bounded: what is
    kept are states of the engine. One thread at a time may use a stream.

    As in Caffe, where a filler draws all of its gaussians and then its mask, each distribution draws for the whole
    blob before the next begins, in the order in which they are first asked for.
    """

    sequential: ClassVar[bool] = True

    def __init__(
        self,
        start: EngineState | Callable[[], EngineState],
        count: int,
        dtype: np.dtype[Any],
        profile: Profile = Profile.CAFFE,
    ) -> None:
        """Take the engine as it stands before the blob.

        Args:
            start: that state, or what gives it when the first number is drawn.
            count: number of values of the blob.
            dtype: float32 or float64, the blob's type.
            profile: whose numbers to draw.

        Raises:
            InvalidArgument: count < 1, or another dtype.
        """
        if count < 1:
            raise InvalidArgument(f"a blob has at least one value. Received: count={count}")
        if dtype not in (np.float32, np.float64):
            raise InvalidArgument(f"Caffe's blobs are float32 or float64. Received: dtype={dtype}")
        self._start = start
        self._count = count
        self._dtype: Dtype = dtype
        self._profile = profile
        self._passes: dict[tuple[Any, ...], _Pass | None] = {}

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        """Fill `out`, of the blob's dtype, with uniform values of [low, high].

        Raises:
            InvalidArgument: `out` cannot be written, low <= high does not hold or is not finite, or no number of
                Caffe's lies between them.
            RegionError: `runs` do not fit `out` or the blob.
        """
        check_out(out, runs, self._dtype.type)
        self._read(out, runs, ("uniform", low, high), lambda: boost.uniform(low, high, self._dtype, self._profile))

    def gaussian(self, out: Values, runs: Runs, mean: float, std: float) -> None:
        """Fill `out`, of the blob's dtype, with normal values.

        Raises:
            InvalidArgument: `out` cannot be written, or mean and std are not finite, or not std > 0 in out's dtype.
            RegionError: `runs` do not fit `out` or the blob.
        """
        check_out(out, runs, self._dtype.type)
        self._read(out, runs, ("gaussian", mean, std), lambda: boost.gaussian(mean, std, self._dtype, self._profile))

    def truncated(self, out: Values, runs: Runs, mean: float, std: float, low: float, high: float) -> None:
        """Refuse: Caffe draws no such values.

        Raises:
            InvalidArgument: always.
        """
        raise InvalidArgument("Caffe draws no truncated normal values. Received: stream='caffe'", field="stream")

    def bernoulli(self, out: NDArray[np.bool_], runs: Runs, probability: float) -> None:
        """Fill `out` with True of the given probability; 0 draws nothing.

        Raises:
            InvalidArgument: `out` cannot be written, or the probability lies outside [0, 1].
            RegionError: `runs` do not fit `out` or the blob.
        """
        check_out(out, runs, np.bool_)
        self._read(out, runs, ("bernoulli", probability), lambda: boost.bernoulli(probability, self._dtype))

    @property
    def is_known(self) -> bool:
        """Whether anything has been asked for, so that it is known what the blob draws."""
        return bool(self._passes)

    def end_state(self) -> EngineState:
        """Return the engine as it stands after the blob, running through what has not been read.

        What the blob draws is known from what has been asked for: a filler must have read at least one value. Nothing
        asked for is nothing drawn.
        """
        for draws in reversed(self._passes.values()):
            if draws is not None:
                return draws.end()
        return self._start if isinstance(self._start, EngineState) else self._start()

    def _read(
        self,
        out: NDArray[Any],
        runs: Runs,
        key: tuple[Any, ...],
        prepare: Callable[[], kernels.Distribution | None],
    ) -> None:
        self._check_inside(runs)
        if key not in self._passes:
            prepared = prepare()
            self._passes[key] = (
                None if prepared is None else _Pass(prepared, self.end_state(), self._count, self._dtype)
            )
        draws = self._passes[key]
        if draws is None:
            out[:] = False
        elif out.size:
            draws.read(out, runs)

    def _check_inside(self, runs: Runs) -> None:
        ends = runs.starts + np.diff(runs.bounds)
        if ends.size and (ends[-1] > self._count or (runs.starts[1:] < ends[:-1]).any()):
            raise RegionError(
                f"runs must ascend and lie within the {self._count} values of the blob. "
                f"Received: starts={runs.starts[0]}..{runs.starts[-1]}, end={ends[-1]}"
            )


class _Place(NamedTuple):
    at: int
    state: EngineState


class _Pass:
    """The numbers of one distribution for the whole blob: one call of Caffe's `caffe_rng_...`."""

    def __init__(self, distribution: kernels.Distribution, start: EngineState, count: int, dtype: Dtype) -> None:
        self._distribution = distribution
        self._dtype: Any = np.bool_ if isinstance(distribution, kernels.Bernoulli) else dtype
        # Box and Muller's values come in pairs, of which the last may be used by half.
        self._count = count + count % 2 if isinstance(distribution, kernels.BoxMuller) else count
        self._here = _Place(0, start)
        self._places = [self._here]
        self._apart = _APART

    def read(self, out: NDArray[Any], runs: Runs) -> None:
        """Write the values of runs that ascend and lie within the blob; at least one run."""
        first = int(runs.starts[0])
        self._go_near(first)
        while first - self._here.at > _STRIDE:
            checkpoint()
            self._draw(np.empty(0, self._dtype), Runs.contiguous(self._here.at + _STRIDE, 0))
        self._draw(out, runs)

    def _draw(self, out: NDArray[Any], runs: Runs) -> None:
        window = self._here.state.window.copy()
        drawn = kernels.fill(window, out, runs.starts, runs.bounds, self._here.at, self._distribution)
        index = int(runs.starts[-1] + runs.bounds[-1] - runs.bounds[-2])
        self._here = _Place(index, EngineState(window, self._here.state.draws + drawn))
        self._remember()

    def end(self) -> EngineState:
        """Return the engine as it stands after the last value."""
        if self._places[-1].at < self._count:
            self.read(np.empty(0, self._dtype), Runs.contiguous(self._count, 0))
        return self._places[-1].state

    def _go_near(self, index: int) -> None:
        before = (place for place in (self._here, *self._places) if place.at <= index)
        self._here = max(before, key=lambda place: place.at)

    def _remember(self) -> None:
        last, index = self._places[-1].at, self._here.at
        if index >= last + self._apart or last < self._count <= index:
            if len(self._places) == _MOST_PLACES:
                del self._places[1::2]
                self._apart *= 2
            self._places.append(self._here)
