"""A net over the `caffe` stream: the blobs that `caffe train` would have started from."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, Protocol

import numpy as np

from caffe_filler.errors import NetError, UnknownFiller
from caffe_filler.interface import option_name
from filler_server.cancellation import checkpoint
from filler_server.engine.computed import ComputedTensor
from filler_server.engine.net import Naming, RegionOf, blob_tensors, known_shape
from filler_server.fillers import Filler, backend, check_in_caffe, get_filler
from filler_server.net.draws import DataDraws, LayerDraws, net_draws
from filler_server.net.plan import Blob, Layer, NetPlan
from filler_server.rng.caffe.boost import Dtype, Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.stream import Runs

_MOST_PLACES = 1 << 14
"""Steps of a net to which a reader may go back at once."""


class CaffeNet:
    """The random numbers of a net: one unbroken sequence through all its layers.

    A blob's numbers follow those of all blobs before it, so that the first value of a blob costs everything before
    it. Reading the tensors in order costs one pass over the net; in any other order, or in part, what was passed is
    kept as states of the engine, about 2.5 KiB for each blob, up to 40 MiB, and for each MiB of the longest ones. The
    tensors of one net belong to one thread at a time.
    """

    def __init__(
        self,
        plan: NetPlan,
        start: EngineState | Callable[[], EngineState],
        *,
        dtype: np.dtype[Any],
        profile: Profile = Profile.CAFFE,
        data_draws: DataDraws | int = DataDraws.EMULATE,
    ) -> None:
        """Take the engine as it stands before the net.

        Args:
            plan: the net.
            start: that state, `EngineState.seeded(random_seed)` for the first net of a solver; for the nets after it
                the `end_state` of the one before, which is asked for when the first number is drawn.
            dtype: of the tensors; float16 and bfloat16 are rounded from the numbers of float32.
            profile: whose numbers to draw.
            data_draws: what layers that read data draw; a number: so many outputs each.

        Raises:
            FillerParameterError, ShapeError: a filler of the net cannot fill its blob.
        """
        self._plan = plan
        self._dtype = dtype
        self._blob_dtype: Dtype = dtype if dtype == np.float64 else np.dtype(np.float32)
        self._profile = profile
        self._start = start
        self._layers = net_draws(plan, data_draws)
        self._steps: list[_Step] = []
        self._ends: list[int] = []
        self._fills: dict[str, tuple[int, _Fill | _Unfillable]] = {}
        for layer in self._layers:
            self._add(layer)
            self._ends.append(len(self._steps))
        self._open = next((number for number, step in enumerate(self._steps) if step.is_open), None)
        # Where the engine was, each place with its state; between two of them lie at least so many steps.
        self._places: list[int] = []
        self._states: list[EngineState] = []
        self._apart = 1
        self._here: tuple[int, EngineState]

    def tensors(self, selection: Sequence[tuple[str, RegionOf]] | None = None) -> list[ComputedTensor]:
        """Return the blobs of the net, or those selected, as `blob_tensors` does.

        Raises:
            UnknownBlob: the selection names a blob that the plan does not have.
            NetError: a blob is wanted whose shape is not known, or that comes after something in the net of which
                it is not known how much it draws.
            UnknownFiller: a blob is wanted whose filler is not known.
            InvalidArgument: values do not fit the dtype, or a region does not lie in its blob.
        """
        return blob_tensors(self._plan, self._stream, dtype=self._dtype, selection=selection)

    def layer_draws(self) -> list[tuple[Layer, int | None]]:
        """Return for each layer of the plan the number of engine outputs that its set-up draws.

        None stands for what is not known: the draws of a layer, and those of all layers after it that draw.
        """
        counts: list[int | None] = []
        for first, end in pairwise((0, *self._ends)):
            if first == end:
                counts.append(0)
            elif self._open is not None and end > self._open:
                counts.append(None)
            else:
                counts.append(self._state(end).draws - self._state(first).draws)
        return [(draws.layer, count) for draws, count in zip(self._layers, counts, strict=True)]

    def end_state(self) -> EngineState:
        """Return the engine as it stands after the net.

        Raises:
            NetError: of some layer it is not known how much it draws.
        """
        return self._state(len(self._steps))

    def _add(self, draws: LayerDraws) -> None:
        if draws.seeds != 0:
            self._steps.append(_Seeds(draws.layer, draws.seeds))
        for blob in draws.fills:
            fill = self._fill(blob)
            self._fills[blob.name] = len(self._steps), fill
            self._steps.append(fill)
        refills = [self._fill(blob) for blob in draws.refills]
        if draws.times != 0 and any(fill.draws for fill in refills):
            self._steps.append(_Refills(draws.layer, refills, draws.times))

    def _fill(self, blob: Blob) -> "_Fill | _Unfillable":
        shape = None if blob.count is None else known_shape(blob)
        try:
            with Naming(blob):
                filler = get_filler(blob.filler)
                check_in_caffe(filler)
                if shape is not None:
                    filler.check(shape)
        except UnknownFiller as error:
            return _Unfillable(error)
        return _Fill(blob, filler, shape, self._blob_dtype, self._profile)

    def _stream(self, blob: Blob) -> CaffeStream:
        number, fill = self._fills[blob.name]
        self._check_known(number)
        return fill.stream(lambda: self._state(number))

    def _state(self, number: int) -> EngineState:
        """The engine before the step of this number."""
        self._check_known(number)
        if not self._places:
            self._keep(0, self._start if isinstance(self._start, EngineState) else self._start())
        at, state = self._before(number)
        if at < self._here[0] <= number:
            at, state = self._here
        while at < number:
            checkpoint()
            state = self._steps[at].run(state)
            at += 1
            if at >= self._places[-1] + self._apart:
                self._keep(at, state)
        self._here = at, state
        return state

    def _before(self, number: int) -> tuple[int, EngineState]:
        """The last place that is kept up to this step."""
        index = bisect_right(self._places, number) - 1
        return self._places[index], self._states[index]

    def _keep(self, number: int, state: EngineState) -> None:
        if len(self._places) == _MOST_PLACES:
            del self._places[1::2], self._states[1::2]
            self._apart *= 2
        self._places.append(number)
        self._states.append(state)
        self._here = number, state

    def _check_known(self, number: int) -> None:
        """Make sure that it is known how much each step before that of this number draws."""
        if self._open is None or number <= self._open:
            return
        step = self._steps[self._open]
        if isinstance(step, _Fill):
            try:
                known_shape(step.blob)
            except NetError as error:
                raise NetError(
                    f"Caffe's numbers after blob '{step.blob.name}' cannot be had: {error.reason}"
                ) from error
        elif isinstance(step, _Unfillable):
            raise NetError(f"Caffe's numbers after this blob cannot be had: {step.error}") from step.error
        elif isinstance(step, _Seeds):
            raise NetError(
                "Caffe's numbers after this layer cannot be had: it reads data, and it is not known how much such a "
                f"layer draws at its set-up: say so by {option_name('data_draws')}, a number of outputs or none. "
                f"Received: type='{step.layer.type}'",
                layer=step.layer.name,
                line=step.layer.line,
            )
        elif isinstance(step, _Refills):
            bottom = step.layer.bottoms[0]
            raise NetError(
                "Caffe's numbers after this layer cannot be had: it draws at each timestep, and their number is not "
                f"known: give the shape of '{bottom}' by {option_name('inputs')} or {option_name('tops')}. "
                "Received: timesteps=?",
                layer=step.layer.name,
                line=step.layer.line,
            )


class _Step(Protocol):
    """A part of the sequence."""

    @property
    def is_open(self) -> bool:
        """Whether it is not known how much it draws."""
        ...

    def run(self, state: EngineState) -> EngineState:
        """Return the engine after this step from the engine before it."""
        ...


@dataclass(frozen=True, slots=True)
class _Seeds:
    """Outputs that seed other engines; None: it is not known how many."""

    layer: Layer
    count: int | None

    @property
    def is_open(self) -> bool:
        return self.count is None

    def run(self, state: EngineState) -> EngineState:
        return state.skip(self.count or 0)


class _Fill:
    """One blob filled once."""

    def __init__(
        self, blob: Blob, filler: Filler, shape: tuple[int, ...] | None, dtype: Dtype, profile: Profile
    ) -> None:
        self.blob = blob
        self._filler = filler
        self._shape = shape
        self._dtype = dtype
        self._profile = profile
        self._first: CaffeStream | None = None

    @property
    def draws(self) -> bool:
        return self._filler.draws

    @property
    def is_open(self) -> bool:
        return self._shape is None and self.draws

    def stream(self, start: Callable[[], EngineState]) -> CaffeStream:
        """Return the blob's numbers for a reader; where the first reader has been is not run through again."""
        stream = self._new(start)
        self._first = self._first or stream
        return stream

    def run(self, state: EngineState) -> EngineState:
        if not self.draws:
            return state
        stream = self._first
        if stream is None or not stream.is_known:
            stream = self._new(state)
            last, shape = np.empty(1, self._dtype), self._shape or ()
            fill = backend.prepare(self._filler.distribution(shape, self._dtype))
            fill(last, Runs.contiguous(prod(shape) - 1, 1), stream)
        return stream.end_state()

    def _new(self, start: EngineState | Callable[[], EngineState]) -> CaffeStream:
        return CaffeStream(start, prod(self._shape or ()), self._dtype, self._profile)


@dataclass(frozen=True, slots=True)
class _Unfillable:
    """One blob of an unknown filler, such as one of a fork; nobody knows what it draws."""

    error: UnknownFiller

    @property
    def draws(self) -> bool:
        return True

    @property
    def is_open(self) -> bool:
        return True

    def stream(self, start: Callable[[], EngineState]) -> CaffeStream:
        """Raise the error that keeps the blob from being filled."""
        raise copy(self.error)

    def run(self, state: EngineState) -> EngineState:
        """Raise the error that keeps the blob from being filled."""
        raise copy(self.error)


@dataclass(frozen=True, slots=True)
class _Refills:
    """Blobs of a recurrent layer filled again at each further timestep, for nothing."""

    layer: Layer
    fills: Sequence[_Fill | _Unfillable]
    times: int | None

    @property
    def is_open(self) -> bool:
        return self.times is None

    def run(self, state: EngineState) -> EngineState:
        for _ in range(self.times or 0):
            checkpoint()
            for fill in self.fills:
                state = fill.run(state)
        return state
