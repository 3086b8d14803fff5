"""A file of weights to one of another format, streamed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument
from filler_server.net.names import unique_names
from filler_server.net.plan import NetPlan
from filler_server.weights.formats import open_writer
from filler_server.weights.legacy import LEGACY_AXES, equals_legacy
from filler_server.weights.stored import StoredTensor, ViewTensor, WeightsFile
from filler_server.weights.torch_layout import modernized, torch_layout
from filler_server.weights.writer import Tensor, Writer

_COPIED_AT_ONCE = 32 << 20


class Advance(Protocol):
    """Notes progress: the bytes that are done, and what they belong to."""

    def __call__(self, nbytes: int, name: str) -> None:
        """Note `nbytes` more of `name`."""
        ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion will write.

    Attributes:
        tensors: what it reads, in the order of the new file, under their new names and shapes.
        headers: the same as a writer is told of them, in their new dtypes.
        net: the layers, where they are known.
        notes: what a user of the new file should know.
    """

    tensors: tuple[StoredTensor, ...]
    headers: tuple[Tensor, ...]
    net: NetParameter | None
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Length of all values in bytes, as they will be written."""
        return sum(header.nbytes for header in self.headers)


def plan_conversion(
    source: WeightsFile,
    *,
    names: str = "caffe",
    dtype: np.dtype[Any] | None = None,
    net: NetPlan | NetParameter | None = None,
) -> Conversion:
    """Return what will be written of a file of weights.

    Args:
        source: the file, which stays open until it is written.
        names: "caffe" keeps the names; "torch" is `torch_layout`.
        dtype: of the new file; None keeps what each tensor has.
        net: a plan of the net, or its layers in the current format. Legacy shapes become those of the plan, or what the
            types of the layers make of them. Without it the layers are those of the file itself, if it describes them.

    Raises:
        InvalidArgument: names that need a net where none is known.
    """
    tensors: Sequence[StoredTensor] = source.tensors
    definitions = net_definitions(net) if isinstance(net, NetPlan) else net or source.net
    if isinstance(net, NetPlan):
        shapes = {blob.name: blob.shape for blob in net.blobs}
        tensors = [_reshaped(tensor, shapes.get(tensor.name)) for tensor in tensors]
    elif net is not None:
        types = layer_types(net)
        tensors = [modernized(tensor, types.get(tensor.layer or "", "")) for tensor in tensors]
    notes: list[str] = []
    if names == "torch":
        if definitions is None:
            raise InvalidArgument(
                f"names=torch needs the types of the layers, and so the net (--net). Received: {source.path}",
                field="net",
            )
        layout = torch_layout(definitions, tensors)
        tensors, notes = layout.tensors, layout.notes
    elif names != "caffe":
        raise InvalidArgument(f"tensors are named as in caffe or torch. Received: names={names}")
    elif definitions is not None:
        tensors = _in_order_of(definitions, tensors)
    headers = [Tensor(item.name, item.shape, dtype or item.dtype, item.legacy) for item in tensors]
    return Conversion(tuple(tensors), tuple(headers), definitions, tuple(notes))


def write_conversion(
    conversion: Conversion,
    target: Path,
    *,
    metadata: dict[str, str],
    max_shard_bytes: int | None = None,
    advance: Advance | None = None,
) -> list[str]:
    """Write a file whose format is that of its name's ending, and return what a user should know of its values.

    Memory does not grow with the file. Where the bytes of a tensor stay as they are the system copies them from file to
    file.

    Raises:
        WeightsError: the source is damaged.
        InvalidArgument: the format cannot hold the tensors.
        OSError: a file cannot be read or written.
    """
    notes: list[str] = []
    with open_writer(
        target, conversion.headers, metadata=metadata, net=conversion.net, max_shard_bytes=max_shard_bytes
    ) as writer:
        for tensor, header in zip(conversion.tensors, conversion.headers, strict=True):
            infinite = 0
            for nbytes, overflowed in write_tensor(writer, tensor, header.dtype):
                infinite += overflowed
                if advance is not None:
                    advance(nbytes, header.name)
            if infinite:
                notes.append(f"'{header.name}': {infinite} values are beyond {header.dtype} and became infinite")
    return notes


def write_tensor(writer: Writer, tensor: StoredTensor, dtype: np.dtype[Any]) -> Iterator[tuple[int, int]]:
    """Write a tensor; yield for each step the bytes written and the values that became infinite."""
    place = tensor.place
    if tensor.count == 0:
        writer.write(b"")
    elif place is not None and dtype == tensor.dtype:
        for start in range(0, tensor.nbytes, _COPIED_AT_ONCE):
            length = min(_COPIED_AT_ONCE, tensor.nbytes - start)
            writer.copy(place.file.fileno(), place.offset + start, length)
            yield length, 0
    else:
        for block in tensor.blocks():
            values = cast(block, dtype)
            overflowed = 0
            if dtype.itemsize < tensor.dtype.itemsize:
                overflowed = int(np.count_nonzero(np.isinf(values)) - np.count_nonzero(np.isinf(block)))
            writer.write(values.view(np.uint8).data)
            yield values.nbytes, overflowed


def cast(block: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return values in a dtype, contiguous; what it cannot hold becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(block, dtype)


def net_definitions(net: NetPlan) -> NetParameter:
    """Return the layers of a plan in the current format, without values."""
    definitions = NetParameter(name=net.name)
    for layer in net.layers:
        added = definitions.layer.add()
        added.CopyFrom(layer.parameter)
        del added.blobs[:]
    return definitions


def _reshaped(tensor: StoredTensor, shape: Sequence[int | None] | None) -> StoredTensor:
    """The tensor in the shape that its net has for it, where the file has that in the legacy way, told so or not."""
    if len(tensor.shape) != LEGACY_AXES or shape is None or not equals_legacy(shape, tensor.shape):
        return tensor
    return ViewTensor(tensor, tensor.name, tensor.shape[len(tensor.shape) - len(shape) :])


def layer_types(net: NetParameter) -> dict[str, str]:
    """Return the type of each layer by the name that tensors have from it."""
    names = unique_names(layer.name for layer in net.layer)
    return {name: layer.type for name, layer in zip(names, net.layer, strict=True)}


def _in_order_of(net: NetParameter, tensors: Sequence[StoredTensor]) -> list[StoredTensor]:
    """The tensors in the order of the layers; those of no layer at the end, as they are."""
    places = {name: place for place, name in enumerate(unique_names(layer.name for layer in net.layer))}
    return sorted(
        tensors,
        key=lambda tensor: (places.get(tensor.layer or "", len(places)), tensor.index or 0),
    )
