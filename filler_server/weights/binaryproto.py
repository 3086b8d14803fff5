"""Caffe's .binaryproto: one BlobProto, such as the mean image of a data set."""

from caffe_filler.errors import InvalidArgument
from filler_server.weights.blob_proto import read_blob
from filler_server.weights.caffemodel import blob_proto_front
from filler_server.weights.mapped import MappedFile
from filler_server.weights.mapped_tensor import MappedTensor
from filler_server.weights.wire import Walker
from filler_server.weights.writer import PlainWriter, Tensor

NAME = "mean"
"""What the one blob is called; the file has no name for it."""


def read_binaryproto(file: MappedFile) -> MappedTensor:
    """Return the blob of a .binaryproto.

    Raises:
        WeightsError: the file is damaged.
    """
    return read_blob(file, Walker(file), 0, file.size, NAME)


class BinaryprotoWriter(PlainWriter):
    """Writes a .binaryproto of one tensor; a shape of four axes goes to `num`, `channels`, `height` and `width`.

    That is where Caffe's own tools expect the size of a mean image.
    """

    def _open(self) -> None:
        if len(self._tensors) != 1:
            raise InvalidArgument(f"a .binaryproto holds one tensor. Received: {len(self._tensors)} tensors")
        tensor = self._tensors[0]
        self._front = blob_proto_front(Tensor(tensor.name, tensor.shape, tensor.dtype, len(tensor.shape) == 4))

    def _begin(self, tensor: Tensor) -> None:
        self._file.write(self._front)
