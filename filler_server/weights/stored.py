"""What every reader gives: the tensors of a file, listed without reading a value of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import UnknownBlob
from filler_server.prototxt.report import Problem
from filler_server.weights.mapped import MappedFile
from filler_server.weights.names import split_name
from filler_server.weights.writer import Tensor

BLOCK = 1 << 20
"""Values that are looked at at once."""


@dataclass(frozen=True, slots=True)
class FileRange:
    """Where the bytes of a tensor lie in a file, exactly as a writer would write them."""

    file: MappedFile
    offset: int


class StoredTensor(ABC):
    """A tensor of a file that is open.

    Attributes:
        name: its name; of Caffe's files, and of those that this project writes with Caffe's names, it is
            `<layer>/<blob index>`, where the second layer of a name is called `<layer>#2`, and so on.
        shape: its shape.
        dtype: what its values are, in the byte order of this machine.
        legacy: whether the shape is one of before BlobShape, with leading axes of 1 up to four; see `Tensor`.
    """

    def __init__(self, name: str, shape: Sequence[int], dtype: np.dtype[Any], *, legacy: bool = False) -> None:
        self.name = name
        self.shape = tuple(shape)
        self.dtype = dtype.newbyteorder("=")
        self.legacy = legacy

    @property
    def layer(self) -> str | None:
        """Name of the layer whose blob it is, or None if the name does not tell."""
        parts = split_name(self.name)
        return None if parts is None else parts[0]

    @property
    def index(self) -> int | None:
        """Which blob of the layer it is, or None if the name does not tell."""
        parts = split_name(self.name)
        return None if parts is None else parts[1]

    @property
    def count(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Length of its values in bytes."""
        return self.count * self.dtype.itemsize

    @property
    def header(self) -> Tensor:
        """What a writer is told of it."""
        return Tensor(self.name, self.shape, self.dtype, self.legacy)

    @property
    def place(self) -> FileRange | None:
        """Where its bytes lie in one piece in C order, or None if they do not."""
        return None

    @abstractmethod
    def array(self) -> NDArray[Any]:
        """Return the values, read-only: a view of the file where the format has them in one piece, else a copy.

        Raises:
            WeightsError: the file is damaged.
            OSError: it cannot be read.
        """

    @abstractmethod
    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values in C order, about `BLOCK` at a time in one dimension; memory does not grow with the tensor.

        A block is valid until the next one is asked for. The errors are those of `array`.
        """


class ArrayTensor(StoredTensor):
    """A tensor whose values are worked out when they are asked for, and then stand in memory."""

    def __init__(
        self, name: str, shape: Sequence[int], dtype: np.dtype[Any], values: Callable[[], NDArray[Any]]
    ) -> None:
        super().__init__(name, shape, dtype)
        self._values = values

    def array(self) -> NDArray[Any]:
        """Return the values."""
        return self._values()

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield them in C order, whatever the order in memory."""
        yield from array_blocks(self._values())


class ViewTensor(StoredTensor):
    """The values of another tensor under another name, or in another shape of equal count."""

    def __init__(self, tensor: StoredTensor, name: str, shape: Sequence[int], *, legacy: bool = False) -> None:
        super().__init__(name, shape, tensor.dtype, legacy=legacy)
        self._tensor = tensor

    @property
    def place(self) -> FileRange | None:
        """Where the bytes of the other tensor lie."""
        return self._tensor.place

    def array(self) -> NDArray[Any]:
        """Return a view of the other tensor."""
        return self._tensor.array().reshape(self.shape)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the blocks of the other tensor."""
        return self._tensor.blocks()


def array_blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the values of an array in C order; of one that is not contiguous each block is a copy."""
    contiguous = array.flags.c_contiguous
    flat: Any = array.reshape(-1) if contiguous else array.flat
    for start in range(0, array.size, BLOCK):
        yield flat[start : start + BLOCK]


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer of a file.

    Attributes:
        name: its name there; a .caffemodel may have several layers of one name.
        tensors: its blobs in order; an HDF5 file lacks those that are shared.
    """

    name: str
    tensors: tuple[StoredTensor, ...]


@dataclass(slots=True)
class WeightsFile:
    """A file of weights that is open; a context manager.

    Attributes:
        path: where it lies.
        format: caffemodel, binaryproto, hdf5, npz, npy, safetensors or torch.
        tensors: its tensors in the order of the file.
        layers: the same by layers, in the order of the file; tensors whose names tell no layer are in none.
        net: the net as the file describes it, in the current format and without values; None where it does not.
        metadata: what else the file says of itself.
        problems: what was passed over.
    """

    path: Path
    format: str
    tensors: tuple[StoredTensor, ...]
    layers: tuple[StoredLayer, ...]
    net: caffe_pb2.NetParameter | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()
    resources: ExitStack = field(default_factory=ExitStack, repr=False)

    def __getitem__(self, name: str) -> StoredTensor:
        """Return the tensor of a name.

        Raises:
            UnknownBlob: there is none.
        """
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise UnknownBlob(f"{self.path} has no tensor of this name. Received: name='{name}'")

    @property
    def nbytes(self) -> int:
        """Length of all values in bytes."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def close(self) -> None:
        """Close the file; arrays that are views of it stay valid."""
        self.resources.close()

    def __enter__(self) -> "WeightsFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def layers_by_name(tensors: Sequence[StoredTensor]) -> tuple[StoredLayer, ...]:
    """Group tensors into layers by their names; blobs of a layer are ordered by their index."""
    found: dict[str, list[tuple[int, StoredTensor]]] = {}
    for tensor in tensors:
        parts = split_name(tensor.name)
        if parts is not None:
            found.setdefault(parts[0], []).append((parts[1], tensor))
    return tuple(
        StoredLayer(name, tuple(tensor for _, tensor in sorted(blobs, key=lambda blob: blob[0])))
        for name, blobs in found.items()
    )
