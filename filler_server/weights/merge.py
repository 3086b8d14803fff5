"""Trained weights into a net, blob by blob, as `caffe train --weights` copies them (`Net::CopyTrainedLayersFrom`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias

from caffe_filler.errors import InvalidArgument
from filler_server.weights.legacy import LEGACY_AXES, equals_legacy
from filler_server.weights.names import tensor_name
from filler_server.weights.stored import StoredLayer, StoredTensor, ViewTensor, WeightsFile

PartialShape: TypeAlias = tuple[int | None, ...] | None
"""A shape in which None stands for an unknown dimension; None: not even the number of axes is known."""

Action: TypeAlias = Literal["copied", "reshaped", "filled", "conflict"]


@dataclass(frozen=True, slots=True)
class TargetBlob:
    """A learnable blob of the net: its name, shape, and the blob whose values it shares, if it does."""

    name: str
    shape: PartialShape
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class TargetLayer:
    """A layer of the net: its name, which another one may have too, its type and its blobs."""

    name: str
    type: str
    blobs: tuple[TargetBlob, ...]


@dataclass(frozen=True, slots=True)
class MergedBlob:
    """Where the values of a blob come from.

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
    shape: PartialShape
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


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What becomes of every blob of the net, and of every tensor of the files.

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
            remedy = "a layer of another name is filled instead, and with ignore_shape (--ignore-shape) so is this one"
            raise InvalidArgument(f"{self.conflicts[0]}{more}; {remedy}", field="weights")

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the blobs that no file has, in the order of the net."""
        return tuple(blob.name for blob in self.blobs if blob.action == "filled")


@dataclass(slots=True)
class Merge:
    """A plan, and the tensors from which blobs are copied, by the name of the blob and in its shape."""

    plan: MergePlan
    tensors: Mapping[str, StoredTensor]


@dataclass(slots=True)
class _Copies:
    """What is copied so far; blobs that share their values are one, under the name of their owner."""

    copied: dict[str, tuple[WeightsFile, StoredTensor, Action]] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    conflicting: dict[str, tuple[WeightsFile, StoredTensor | None]] = field(default_factory=dict)
    unused: list[UnusedTensor] = field(default_factory=list)


def merge(targets: Sequence[TargetLayer], files: Sequence[WeightsFile], *, ignore_shape: bool = False) -> Merge:
    """Return what Caffe does with files of weights that are given to a net, in this order.

    Layers are found by their names: the first of a name in the net for a .caffemodel, the last for HDF5. A layer must
    have as many blobs as in the net (HDF5 may lack shared ones), each of the same shape; a legacy shape of four axes
    counts leading 1s as nothing. Of several layers or files that have a blob the last one counts. Formats that Caffe
    does not have are treated as a .caffemodel, but that repeated layers are found by the names that they have here,
    `<layer>#2`, and that any four axes are taken for a legacy shape.

    Args:
        targets: the layers of the net.
        files: the files, which stay open until the values are read.
        ignore_shape: whether a conflict leaves the blob to be filled rather than being an error.
    """
    copies = _Copies()
    for file in files:
        finder = _Finder(targets, file)
        used: set[str] = set()
        for layer in finder.layers:
            target = finder.target(layer.name)
            if target is not None:
                used.update(tensor.name for tensor in layer.tensors)
                _copy_layer(copies, file, layer, target)
        used.update(finder.renamed[name] for name in used & finder.renamed.keys())
        unused = [tensor for tensor in file.tensors if tensor.name not in used]
        copies.unused.extend(UnusedTensor(file.path, tensor.name, tensor.shape) for tensor in unused)
    blobs: list[MergedBlob] = []
    tensors: dict[str, StoredTensor] = {}
    for blob in (blob for layer in targets for blob in layer.blobs):
        merged, tensor = _merged(copies, blob, ignore_shape=ignore_shape)
        blobs.append(merged)
        if tensor is not None:
            tensors[blob.name] = tensor
    plan = MergePlan(tuple(blobs), tuple(copies.unused), tuple(copies.conflicts), ignore_shape)
    return Merge(plan, tensors)


class _Finder:
    """The layers of a file, and the layers of the net that take them.

    Attributes:
        layers: those of the file.
        renamed: of tensors with PyTorch's names, their names by those that they have in `layers`.
    """

    def __init__(self, targets: Sequence[TargetLayer], file: WeightsFile) -> None:
        by_blob = {blob.name.rpartition("/")[0]: layer for layer in targets for blob in layer.blobs}
        firsts: dict[str, TargetLayer] = {}
        lasts: dict[str, TargetLayer] = {}
        for layer in targets:
            firsts.setdefault(layer.name, layer)
            lasts[layer.name] = layer
        self.layers: Sequence[StoredLayer] = file.layers
        self.renamed: dict[str, str] = {}
        if file.format == "caffemodel":
            self._targets = firsts
        elif file.format == "hdf5":
            # A file of this project tells repeated layers apart, which one of Caffe cannot.
            names = {layer.name for layer in file.layers}
            told_apart = any(name in names and layer.name != name for name, layer in by_blob.items())
            self._targets = by_blob if told_apart else lasts
        else:
            self._targets = {**firsts, **by_blob}
            if not self.layers:
                self.layers = tuple(self._torch_layers(by_blob, file))

    def target(self, name: str) -> TargetLayer | None:
        return self._targets.get(name)

    def _torch_layers(self, by_blob: Mapping[str, TargetLayer], file: WeightsFile) -> Iterator[StoredLayer]:
        """The layers of the net of which the file has all blobs under PyTorch's names."""
        tensors = {tensor.name: tensor for tensor in file.tensors}
        for name, layer in by_blob.items():
            blobs = [
                (blob.name, tensor_name("torch", blob=blob.name, layer_type=layer.type, blobs=len(layer.blobs)))
                for blob in layer.blobs
            ]
            if all(torch_name in tensors for _, torch_name in blobs):
                self.renamed.update(blobs)
                found = (ViewTensor(tensors[old], new, tensors[old].shape) for new, old in blobs)
                yield StoredLayer(name, tuple(found))


def _copy_layer(copies: _Copies, file: WeightsFile, layer: StoredLayer, target: TargetLayer) -> None:
    """Copy the blobs of a layer, or note why Caffe would refuse them."""
    if file.format == "hdf5":
        found = {tensor.index: tensor for tensor in layer.tensors}
        blobs = [found.get(index) for index in range(len(target.blobs))]
        complete = all(tensor is not None or blob.owner for tensor, blob in zip(blobs, target.blobs, strict=True))
        fits = len(layer.tensors) <= len(target.blobs) and complete
    else:
        blobs = list(layer.tensors)
        fits = len(blobs) == len(target.blobs)
    if not fits:
        shapes = {
            "net": [_text(blob.shape) for blob in target.blobs],
            "file": [_text(tensor.shape) for tensor in layer.tensors],
        }
        copies.conflicts.append(
            f"{file.path}: layer '{layer.name}' has {len(target.blobs)} blobs in the net and {len(layer.tensors)} in "
            f"the file. Received: {shapes['file']}, in the net {shapes['net']}"
        )
        for blob in target.blobs:
            copies.conflicting[blob.owner or blob.name] = (file, None)
        return
    for blob, tensor in zip(target.blobs, blobs, strict=True):
        if tensor is None:
            continue
        action = _match(blob.shape, tensor, file.format)
        if action == "conflict":
            copies.conflicts.append(
                f"{file.path}: blob '{blob.name}' has the shape {_text(blob.shape)} in the net and "
                f"{_text(tensor.shape)} in the file"
            )
            copies.conflicting[blob.owner or blob.name] = (file, tensor)
        else:
            copies.copied[blob.owner or blob.name] = (file, tensor, action)


def _match(shape: PartialShape, tensor: StoredTensor, file_format: str) -> Action:
    if shape is None or (_equal(shape, tensor.shape) and not tensor.legacy):
        return "copied"
    may_be_legacy = file_format not in ("caffemodel", "hdf5") and len(tensor.shape) == LEGACY_AXES
    if (tensor.legacy or may_be_legacy) and equals_legacy(shape, tensor.shape):
        return "copied" if len(shape) == LEGACY_AXES else "reshaped"
    return "conflict"


def _equal(shape: tuple[int | None, ...], other: tuple[int, ...]) -> bool:
    return len(shape) == len(other) and all(dim in (None, given) for dim, given in zip(shape, other, strict=True))


def _merged(copies: _Copies, target: TargetBlob, *, ignore_shape: bool) -> tuple[MergedBlob, StoredTensor | None]:
    key = target.owner or target.name
    if key in copies.conflicting and not ignore_shape:
        file, conflicting = copies.conflicting[key]
        where = (None, None) if conflicting is None else (conflicting.name, conflicting.shape)
        return MergedBlob(target.name, target.shape, "conflict", file.path, *where), None
    if key not in copies.copied:
        return MergedBlob(target.name, target.shape, "filled"), None
    file, tensor, action = copies.copied[key]
    shape = _settled(target.shape, tensor)
    if prod(shape) != tensor.count:
        raise InvalidArgument(
            f"blob '{target.name}' shares its values with '{key}', which has another number of them. "
            f"Received: shape={list(shape)}, {tensor.count} values"
        )
    blob = MergedBlob(target.name, shape, action, file.path, tensor.name, tensor.shape)
    return blob, ViewTensor(tensor, target.name, shape)


def _settled(shape: PartialShape, tensor: StoredTensor) -> tuple[int, ...]:
    """The shape of a blob with the dimensions of the file in place of those that are not known."""
    if shape is None:
        return tensor.shape
    given = tensor.shape[len(tensor.shape) - len(shape) :] if len(shape) <= len(tensor.shape) else tensor.shape
    known = [dim for dim in shape if dim is not None]
    return tuple(known) if len(known) == len(shape) else given


def _text(shape: PartialShape) -> str:
    if shape is None:
        return "[?]"
    return f"[{', '.join('?' if dim is None else str(dim) for dim in shape)}]"
