"""`identity` and `dirac`: weights that pass on what comes in, as far as there are as many outputs."""

from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import ShapeError
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import finite_or, refuse_unused
from filler_server.fillers.diagonal import Diagonal


class _Passing(Filler):
    """A value where an output meets the input of its number, 0 elsewhere."""

    fields = ("value",)
    defaults: ClassVar[Mapping[str, str]] = {"value": "1.0"}
    draws = False
    in_caffe = False

    def __init__(self, param: FillerParameter) -> None:
        """Take `value`, finite; 1 where it is not given."""
        refuse_unused(param, self.fields)
        self._value = finite_or(param, "value", 1.0)

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Diagonal:
        """Return the places, which are those of one index for outputs and inputs, in the middle of the kernel."""
        kernel, middle = prod(shape[2:]), 0
        for dim in shape[2:]:
            middle = middle * dim + dim // 2
        return Diagonal(self._value, middle, (shape[1] + 1) * kernel, min(shape[:2]), prod(shape))


class IdentityFiller(_Passing):
    """A value on the diagonal of a matrix, 0 elsewhere.

    x[i, j] = value where i == j. PyTorch: `torch.nn.init.eye_`; Keras: `Identity`.
    """

    type = "identity"

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept shapes of two axes."""
        check_shape(shape)
        if len(shape) != 2:
            hint = "; 'dirac' is for the weights of convolutions" if len(shape) > 2 else ""
            raise ShapeError(f"filler type 'identity' needs a blob of two axes{hint}. Received: shape={list(shape)}")


class DiracFiller(_Passing):
    """A value in the middle of the kernel from each channel to itself, 0 elsewhere.

    x[i, i, k0 // 2, k1 // 2, ...] = value, the k being the sizes of the kernel: a convolution of odd kernels that are
    padded by k // 2 passes on its input. PyTorch: `torch.nn.init.dirac_` with one group.
    """

    type = "dirac"

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept shapes of three axes or more."""
        check_shape(shape)
        if len(shape) < 3:
            hint = "; 'identity' is for matrices" if len(shape) == 2 else ""
            raise ShapeError(
                f"filler type 'dirac' needs a blob of three axes or more{hint}. Received: shape={list(shape)}"
            )
