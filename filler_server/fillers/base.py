"""What every filler is: validated parameters, and a pure function of shape, random stream and place."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.rng.stream import RandomStream, Runs, Values


@dataclass(frozen=True, slots=True)
class Moments:
    """What theory expects of a filled blob; `minimum` and `maximum` bound every value (infinite where nothing does)."""

    mean: float
    std: float
    minimum: float
    maximum: float


class Filler(ABC):
    """A filler of one type with its parameters.

    Construction validates the parameters, `check` the shape; `fill` only computes.
    """

    type: ClassVar[str]
    """Caffe's name of the type, as in `FillerParameter.type`."""

    fields: ClassVar[tuple[str, ...]]
    """The fields of FillerParameter that this type reads, `type` aside."""

    @abstractmethod
    def __init__(self, param: FillerParameter) -> None:
        """Take the parameters from `param`.

        Raises:
            FillerParameterError: a field has a value that this filler cannot work with.
        """

    @abstractmethod
    def check(self, shape: tuple[int, ...]) -> None:
        """Make sure that a blob of `shape` can be filled.

        Raises:
            ShapeError: it cannot.
            FillerParameterError: a parameter does not fit the shape.
        """

    @abstractmethod
    def fill(self, out: Values, runs: Runs, shape: tuple[int, ...], random: RandomStream) -> None:
        """Write the elements `runs` of the blob of `shape` to `out`.

        `out` is one-dimensional, contiguous, of `runs.count` float32 or float64; `check(shape)` has passed.
        """

    @abstractmethod
    def moments(self, shape: tuple[int, ...]) -> Moments:
        """Return mean, standard deviation and bounds that theory expects of a blob of `shape`."""
