"""Trained weights into a net, blob by blob, as `caffe train --weights` copies them (`Net::CopyTrainedLayersFrom`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option
from caffe_filler.printable import counted
from filler_server.layouts.caffe import arranged, conflict, fitted, index_of, miscounted
from filler_server.layouts.layers import kind_of, named
from filler_server.layouts.torch import FromTorch, from_torch, has_torch_names
from filler_server.net.plan import Blob, Layer, Shape
from filler_server.tensors import Tensor, View
from filler_server.weights.file import StoredLayer, WeightsFile

Action: TypeAlias = Literal["copied", "reshaped", "filled", "conflict"]

_TELL_LEGACY = ("caffemodel", "hdf5", "prototxt")
"""Formats in which four axes are not a legacy shape unless they say so."""


@dataclass(frozen=True, slots=True)
class MergedBlob:
    """Origin of the values of a blob.

    Attributes:
        name: the blob.
        shape: its shape; of an unknown one that is copied, the shape in the file.
        action: copied; reshaped: copied from a legacy shape of four axes; filled: no file has it; conflict: a file has
            it, in another shape or among another number of blobs.
        file: the file it is copied from, the last that has it.
        tensor: its name in that file.
        file_shape: its shape in that file.
    """

    name: str
    shape: Shape
    action: Action
    file: Path | None = None
    tensor: str | None = None
    file_shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class UnusedTensor:
    """A tensor of a file that no layer of the net takes."""

    file: Path
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class MergePlan:
    """Fate of every blob of the net, and of every tensor of the files.

    Attributes:
        blobs: in the order of the net.
        unused: in the order of the files.
        conflicts: why Caffe would refuse the files; with `ignore_shape` such blobs are filled all the same.
        ignore_shape: whether conflicts are passed over.
    """

    blobs: tuple[MergedBlob, ...]
    unused: tuple[UnusedTensor, ...]
    conflicts: tuple[str, ...]
    ignore_shape: bool = False

    def check(self) -> None:
        """Refuse what Caffe would refuse.

        Raises:
            InvalidArgument: there is a conflict, and conflicts are not passed over.
        """
        if self.conflicts and not self.ignore_shape:
            more = f" (and {len(self.conflicts) - 1} more)" if len(self.conflicts) > 1 else ""
            remedy = f"a layer of another name is filled instead, and so is this one by {option('ignore_shape')}"
            raise InvalidArgument(f"{self.conflicts[0]}{more}; {remedy}", field="weights")

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the blobs that no file has, in the order of the net."""
        return tuple(blob.name for blob in self.blobs if blob.action == "filled")

    @property
    def idle(self) -> tuple[Path, ...]:
        """Files from which nothing is copied, although they have tensors."""
        copied = {blob.file for blob in self.blobs}
        return tuple(dict.fromkeys(tensor.file for tensor in self.unused if tensor.file not in copied))

    def __repr__(self) -> str:
        return (
            f"MergePlan({counted(len(self.blobs), 'blob')}, {len(self.missing)} of them filled, "
            f"{counted(len(self.unused), 'unused tensor')}, {counted(len(self.conflicts), 'conflict')})"
        )


@dataclass(slots=True)
class Merge:
    """A plan, and the tensors from which blobs are copied, by the name of the blob and in its shape."""

    plan: MergePlan
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class _Copy:
    """Origin of a blob that is copied.

    Attributes:
        file: the file.
        origin: what it is called there.
        shape: its shape there.
        wanted: the shape that the net has for it.
        tensor: the tensor as the blob takes it.
        action: copied or reshaped.
    """

    file: WeightsFile
    origin: str
    shape: tuple[int, ...]
    wanted: Shape
    tensor: Tensor
    action: Action


@dataclass(slots=True)
class _Copies:
    """Copies so far; blobs that share their values are one, under the name of their owner."""

    copied: dict[str, _Copy] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    conflicting: dict[str, tuple[WeightsFile, Tensor | None]] = field(default_factory=dict)
    unused: list[UnusedTensor] = field(default_factory=list)


def merge(
    layers: Sequence[Layer], files: Sequence[WeightsFile], *, ignore_shape: bool = False, reshape: bool = False
) -> Merge:
    """Return what Caffe does with files of weights that are given to a net, in this order.

    Layers are found by their names: the first of a name in the net for a .caffemodel, the last for HDF5. A layer must
    have as many blobs as in the net (HDF5 may lack shared ones), each of the same shape; a legacy shape of four axes
    counts leading 1s as nothing, and vectors of fork types may have axes of 1 anywhere. Of several layers or files that
    have a blob the last one counts. Formats that Caffe does not have are treated as a .caffemodel, but that repeated
    layers are found by the names that they have here, `<layer>#2`, that any four axes are taken for a legacy shape, and
    that they may have PyTorch's names; see `layouts.torch`.

    Args:
        layers: those of the net, with their blobs.
        files: the files, which stay open until the values are read.
        ignore_shape: whether a conflict leaves the blob to be filled rather than being an error.
        reshape: whether a tensor whose axes are joined or split otherwise is copied, too.

    Raises:
        InvalidArgument: none of the tensors of a state_dict belongs to the net.
    """
    by_name = named(layers)
    copies = _Copies()
    for file in files:
        _copy_file(copies, by_name, file, reshape)
    blobs: list[MergedBlob] = []
    tensors: dict[str, Tensor] = {}
    for blob in (blob for layer in layers for blob in layer.blobs):
        merged, tensor = _merged(copies, blob, ignore_shape=ignore_shape)
        blobs.append(merged)
        if tensor is not None:
            tensors[blob.name] = tensor
    plan = MergePlan(tuple(blobs), tuple(copies.unused), tuple(copies.conflicts), ignore_shape)
    return Merge(plan, tensors)


def _copy_file(copies: _Copies, by_name: Mapping[str, Layer], file: WeightsFile, reshape: bool) -> None:
    layers = tuple(by_name.values())
    if file.format not in _TELL_LEGACY and has_torch_names(layers, file.tensors):
        state = from_torch(layers, file.tensors)
        _copy_state(copies, by_name, file, state, reshape)
        unused = [tensor for tensor in file.tensors if tensor.name in state.unused]
    else:
        targets = _targets(by_name, file)
        used: set[str] = set()
        for layer in file.layers:
            target = targets.get(layer.name)
            if target is not None:
                used.update(tensor.name for tensor in layer.tensors)
                _copy_layer(copies, file, layer, target, {}, reshape)
        unused = [tensor for tensor in file.tensors if tensor.name not in used]
    copies.unused.extend(UnusedTensor(file.path, tensor.name, tensor.shape) for tensor in unused)


def _targets(by_name: Mapping[str, Layer], file: WeightsFile) -> Mapping[str, Layer]:
    """Return the layers of the net by the names under which those of a file are looked for."""
    firsts: dict[str, Layer] = {}
    lasts: dict[str, Layer] = {}
    for layer in by_name.values():
        firsts.setdefault(layer.name, layer)
        lasts[layer.name] = layer
    if file.format == "caffemodel":
        return firsts
    if file.format == "hdf5":
        # A file of this project tells repeated layers apart, which one of Caffe cannot.
        names = {layer.name for layer in file.layers}
        return by_name if any(name in names and layer.name != name for name, layer in by_name.items()) else lasts
    return {**firsts, **by_name}


def _copy_state(
    copies: _Copies, by_name: Mapping[str, Layer], file: WeightsFile, state: FromTorch, reshape: bool
) -> None:
    """Copy the blobs that a state_dict has."""
    if not state.layers and not state.conflicts and file.tensors:
        listed = ", ".join(tensor.name for tensor in file.tensors[:8])
        raise InvalidArgument(
            f"{file.path}: no tensor of the file belongs to a layer of the net. Received: {listed}", field="weights"
        )
    for name, tensors in state.layers.items():
        _copy_layer(copies, file, StoredLayer(name, tensors), by_name[name], state.origins, reshape)
    for message in dict.fromkeys(state.conflicts.values()):
        copies.conflicts.append(f"{file.path}: {message}")
    for name in state.conflicts:
        for blob in by_name[name].blobs:
            copies.conflicting[blob.owner or blob.name] = (file, None)


def _copy_layer(
    copies: _Copies,
    file: WeightsFile,
    layer: StoredLayer,
    target: Layer,
    origins: Mapping[str, str],
    reshape: bool,
) -> None:
    """Copy the blobs of a layer, or note why Caffe would refuse them."""
    found = {index_of(tensor): tensor for tensor in layer.tensors}
    blobs: Sequence[Tensor | None] = [found.get(index) for index in range(len(target.blobs))]
    # Caffe's HDF5 has a blob that is shared once.
    may_lack = [file.format == "hdf5" and blob.owner is not None for blob in target.blobs]
    missing = [index for index, tensor in enumerate(blobs) if tensor is None and not may_lack[index]]
    if missing or not found.keys() <= set(range(len(target.blobs))):
        copies.conflicts.append(f"{file.path}: {miscounted(target, layer.name, layer.tensors)}")
        for blob in target.blobs:
            copies.conflicting[blob.owner or blob.name] = (file, None)
        return
    if None not in blobs:
        blobs = arranged(target, layer.tensors)
    may_be_legacy = file.format not in _TELL_LEGACY
    for blob, tensor in zip(target.blobs, blobs, strict=True):
        if tensor is None:
            continue
        owner = blob.owner or blob.name
        taken = fitted(blob, kind_of(target), tensor, may_be_legacy=may_be_legacy, reshape=reshape)
        if taken is None:
            copies.conflicts.append(f"{file.path}: {conflict(blob, tensor)}")
            copies.conflicting[owner] = (file, tensor)
        else:
            action: Action = "copied" if taken.shape == tensor.shape else "reshaped"
            origin = origins.get(tensor.name, tensor.name)
            copies.copied[owner] = _Copy(file, origin, tensor.shape, blob.shape, taken, action)


def _merged(copies: _Copies, blob: Blob, *, ignore_shape: bool) -> tuple[MergedBlob, Tensor | None]:
    key = blob.owner or blob.name
    if key in copies.conflicting and not ignore_shape:
        file, conflicting = copies.conflicting[key]
        where = (None, None) if conflicting is None else (conflicting.name, conflicting.shape)
        return MergedBlob(blob.name, blob.shape, "conflict", file.path, *where), None
    if key not in copies.copied:
        return MergedBlob(blob.name, blob.shape, "filled"), None
    copy = copies.copied[key]
    known = [dim for dim in blob.shape or () if dim is not None]
    whole = blob.shape is not None and len(known) == len(blob.shape)
    shape = tuple(known) if whole and blob.shape != copy.wanted else copy.tensor.shape
    if prod(shape) != copy.tensor.count:
        raise InvalidArgument(
            f"blob '{blob.name}' shares its values with '{key}', which has another number of them. "
            f"Received: shape={list(shape)}, {counted(copy.tensor.count, 'value')}"
        )
    merged = MergedBlob(blob.name, shape, copy.action, copy.file.path, copy.origin, copy.shape)
    return merged, View(copy.tensor, blob.name, shape)
