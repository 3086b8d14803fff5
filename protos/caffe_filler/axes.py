"""The meaning of the axes of a blob: which are outputs and inputs of the weight, and which count independent weights.

Caffe's blobs are [outputs, inputs, kernel...]. Other frameworks have the same axes elsewhere, as JAX and Keras in
[in, out] and [H, W, in, out], and further ones where layers or experts are stacked, as in [layers, in, out].
"""

import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias, cast

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option
from caffe_filler.nearest import did_you_mean, nearest

if TYPE_CHECKING:
    from caffe_filler.v1 import filler_pb2

AxisNumbers: TypeAlias = SupportsIndex | Iterable[SupportsIndex]
"""One axis or several, by their numbers from 0."""

_WORDS = {"out": "outputs", "in": "inputs", "kernel": "", "stack": "stacks"}
_LETTERS = {"O": "out", "I": "in", "H": "kernel", "W": "kernel", "D": "kernel", "S": "stack"}
_REST = "..."


@dataclass(frozen=True, slots=True, init=False)
class FanAxes:
    """The meaning of the axes of a blob, by their numbers from 0; those that are not listed are the kernel's.

    To a filler the blob is a weight [outputs, inputs, kernel...] for each index of the stacks, in whichever order its
    axes lie; several axes of one meaning count as one, in the order of the blob. `fan_in` is inputs times kernel,
    `fan_out` outputs times kernel.

    Attributes:
        inputs: axes of the inputs.
        outputs: axes of the outputs.
        stacks: axes that count independent weights, such as layers or experts; they belong to no fan.

    Raises:
        InvalidArgument: an axis is not a number from 0, or is listed twice.

    Example:
        >>> FanAxes(inputs=2, outputs=3).weight_shape((3, 3, 64, 128))
        (128, 64, 3, 3)
    """

    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    stacks: tuple[int, ...] = ()

    def __init__(self, inputs: AxisNumbers = (), outputs: AxisNumbers = (), stacks: AxisNumbers = ()) -> None:
        seen: dict[int, str] = {}
        for meaning, given in (("inputs", inputs), ("outputs", outputs), ("stacks", stacks)):
            numbers = _numbers(meaning, given)
            object.__setattr__(self, meaning, numbers)
            for number in numbers:
                if number in seen:
                    where = f"twice in {meaning}" if seen[number] == meaning else f"in {seen[number]} and in {meaning}"
                    raise InvalidArgument(
                        f"an axis has one meaning. Received: axis {number} {where}", field=f"axes.{meaning}"
                    )
                seen[number] = meaning

    @classmethod
    def from_wire(cls, message: "filler_pb2.FanAxes", shape: Sequence[int]) -> "FanAxes":
        """Return the axes of a message, for a blob of `shape`.

        Raises:
            InvalidArgument: they are not axes of such a blob.
        """
        # Before any of them is looked at: a message of any length is refused in no time.
        if len(message.inputs) + len(message.outputs) + len(message.stacks) > len(shape):
            raise InvalidArgument(
                f"a blob of shape {list(shape)} has {len(shape)} axes. "
                f"Received: {len(message.inputs)} inputs, {len(message.outputs)} outputs, {len(message.stacks)} stacks",
                field="axes",
            )
        axes = cls(message.inputs, message.outputs, message.stacks)
        axes.check(shape)
        return axes

    @classmethod
    def from_layout(cls, layout: str, shape: Sequence[int]) -> "FanAxes":
        """Return the axes of a blob of `shape` whose layout is given in words.

        A layout has one word for each axis, with commas between them: `out`, `in`, `kernel` or `stack`. One of them
        may be `...`, which stands for any number of the kernel's axes. O, I, S are short for `out`, `in`, `stack`, and
        D, H, W for `kernel`; letters alone need no commas.

        Raises:
            InvalidArgument: it is not a layout, or has another number of axes.

        Example:
            >>> FanAxes.from_layout("HWIO", (3, 3, 64, 128)) == FanAxes.from_layout("...,in,out", (3, 3, 64, 128))
            True
        """
        if not isinstance(layout, str):
            raise InvalidArgument(
                f"a layout is text, as in 'in,out'. Received: {option('layout', layout)}", field="axes"
            )
        text = layout.strip()
        parts = list(text) if re.fullmatch("[OISDHW]+", text) else [part.strip() for part in text.split(",")]
        words = [_word(part, layout) for part in parts if text]
        rest = words.count(_REST)
        missing = len(shape) - (len(words) - rest)
        if rest > 1 or missing < 0 or (missing and not rest):
            wanted = "'...' once at most" if rest > 1 else f"a word for each axis of the shape {list(shape)}"
            raise InvalidArgument(f"a layout has {wanted}. Received: {option('layout', layout)}", field="axes")
        if rest:
            at = words.index(_REST)
            words[at : at + 1] = ["kernel"] * missing
        numbers = {
            meaning: [n for n, word in enumerate(words) if _WORDS[word] == meaning] for meaning in _WORDS.values()
        }
        return cls(numbers["inputs"], numbers["outputs"], numbers["stacks"])

    def check(self, shape: Sequence[int]) -> None:
        """Make sure that a blob of `shape` has these axes.

        Raises:
            InvalidArgument: it does not.
        """
        for meaning, numbers in (("inputs", self.inputs), ("outputs", self.outputs), ("stacks", self.stacks)):
            if max(numbers, default=-1) >= len(shape):
                raise InvalidArgument(
                    f"a blob of shape {list(shape)} has {len(shape)} axes, counted from 0. "
                    f"Received: {meaning}={list(numbers)}",
                    field=f"axes.{meaning}",
                )

    def kernel(self, axes: int) -> tuple[int, ...]:
        """Return which of so many axes are the kernel's."""
        listed = {*self.inputs, *self.outputs, *self.stacks}
        return tuple(axis for axis in range(axes) if axis not in listed)

    def weight_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of each weight of a blob, as Caffe has it: [outputs, inputs, kernel...].

        Raises:
            InvalidArgument: the blob does not have these axes.
        """
        self.check(shape)
        sizes = (prod(shape[axis] for axis in axes) for axes in (self.outputs, self.inputs))
        return (*sizes, *(shape[axis] for axis in self.kernel(len(shape))))

    def stack_count(self, shape: Sequence[int]) -> int:
        """Return the number of weights of a blob.

        Raises:
            InvalidArgument: the blob does not have these axes.
        """
        self.check(shape)
        return prod(shape[axis] for axis in self.stacks)


def _numbers(meaning: str, given: AxisNumbers) -> tuple[int, ...]:
    """Return axes in ascending order; what they mean does not depend on it."""
    listed: list[object] = list(given) if isinstance(given, Iterable) else [given]
    try:
        numbers = tuple(sorted(operator.index(cast(SupportsIndex, number)) for number in listed))
    except TypeError:
        numbers = (-1,)
    if min(numbers, default=0) < 0 or bool in map(type, listed):
        raise InvalidArgument(
            f"the axes of a blob are numbers, counted from 0. Received: {meaning}={listed!r}", field=f"axes.{meaning}"
        )
    return numbers


def _word(part: str, layout: str) -> str:
    word = _LETTERS.get(part, part.lower())
    if word not in _WORDS and word != _REST:
        hint = did_you_mean(nearest(part, _WORDS))
        raise InvalidArgument(
            f"a layout has {', '.join(_WORDS)} or ..., with commas between them, or letters of OISDHW{hint}. "
            f"Received: {part!r} in {option('layout', layout)}",
            field="axes",
        )
    return word
