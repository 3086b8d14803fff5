"""A file of weights that is open: its tensors, listed without reading a value of them."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import UnknownBlob
from caffe_filler.printable import counted
from filler_server.layouts.caffe import split_name
from filler_server.net.plan import unique_names
from filler_server.prototxt.report import Problem
from filler_server.prototxt.rewrite.printing import printed
from filler_server.tensors import Tensor


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer of a file.

    Attributes:
        name: its name there; a .caffemodel may have several layers of one name.
        tensors: its blobs in order; an HDF5 file lacks those that are shared.
    """

    name: str
    tensors: tuple[Tensor, ...]


@dataclass(slots=True)
class WeightsFile:
    """A file of weights that is open; a context manager.

    Attributes:
        path: where it lies.
        format: name of its format: caffemodel, binaryproto, hdf5, npz, npy, safetensors, torch or prototxt.
        tensors: its tensors in the order of the file. Those of Caffe's files, and of files that this project writes
            with Caffe's names, are called `<layer>/<blob index>`, where the second layer of a name is called
            `<layer>#2`, and so on.
        layers: the same by layers, in the order of the file; tensors whose names tell no layer are in none.
        net: the net as the file describes it, in the current format and without values; None where it does not.
        text: the same as text, where the file says more than `net` can hold: fields of forks.
        metadata: what else the file says of itself.
        problems: what was passed over.
    """

    path: Path
    format: str
    tensors: tuple[Tensor, ...]
    layers: tuple[StoredLayer, ...]
    net: caffe_pb2.NetParameter | None = None
    text: bytes | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()
    resources: ExitStack = field(default_factory=ExitStack, repr=False)

    def __repr__(self) -> str:
        return f"WeightsFile({str(self.path)!r}, {self.format}, {counted(len(self.tensors), 'tensor')})"

    def __getitem__(self, name: str) -> Tensor:
        """Return the tensor of a name.

        Raises:
            UnknownBlob: there is none.
        """
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise UnknownBlob(f"{self.path} has no tensor of this name. Received: name='{name}'")

    def layer_of(self, tensor: Tensor) -> str | None:
        """Return the name of the layer whose blob a tensor is, or None where its name does not tell."""
        parts = split_name(tensor.name)
        return None if parts is None else parts[0]

    def index_of(self, tensor: Tensor) -> int | None:
        """Return which blob of its layer a tensor is, or None where its name does not tell."""
        parts = split_name(tensor.name)
        return None if parts is None else parts[1]

    @property
    def types(self) -> Mapping[str, str]:
        """The types of the layers of the net that the file describes, by the names that its tensors have from them."""
        layers = () if self.net is None else self.net.layer
        names = unique_names(layer.name for layer in layers)
        return {name: layer.type for name, layer in zip(names, layers, strict=True)}

    @property
    def prototxt(self) -> str:
        """The net that the file describes as text, without values; empty where it describes none."""
        return "" if self.net is None else "".join(f"{line}\n" for line in printed(self.net))

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


def layers_by_name(tensors: Sequence[Tensor]) -> tuple[StoredLayer, ...]:
    """Group tensors into layers by their names; blobs of a layer are ordered by their index."""
    found: dict[str, list[tuple[int, Tensor]]] = {}
    for tensor in tensors:
        parts = split_name(tensor.name)
        if parts is not None:
            found.setdefault(parts[0], []).append((parts[1], tensor))
    return tuple(
        StoredLayer(name, tuple(tensor for _, tensor in sorted(blobs, key=lambda blob: blob[0])))
        for name, blobs in found.items()
    )
