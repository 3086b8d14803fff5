"""Tensors with what fills them, and their filling."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import torch

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument
from filler_client._client import FillerClient
from filler_client._many import BlobSpec
from filler_client.torch._placement import Part, parts_of
from filler_client.torch._targets import Target, check_apart, fill_targets
from filler_client.torch._views import can_hold_a_blob

if TYPE_CHECKING:
    from filler_server.rules import Assignment


@dataclass(slots=True)
class Filling:
    """A tensor or DTensor, and what fills it.

    Attributes:
        tensor: the tensor.
        assignment: what fills the whole of it.
        zero_row: the row that becomes zeros once the others are filled, or None.
        parts: the parts of it that are held here, once it is filled.
    """

    tensor: torch.Tensor
    assignment: "Assignment"
    zero_row: int | None = None
    parts: list[Part] = field(default_factory=list)


def check_tensor(name: str, tensor: torch.Tensor, assignment: "Assignment") -> None:
    """Make sure that a tensor can hold what fills it: of other types than a blob's, a whole number in their range.

    Raises:
        InvalidArgument: it cannot.
    """
    if tensor.is_neg():
        raise InvalidArgument(
            f"'{name}' is a negated view, as the imaginary part of a conjugate; resolve_neg() copies it"
        )
    if tensor.layout == torch.strided and can_hold_a_blob(tensor.dtype):
        return
    filler, dtype = assignment.filler, tensor.dtype
    if tensor.layout != torch.strided or dtype.is_floating_point or dtype.is_complex or tensor.is_quantized:
        raise InvalidArgument(
            f"'{name}' is no dense tensor of float32, float64, float16 or bfloat16, nor one of integers or Booleans. "
            f"Received: dtype={dtype}, layout={tensor.layout}"
        )
    if filler.type != "constant" or not filler.value.is_integer():
        raise InvalidArgument(
            f"'{name}' is no dense tensor of float32, float64, float16 or bfloat16, and {assignment.rule} fills it "
            f"with more than a whole number. Received: dtype={dtype}, layout={tensor.layout}"
        )
    lowest, highest = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    if not lowest <= filler.value <= highest:
        raise InvalidArgument(
            f"'{name}' holds {lowest} to {highest}, and {assignment.rule} fills it with another value. "
            f"Received: dtype={dtype}, value={filler.value:.0f}"
        )


def check_padding(name: str, assignment: "Assignment", remedy: str) -> None:
    """Make sure that a rule does not ask for the row that a module names as padding where there is no module.

    Raises:
        InvalidArgument: it does; `remedy` says what tells the row.
    """
    if assignment.zero_padding:
        raise InvalidArgument(
            f"'{name}': without a module nothing tells the padding_idx that zero_padding asks for; {remedy}. "
            f"Received: zero_padding in {assignment.rule}"
        )


def check_memory(fillings: Sequence[Filling]) -> None:
    """Find the parts of tensors that are held here, and make sure that each has memory of its own.

    Raises:
        InvalidArgument: tensors share memory, or one has none that could be filled.
    """
    for filling in fillings:
        try:
            filling.parts = parts_of(filling.tensor)
        except InvalidArgument as error:
            raise error.within(f"'{filling.assignment.stream}'") from None
    check_apart([(filling.assignment.stream, part.tensor) for filling in fillings for part in filling.parts])


def fill_all(fillings: Sequence[Filling], seed: int, client: FillerClient | None) -> None:
    """Fill tensors, as many in one request as are of one data type on one device; constants need none.

    Raises:
        InvalidArgument: tensors share memory.
        FillerError: one of the tree in `caffe_filler.errors`.
    """
    targets: list[Target] = []
    constants: list[tuple[torch.Tensor, float]] = []
    check_memory(fillings)
    for filling in fillings:
        found = filling.assignment
        for part in filling.parts:
            if _is_constant(found.filler, part.tensor):
                constants.append((part.tensor, found.filler.value))
            else:
                blob = BlobSpec(found.filler, tuple(filling.tensor.shape), found.stream, part.box, found.axes)
                targets.append(Target(blob, part.tensor))
    fill_targets(targets, seed, client)
    for tensor, value in constants:
        tensor.fill_(value if tensor.is_floating_point() else int(value))
    for filling in fillings:
        row = filling.zero_row
        if row is not None:
            for part in filling.parts:
                start, stop = (0, len(part.tensor)) if part.box is None else part.box[0]
                if start <= row < stop:
                    part.tensor[row - start].zero_()


def _is_constant(filler: FillerParameter, tensor: torch.Tensor) -> bool:
    """Whether all values are one which the tensor can hold, so that nobody has to compute them."""
    if filler.type != "constant":
        return False
    if not can_hold_a_blob(tensor.dtype):
        return True
    return tensor.is_contiguous() and not tensor.is_inference() and abs(filler.value) <= _largest(tensor.dtype)


@cache
def _largest(dtype: torch.dtype) -> float:
    return float(torch.finfo(dtype).max)
