"""Caffe's .binaryproto: one BlobProto, such as the mean image of a data set."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from caffe_filler.errors import InvalidArgument
from caffe_filler.printable import counted
from caffe_filler.wire import I32, LEN, VARINT
from filler_server.tensors import Tensor, View
from filler_server.weights.blob_proto import blob_front, read_blob
from filler_server.weights.format import Contents, Extras, Format, Target
from filler_server.weights.mapped import MappedFile
from filler_server.weights.message import outermost
from filler_server.weights.wire import Walker
from filler_server.weights.writer import PlainWriter

NAME = "mean"
"""Name of the one blob; the file has none for it."""

_AXES = 4

_FIELDS = {*((number, VARINT) for number in (1, 2, 3, 4)), (5, LEN), (5, I32), (7, LEN), (8, LEN), (12, LEN)}
_NUMBERS = range(1, 14)
_NAMES = {(1, LEN), (2, LEN)}
"""Fields that no blob has, and a net mostly has."""


def read_binaryproto(file: MappedFile, path: Path, resources: ExitStack) -> Contents:
    """Read a .binaryproto.

    Raises:
        WeightsError: the file is damaged.
    """
    return Contents((read_blob(file, Walker(file), 0, file.size, NAME),))


class BinaryprotoWriter(PlainWriter):
    """Writes a .binaryproto of one tensor, whose axes go to `num`, `channels`, `height` and `width`.

    That is where Caffe's own tools expect the size of a mean image: an array [3, H, W] has num 1 there. An array of
    more than four axes is written with its shape.
    """

    def _open(self) -> None:
        if len(self._tensors) != 1:
            raise InvalidArgument(f"a .binaryproto holds one tensor. Received: {counted(len(self._tensors), 'tensor')}")
        tensor = self._tensors[0]
        missing = _AXES - len(tensor.shape)
        shape = (*[1] * missing, *tensor.shape)
        self._front = blob_front(View(tensor, tensor.name, shape, legacy=missing >= 0))

    def _begin(self, tensor: Tensor) -> None:
        self._file.write(self._front)


def _recognizes(file: MappedFile) -> bool:
    """Whether it starts with the numbers of a shape or has values, and nothing that a blob has not."""
    found = outermost(file).fields
    return bool(found & _FIELDS) and all(number in _NUMBERS for number, _ in found) and not found & _NAMES


def _open_writer(target: Target, tensors: Sequence[Tensor], extras: Extras) -> BinaryprotoWriter:
    return BinaryprotoWriter(target, tensors)


FORMAT = Format(
    "binaryproto",
    _recognizes,
    read_binaryproto,
    (".binaryproto",),
    _open_writer,
    has_signature=False,
    keeps_legacy=True,
)
