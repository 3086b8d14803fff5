"""Input and result of a layer's set-up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from google.protobuf import text_format
from google.protobuf.message import Message

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError
from caffe_filler.printable import counted
from caffe_filler.shapes import MAX_AXES
from filler_server.net import operations
from filler_server.net.dimensions import Dim, Dims, Unknown, count, differ, refusal, text
from filler_server.net.fork_fields import ForkFields, Unread
from filler_server.net.operations import Custom, Operation


class Extended(Exception):
    """A layer of one of BVLC's types asks for more than that type has: more bottoms, tops or axes, as some fork's has.

    Attributes:
        cause: why BVLC refuses it, with the values received.
    """

    def __init__(self, error: NetError) -> None:
        super().__init__(error.reason)
        self.cause = error.reason


OpenDims: TypeAlias = tuple[Dim | None, ...] | Unknown | None
"""Dims of a top that may itself be where something is unknown: None there."""


_UNSAID = operations.Unknown(reason="its type does not say what it computes")


@dataclass(frozen=True, slots=True)
class LearnedBlob:
    """A learnable blob: its shape, what fills it, and the values that the prototxt holds for it, if any."""

    shape: Dims
    filler: caffe_pb2.FillerParameter
    given: caffe_pb2.BlobProto | None = None


@dataclass(frozen=True, slots=True)
class SetUp:
    """The answer: the shapes of all tops, the learnable blobs in Caffe's order, and what the layer computes.

    `blobs` is None for a layer that has none of its own; it keeps those that the prototxt holds, as in Caffe.
    """

    tops: Sequence[OpenDims]
    blobs: Sequence[LearnedBlob] | None = None
    operation: Operation = _UNSAID


@dataclass(frozen=True, slots=True)
class LayerContext:
    """A layer about to be set up.

    Attributes:
        parameter: the layer as the prototxt has it.
        type: the name of its type, which may be another one than the prototxt has for it.
        line: line of the prototxt on which it starts.
        phase: TRAIN or TEST: its own, else that of the net.
        bottoms: shapes of its inputs.
        num_tops: number of its outputs, automatic ones included.
        in_place: whether the first top is the first bottom.
        num_loss_weights: number of loss weights that it comes to have.
        given: blobs that the prototxt holds for it.
        fork: its fields that only forks of Caffe have.
        reports: what is to be told of it although it can be set up.
    """

    parameter: caffe_pb2.LayerParameter
    type: str
    line: int | None
    phase: caffe_pb2.Phase
    bottoms: tuple[Dims, ...]
    num_tops: int
    in_place: bool
    num_loss_weights: int
    given: tuple[LearnedBlob, ...]
    fork: ForkFields
    reports: list[str] = field(default_factory=list)

    def refuse(self, cause: str, **received: object) -> NoReturn:
        """Raise a NetError that names the layer, the cause and the values received."""
        raise refusal(cause, layer=self.parameter.name, line=self.line, **received)

    def require(self, holds: bool, cause: str, **received: object) -> None:
        """Refuse the layer unless a condition holds."""
        if not holds:
            self.refuse(cause, **received)

    def refuse_in_place(self) -> None:
        """Refuse the layer if its first top is its first bottom."""
        self.require(
            not self.in_place,
            f"{self.parameter.type} Layer does not allow in-place computation",
            bottom=list(self.parameter.bottom),
            top=list(self.parameter.top),
        )

    def extended(self, cause: str, **received: object) -> NoReturn:
        """Say that BVLC refuses the layer for asking for more than its type has.

        Raises:
            Extended: always.
        """
        raise Extended(refusal(cause, layer=self.parameter.name, line=self.line, **received))

    def report(self, message: str) -> None:
        """Have something told of the layer."""
        self.reports.append(message)

    @property
    def training(self) -> bool:
        """Whether its phase is TRAIN."""
        return self.phase == caffe_pb2.TRAIN

    def operation(self, build: Callable[[], Operation]) -> Operation:
        """Return the operation that `build` makes of the layer's fields of forks, or an unknown one and why.

        Nothing but the operation depends on these fields, so that the layer is planned without them.
        """
        try:
            return build()
        except Unread as unread:
            return operations.Unknown(reason=f"{unread} was not read: in a binary file its number differs by fork")
        except NetError as error:
            self.fork.forgive(error)
            return operations.Unknown(reason=error.reason)
        except Extended as extended:
            return operations.Unknown(reason=extended.cause)
        except ArithmeticError as error:
            return operations.Unknown(reason=f"its numbers go beyond those of Caffe: {error}")

    def custom(self) -> Custom:
        """Return the operation of a layer whose own code alone says what it computes."""
        return Custom(layer_type=self.type, fields=self.fields())

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Return the blocks of parameters that the prototxt has for the layer, by path, and its fields of forks."""
        blocks = (
            (field.name, text_format.MessageToString(block, as_one_line=True))
            for field, block in self.parameter.ListFields()
            if isinstance(block, Message)
        )
        return (*blocks, *self.fork.texts())

    def axis(self, dims: tuple[Dim, ...], axis: int) -> int:
        """Return an axis counted from the front, as Caffe's `CanonicalAxisIndex`."""
        if not -len(dims) <= axis < len(dims):
            self.refuse(f"axis {axis} out of range for {len(dims)}-D Blob", axis=axis, shape=dims)
        return axis % len(dims)

    def legacy(self, bottom: int) -> tuple[Dim, Dim, Dim, Dim]:
        """Return (num, channels, height, width) of a bottom; missing axes at the end count as 1, as in Caffe."""
        dims = self.bottoms[bottom]
        if isinstance(dims, Unknown):
            return dims, dims, dims, dims
        if len(dims) > 4:
            self.extended("Cannot use legacy accessors on Blobs with > 4 axes", shape=dims)
        num, channels, height, width = dims + (1,) * (4 - len(dims))
        return num, channels, height, width

    def four_axes(self, bottom: int) -> tuple[Dim, Dim, Dim, Dim]:
        """Return (num, channels, height, width) of a bottom that must have exactly these axes."""
        dims = self.bottoms[bottom]
        if isinstance(dims, tuple) and len(dims) <= 4:
            self.require(
                len(dims) == 4, "Input must have 4 axes, corresponding to (num, channels, height, width)", shape=dims
            )
        return self.legacy(bottom)

    def channels(self, bottom: int) -> Dim:
        """Return the extent of axis 1 of a bottom of any number of axes, 1 where it lacks that axis."""
        dims = self.bottoms[bottom]
        return dims[1] if isinstance(dims, tuple) and len(dims) > 4 else self.legacy(bottom)[1]

    def learned(self, *blobs: LearnedBlob) -> tuple[LearnedBlob, ...]:
        """Return the blobs to be filled or, if the prototxt holds any, those alone.

        Caffe takes their values as they are, and would compute with whatever lies behind those that are too few.
        """
        if self.given and len(self.given) < len(blobs):
            number = counted(len(blobs), "blob")
            self.refuse(f"the layer has {number}, and the prototxt the values of fewer", blobs=len(self.given))
        for index, (blob, given) in enumerate(zip(blobs, self.given, strict=False)):
            if differ(count(blob.shape), count(given.shape)) and count(blob.shape) != 0:
                self.refuse(
                    f"blob {index} has the shape {text(blob.shape)}, and the prototxt as many values as another one",
                    shape=given.shape,
                )
        return self.given_or(*blobs)

    def given_or(self, *blobs: LearnedBlob) -> tuple[LearnedBlob, ...]:
        """Return what `learned` does, unchecked: for types that say themselves what cannot be."""
        if not self.given:
            return blobs
        fillers = [blob.filler for blob in blobs]
        fillers += [blob.filler for blob in self.given[len(blobs) :]]
        return tuple(
            LearnedBlob(blob.shape, filler, blob.given) for blob, filler in zip(self.given, fillers, strict=False)
        )

    def open_axes(self, unknown: Unknown, number: int) -> tuple[Dim, ...]:
        """Return this many unknown dimensions, as many as the first bottom must at least have."""
        self.require(number <= MAX_AXES, f"a blob has at most {MAX_AXES} axes", axes=number)
        return (unknown,) * number

    def require_values(self, dim: Dim, what: str) -> None:
        """Refuse an extent of zero where Caffe touches the values at set-up."""
        if dim == 0:
            self.refuse(f"{what} has no values", shape=self.bottoms[0] if self.bottoms else ())
