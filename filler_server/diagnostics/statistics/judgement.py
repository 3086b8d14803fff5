"""A promise, and the judgement of values that should keep it."""

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from filler_server.diagnostics.statistics.figures import Figures, Ranks


@dataclass(frozen=True, slots=True)
class Promised:
    """The promise of a filler for the values of a blob.

    Attributes:
        mean, std: of the distribution; None of values that are no numbers.
        minimum, maximum: its bounds, None where there is none.
        text: the promise in words.
    """

    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    text: str


@dataclass(frozen=True, slots=True)
class ChanceTest:
    """A test of values against their promise.

    Attributes:
        name: mean, variance, distribution or zeros.
        statistic: the z-score of mean and variance; the distance D of Kolmogorov and Smirnov; the number of zeros.
        probability: how likely the promise gives values that lie as far out, before any correction.
        error: how much larger the statistic may be at most than what was worked out.
    """

    name: str
    statistic: float
    probability: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """Evidence for and against a promise.

    Attributes:
        tests: tests by chance.
        faults: what the promise rules out altogether, as sentences.
        notes: what could not be judged, as sentences.
    """

    tests: tuple[ChanceTest, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Judge(Protocol):
    """A promise that is held against values, block by block in their order."""

    @property
    def promised(self) -> Promised:
        """The promise in numbers."""
        ...

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Bounds between which values are to be ranked."""
        ...

    @property
    def zero_share(self) -> float:
        """Probability of a value that is 0; of a pattern 1, which may have any number of zeros."""
        ...

    @property
    def is_varied(self) -> bool:
        """Whether values are so many that equal channels are no chance."""
        ...

    def add(self, block: NDArray[Any]) -> None:
        """Look at a block, where more than figures and ranks is needed."""
        ...

    def judgement(self, figures: Figures, ranks: Ranks | None) -> Judgement:
        """Return the judgement of all values, of which all are finite or the promise is not."""
        ...
