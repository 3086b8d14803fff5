"""Two sequences of tensors, tensor by tensor."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option
from filler_server.layouts.caffe import LEGACY_AXES, equals_legacy
from filler_server.tensors import Advance, Tensor

Verdict: TypeAlias = Literal["equal", "differs", "shape", "only in A", "only in B"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences of a tensor between two files.

    Attributes:
        name: its name.
        verdict: equal (as values: -0 equals 0, and NaN equals NaN), differs, another shape, or
            missing in one of the files.
        first, second: the tensors; None where there is none.
        different: number of values that differ by more than the tolerance.
        max_difference: the largest absolute difference, infinite where only one of two values is finite or a number;
            None if the values were not compared.
    """

    name: str
    verdict: Verdict
    first: Tensor | None
    second: Tensor | None
    different: int = 0
    max_difference: float | None = None


def compare(
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    *,
    atol: float = 0.0,
    advance: Advance | None = None,
) -> Iterator[Comparison]:
    """Yield how the tensors differ: those of the first file in its order, then those that only the second has.

    A legacy shape of four axes equals the one that Caffe takes it for, (1, 1, 500, 800) and (500, 800). Values are
    compared in float64, so that dtypes may differ; integers are told apart exactly.

    Args:
        first: the tensors of A.
        second: the tensors of B.
        atol: absolute differences up to this one are none.
        advance: is told the bytes of the first file that are done.

    Raises:
        InvalidArgument: atol is no finite number from 0 on; nothing is above NaN.
        WeightsError: a file is damaged.
    """
    if not 0 <= atol < math.inf:
        raise InvalidArgument(f"atol is a finite number from 0 on. Received: {option('atol', atol)}", field="atol")
    others = {tensor.name: tensor for tensor in second}
    for tensor in first:
        other = others.pop(tensor.name, None)
        if other is None:
            yield Comparison(tensor.name, "only in A", tensor, None)
        elif not _same_shape(tensor, other):
            yield Comparison(tensor.name, "shape", tensor, other)
        else:
            yield _compare(tensor, other, atol, advance)
    for other in others.values():
        yield Comparison(other.name, "only in B", None, other)


def _same_shape(tensor: Tensor, other: Tensor) -> bool:
    if tensor.shape == other.shape:
        return True
    pairs = ((tensor, other), (other, tensor))
    return any(
        old.legacy and len(old.shape) == LEGACY_AXES and equals_legacy(new.shape, old.shape) for old, new in pairs
    )


def _compare(tensor: Tensor, other: Tensor, atol: float, advance: Advance | None) -> Comparison:
    different, largest = 0, 0.0
    for left, right in _side_by_side(tensor, other):
        with np.errstate(invalid="ignore"):
            one, two = left.astype(np.float64), right.astype(np.float64)
            distance = np.abs(one - two)
        distance[(one == two) | (np.isnan(one) & np.isnan(two))] = 0
        distance[np.isnan(distance)] = np.inf
        if left.dtype.kind in "iu" and right.dtype.kind in "iu":
            # float64 takes neighbours beyond 2^53 for one number.
            distance[left != right] = np.maximum(distance[left != right], 1)
        different += int(np.count_nonzero(distance > atol))
        largest = max(largest, float(distance.max(initial=0)))
        if advance is not None:
            advance(left.nbytes, tensor.name)
    verdict: Verdict = "differs" if different else "equal"
    return Comparison(tensor.name, verdict, tensor, other, different, largest)


def _side_by_side(tensor: Tensor, other: Tensor) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield blocks of equal length of two tensors of equal count, wherever their own blocks end."""
    blocks = other.blocks()
    right: NDArray[Any] = np.empty(0)
    for block in tensor.blocks():
        left = block
        while left.size:
            if not right.size:
                right = next(blocks)
            length = min(left.size, right.size)
            yield left[:length], right[:length]
            left, right = left[length:], right[length:]
