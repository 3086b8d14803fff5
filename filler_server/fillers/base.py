"""A filler: validated parameters, and from the shape of a blob to the distribution of its values."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers.distributions import Distribution


class Filler(ABC):
    """A filler of one type with its parameters.

    Construction validates the parameters and `check` the shape; `distribution` says what the values are, and
    `filler_server.fillers.backend` computes them.
    """

    type: ClassVar[str]
    """Caffe's name of the type, as in `FillerParameter.type`."""

    fields: ClassVar[tuple[str, ...]]
    """The fields of FillerParameter that this type reads, `type` aside."""

    defaults: ClassVar[Mapping[str, str]] = {}
    """Defaults of fields that are not those of the schema, in prototxt; empty where they depend on other fields."""

    in_caffe: ClassVar[bool] = True
    """Whether Caffe's random stream fills blobs with it: it has no numbers for fillers that no Caffe has."""

    draws: ClassVar[bool] = True
    """Whether random numbers are drawn; if not, none are, whatever the shape."""

    sums_rows: ClassVar[bool] = False
    """Whether a value costs its whole row (all values of one index of the first axis), even where any number of the
    random stream can be had alone."""

    whole: ClassVar[bool] = False
    """Whether a value costs the whole blob, which is then held in memory while it is read."""

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
    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Distribution:
        """Return the distribution of the values of a blob of `shape`, for which `check(shape)` has passed.

        `dtype` is float32 or float64, Caffe's `Dtype`, in which parameters are computed. (Values of float16 and
        bfloat16 are those of float32, rounded.)
        """

    @classmethod
    def cost(cls, shape: tuple[int, ...]) -> int:
        """Return how many values must be computed one after the other for any value, or what costs as much; or 0."""
        return prod(shape) if cls.sums_rows else 0

    @classmethod
    def samples(cls) -> Sequence[FillerParameter]:
        """Return parameters that together need all compiled code of this type; a server compiles it before it serves.

        This implementation returns the default parameters.
        """
        return (FillerParameter(type=cls.type),)
