"""A file of weights to one of another format, streamed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option, option_name
from caffe_filler.printable import counted
from filler_server.layouts.caffe import in_net, in_order, modernized
from filler_server.layouts.layers import beyond_definitions, definitions, stored_layers
from filler_server.layouts.torch import from_torch, has_torch_names, to_torch
from filler_server.net.plan import Layer, NetPlan
from filler_server.tensors import Advance, Tensor, cast
from filler_server.weights.file import WeightsFile
from filler_server.weights.saving import Saved, format_of, save

NAMINGS = ("caffe", "torch")
_FILES_OF_CAFFE = ("caffemodel", "hdf5", "binaryproto", "prototxt")
"""Formats whose tensors are called as in Caffe, whatever they are called."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """Tensors of a new file, and all that goes with them.

    Attributes:
        tensors: in the order of the new file, under their new names, in their new shapes and dtypes.
        net: the layers, where they are known.
        notes: what a user of the new file should know.
    """

    tensors: tuple[Tensor, ...]
    net: NetParameter | None
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Length of all values in bytes, as they will be written."""
        return sum(tensor.nbytes for tensor in self.tensors)


def plan_conversion(
    source: WeightsFile,
    target: Path,
    *,
    names: str = "caffe",
    dtype: np.dtype[Any] | None = None,
    net: NetPlan | WeightsFile | None = None,
    reshape: bool = False,
) -> Conversion:
    """Return what will be written of a file of weights.

    Args:
        source: the file, which stays open until it is written.
        target: the new file, whose ending tells its format.
        names: how tensors are called: "caffe" or "torch".
        dtype: of the new file; None keeps what each tensor has.
        net: the net of the weights: a plan, or a file that describes it. Every blob of it must be in the source, in its
            shape; a state_dict becomes its blobs. Without it the layers are those that the source describes itself, if
            it does.
        reshape: whether a tensor whose axes are joined or split otherwise is taken for a blob of the net.

    Raises:
        InvalidArgument: the net and the source do not fit, or something needs a net where none is known.
    """
    if names not in NAMINGS:
        raise InvalidArgument(f"tensors are named as in {' or '.join(NAMINGS)}. Received: names={names}", field="names")
    tensors: Sequence[Tensor] = source.tensors
    notes: list[str] = []
    layers, described = _layers(source, net)
    if isinstance(net, NetPlan) and format_of(target).needs_net:
        notes += beyond_definitions(net.layers)
    if net is not None and layers is not None:
        if source.format not in _FILES_OF_CAFFE and has_torch_names(layers, tensors):
            tensors = _from_torch(layers, source)
        tensors = in_net(layers, tensors, reshape=reshape)
    elif layers is not None and (names == "torch" or not format_of(target).keeps_legacy):
        tensors, more = modernized(layers, tensors, unmarked=names == "torch")
        notes += more
    if names == "torch":
        if layers is None:
            raise InvalidArgument(
                f"{option('names', 'torch')} needs the types of the layers, and so the option {option_name('net')}. "
                f"Received: {source.path}",
                field="net",
            )
        state = to_torch(layers, tensors)
        tensors, notes = state.tensors, [*notes, *state.notes]
    elif layers is not None:
        tensors = in_order(layers, tensors)
    return Conversion(tuple(cast(tensor, dtype) for tensor in tensors), described, tuple(notes))


def write_conversion(
    conversion: Conversion,
    target: Path,
    *,
    metadata: dict[str, str],
    max_shard_bytes: int | None = None,
    advance: Advance | None = None,
) -> Saved:
    """Write a conversion to a file whose format is that of its name's ending; the rest is as `save` has it."""
    return save(
        conversion.tensors,
        target,
        metadata=metadata,
        net=conversion.net,
        max_shard_bytes=max_shard_bytes,
        advance=advance,
    )


def _layers(
    source: WeightsFile, net: NetPlan | WeightsFile | None
) -> tuple[Sequence[Layer] | None, NetParameter | None]:
    """Return the layers of a net with their blobs, and their definitions; None where they are not known."""
    if isinstance(net, NetPlan):
        return net.layers, definitions(net.name, net.layers)
    described = source if net is None else net
    if described.net is None:
        return None, None
    return stored_layers(described.net, described.tensors), described.net


def _from_torch(layers: Sequence[Layer], source: WeightsFile) -> list[Tensor]:
    """Return the blobs of a net out of a state_dict.

    Raises:
        InvalidArgument: an entry has no place in the net, or a layer lacks some.
    """
    found = from_torch(layers, source.tensors)
    faults = list(dict.fromkeys(found.conflicts.values()))
    if found.unused:
        listed = ", ".join(found.unused[:8]) + (", ..." if len(found.unused) > 8 else "")
        faults.append(f"the net has no place for {counted(len(found.unused), 'tensor')} of the file: {listed}")
    if faults:
        raise InvalidArgument(f"{source.path}: {'; '.join(faults)}", field="net")
    return [tensor for blobs in found.layers.values() for tensor in blobs]
