"""The state of Caffe's engine, `boost::mt19937`, between one draw and the next."""

import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.rng.caffe import kernels

_MULTIPLIER = 1812433253


@dataclass(frozen=True, slots=True, eq=False)
class EngineState:
    """An mt19937 that never moves: drawing from it gives a further state.

    Attributes:
        window: uint32 [624], read-only, the words of the recurrence before the one that gives the next output.
        draws: number of outputs drawn since it was seeded.
    """

    window: NDArray[np.uint32]
    draws: int

    def __post_init__(self) -> None:
        self.window.flags.writeable = False

    @classmethod
    def seeded(cls, seed: int) -> "EngineState":
        """The state after `Caffe::set_random_seed(seed)`: `init_genrand` of Matsumoto and Nishimura (2002).

        Args:
            seed: any integer; its low 32 bits count, as where Caffe narrows it.

        Raises:
            InvalidArgument: it is not an integer.
        """
        try:
            word = operator.index(seed) % 2**32
        except TypeError:
            raise InvalidArgument(f"a seed is an integer. Received: seed={seed!r}", field="seed") from None
        words = [word]
        for i in range(1, kernels.STATE_SIZE):
            word = (_MULTIPLIER * (word ^ (word >> 30)) + i) % 2**32
            words.append(word)
        return cls(np.array(words, np.uint32), 0)

    def skip(self, count: int) -> "EngineState":
        """Return the state after `count` >= 0 further outputs.

        Raises:
            InvalidArgument: count < 0.
        """
        if count < 0:
            raise InvalidArgument(f"an engine only goes forward. Received: count={count}")
        if count == 0:
            return self
        window = self.window.copy()
        kernels.discard(window, count)
        return EngineState(window, self.draws + count)

    def outputs(self, count: int) -> NDArray[np.uint32]:
        """Return the next `count` >= 0 outputs, uint32 [count]; the state stays where it is.

        Raises:
            InvalidArgument: count < 0.
        """
        if count < 0:
            raise InvalidArgument(f"a number of outputs is at least 0. Received: count={count}")
        values = np.empty(count, np.uint32)
        kernels.draw(self.window.copy(), values)
        return values
