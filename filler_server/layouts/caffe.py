"""Caffe's layout: blobs called `<layer>/<index>`, in the order and with the shapes of the net."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import prod
from operator import mul

import numpy as np

from caffe_filler.caffe.caffe_pb2 import NetParameter
from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option
from caffe_filler.printable import counted
from filler_server.layouts.layers import kind_of, named, roles_of
from filler_server.net.plan import Blob, Layer, Shape, unique_names
from filler_server.net.registry import LayerType
from filler_server.tensors import ArrayTensor, Tensor, renamed, reshaped

LEGACY_AXES = 4
"""Axes of every blob from before Caffe's BlobShape."""

_LONGEST_INDEX = 9


def split_name(name: str) -> tuple[str, int] | None:
    """Return layer and index of a blob's name `<layer>/<index>`, or None of any other name.

    >>> split_name("inception_3a/1x1/0")
    ('inception_3a/1x1', 0)
    """
    layer, separator, index = name.rpartition("/")
    plain = index.isascii() and index.isdecimal() and len(index) <= _LONGEST_INDEX and str(int(index)) == index
    return (layer, int(index)) if separator and plain else None


def index_of(tensor: Tensor) -> int:
    """Return which blob of its layer a tensor is by its name."""
    parts = split_name(tensor.name)
    if parts is None:
        raise InvalidArgument(f"a blob is called <layer>/<index>. Received: name='{tensor.name}'")
    return parts[1]


def equals_legacy(shape: Sequence[int | None], legacy: Sequence[int]) -> bool:
    """Whether a blob of a shape takes the values of one with a legacy shape (`Blob::ShapeEquals`).

    Its axes are counted from the last one, and the axes that it lacks are 1; an unknown one (None) takes any length.

    >>> equals_legacy((500, 800), (1, 1, 500, 800)), equals_legacy((20,), (20, 1, 1, 1))
    (True, False)
    """
    if len(shape) > LEGACY_AXES:
        return False
    padded = [1] * (LEGACY_AXES - len(shape)) + list(shape)
    return all(dim is None or dim == old for dim, old in zip(padded, legacy, strict=True))


def by_layer(net: NetParameter, tensors: Sequence[Tensor], what: str) -> list[list[Tensor]]:
    """Return for each layer of a net its blobs, as a file has them in which they stand inside their layers.

    Raises:
        InvalidArgument: a tensor belongs to no layer, or they are not in the order of the net; `what` calls the file.
    """
    places = {name: place for place, name in enumerate(unique_names(layer.name for layer in net.layer))}
    blobs: list[list[Tensor]] = [[] for _ in places]
    last = 0
    for tensor in tensors:
        layer, index = split_name(tensor.name) or (None, 0)
        if layer not in places:
            raise InvalidArgument(
                f"{what} holds blobs of layers of its net, named <layer>/<index>. Received: name='{tensor.name}'"
            )
        place = places[layer]
        if place < last or index != len(blobs[place]):
            raise InvalidArgument(
                f"the blobs of {what} stand in the order of its net, from index 0 without gaps. "
                f"Received: name='{tensor.name}'"
            )
        last = place
        blobs[place].append(tensor)
    return blobs


def modernized(
    layers: Sequence[Layer], tensors: Sequence[Tensor], *, unmarked: bool = False
) -> tuple[list[Tensor], list[str]]:
    """Return tensors with the shapes that they have today in place of legacy ones, as far as the types tell.

    Args:
        layers: those of the net.
        tensors: named `<layer>/<index>`.
        unmarked: whether any four axes are taken for a legacy shape.

    Returns:
        The tensors, and what is to be told of those that keep their legacy shapes.
    """
    types = {name: kind_of(layer) for name, layer in named(layers).items()}
    changed: list[Tensor] = []
    notes: list[str] = []
    for tensor in tensors:
        name, index = split_name(tensor.name) or (None, 0)
        kind = None if name is None else types.get(name)
        if name is None or not (tensor.legacy or (unmarked and len(tensor.shape) == LEGACY_AXES)):
            changed.append(tensor)
            continue
        if tensor.legacy and kind is None:
            shape = list(tensor.shape)
            notes.append(f"'{tensor.name}' keeps the four axes of old files, {shape}: its layer's type does not tell")
        changed.append(reshaped(tensor, tensor.shape if kind is None else kind.modern_shape(index, tensor.shape)))
    return changed, notes


def in_order(layers: Sequence[Layer], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors in the order of the layers; those of no layer at the end, as they are."""
    places = {name: place for place, name in enumerate(named(layers))}

    def place(tensor: Tensor) -> tuple[int, int]:
        name, index = split_name(tensor.name) or (None, 0)
        return places.get(name or "", len(places)), index if name is not None else 0

    return sorted(tensors, key=place)


def in_net(layers: Sequence[Layer], tensors: Sequence[Tensor], *, reshape: bool = False) -> list[Tensor]:
    """Return the tensors of a file as the blobs of a net, in its order; those of no layer at the end, as they are.

    A blob that shares the values of another and that the file lacks, as Caffe's HDF5 does, has those of its owner.

    Args:
        layers: those of the net, with their blobs.
        tensors: named `<layer>/<index>`.
        reshape: whether a tensor whose axes are joined or split otherwise is taken, too.

    Raises:
        InvalidArgument: a layer has another number of blobs in the file, or a blob another shape.
    """
    given = {tensor.name: tensor for tensor in tensors}
    owned: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        parts = split_name(tensor.name)
        if parts is not None:
            owned.setdefault(parts[0], []).append(tensor)
    found: dict[str, Tensor] = {}
    faults: list[str] = []
    for name, layer in named(layers).items():
        own = owned.get(name, [])
        missing = [blob.name for blob in layer.blobs if blob.name not in given and blob.owner not in found]
        if missing or any(index_of(tensor) >= len(layer.blobs) for tensor in own):
            faults.append(miscounted(layer, name, own))
            continue
        blobs = [given.get(blob.name) or found[blob.owner or ""] for blob in layer.blobs]
        for blob, tensor in zip(layer.blobs, arranged(layer, blobs), strict=True):
            fitting = fitted(blob, kind_of(layer), tensor, may_be_legacy=True, reshape=reshape)
            if fitting is None:
                faults.append(conflict(blob, tensor))
            else:
                found[blob.name] = renamed(fitting, blob.name)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise InvalidArgument(f"{faults[0]}{more}", field="net")
    strangers = [tensor for tensor in tensors if tensor.name not in found]
    return [*found.values(), *strangers]


def miscounted(layer: Layer, name: str, tensors: Sequence[Tensor]) -> str:
    """Return what is wrong with the blobs that a file has of a layer, where it has others than the net."""
    wanted, found = set(range(len(layer.blobs))), {index_of(tensor) for tensor in tensors}
    strangers = ", ".join(f"'{name}/{index}'" for index in sorted(found - wanted))
    lacking = ", ".join(f"'{name}/{index}'" for index in sorted(wanted - found))
    told = f", which has {strangers} and lacks {lacking}" if strangers and lacking else ""
    shapes = (
        f"Received: {_texts(tensor.shape for tensor in tensors)}, in the net {_texts(b.shape for b in layer.blobs)}"
    )
    return (
        f"layer '{name}' has {counted(len(layer.blobs), 'blob')} in the net and {len(tensors)} in the file{told}. "
        f"{shapes}"
    )


def arranged(layer: Layer, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the blobs that a file has of a layer in the order that the net has them in.

    The five blobs of a BatchNorm with its own scale and bias stand in two orders; see `LayerType.roles`. The one with
    the factor at its end has a factor of 0 that divides nothing; it becomes 1.
    """
    roles = roles_of(layer, [tensor.count for tensor in tensors])
    wanted = roles_of(layer, [blob.count for blob in layer.blobs])
    if roles == wanted or sorted(roles) != sorted(wanted):
        return list(tensors)
    found = dict(zip(roles, tensors, strict=True))
    factor = found["factor"].array().reshape(-1)
    if factor[0] == 0:
        found["factor"] = ArrayTensor(found["factor"].name, np.ones_like(factor))
    return [found[role] for role in wanted]


def fitted(blob: Blob, kind: LayerType | None, tensor: Tensor, *, may_be_legacy: bool, reshape: bool) -> Tensor | None:
    """Return a tensor as a blob takes it, or None where it has another shape.

    A legacy shape counts leading axes of 1 as nothing. Vectors of fork types may have axes of 1 anywhere, since the
    forks differ in them; such a tensor keeps its shape.

    Args:
        blob: what takes it; unknown dimensions take any length.
        kind: the type of its layer.
        tensor: the tensor.
        may_be_legacy: whether any four axes may be a legacy shape, since the file cannot tell.
        reshape: whether it is taken if its axes are those of the blob, some joined or split.
    """
    if blob.shape is None or (_equal(blob.shape, tensor.shape) and not tensor.legacy):
        return tensor
    if (tensor.legacy or (may_be_legacy and len(tensor.shape) == LEGACY_AXES)) and equals_legacy(
        blob.shape, tensor.shape
    ):
        return reshaped(tensor, tensor.shape[LEGACY_AXES - len(blob.shape) :])
    if (kind is None or kind.fork) and _equal(_squeezed(blob.shape), _squeezed(tensor.shape)):
        return reshaped(tensor, tensor.shape)
    known = [dim for dim in blob.shape if dim is not None]
    if reshape and len(known) == len(blob.shape) and _joins_or_splits(known, tensor.shape):
        return reshaped(tensor, known)
    return None


def conflict(blob: Blob, tensor: Tensor) -> str:
    """Return what is wrong with a tensor that does not fit a blob."""
    known = [dim for dim in blob.shape or () if dim is not None]
    hint = ""
    if blob.shape is not None and len(known) == len(blob.shape):
        if _joins_or_splits(known, tensor.shape):
            hint = f"; {option('reshape')} takes it, since its axes are the same but for some that are joined or split"
        elif sorted(known) == sorted(tensor.shape):
            hint = "; its axes stand in another order there, which is none that reshaping could mend"
    return f"blob '{blob.name}' has the shape {text(blob.shape)} in the net and {text(tensor.shape)} in the file{hint}"


def _joins_or_splits(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two shapes are one but for axes that are joined or split, so that the same values lie side by side.

    >>> _joins_or_splits((4096, 25088), (4096, 512, 7, 7)), _joins_or_splits((5, 36), (36, 5))
    (True, False)
    """
    if prod(shape) != prod(other):
        return False
    ends, others = (set(accumulate((dim for dim in dims if dim != 1), mul)) for dims in (shape, other))
    return ends <= others or others <= ends


def text(shape: Shape) -> str:
    """Return a shape as [64, ?, 7, 7]."""
    return "[?]" if shape is None else f"[{', '.join('?' if dim is None else str(dim) for dim in shape)}]"


def _texts(shapes: Iterable[Shape]) -> list[str]:
    return [text(shape) for shape in shapes]


def _equal(shape: Sequence[int | None], other: Sequence[int | None]) -> bool:
    return len(shape) == len(other) and all(dim in (None, given) for dim, given in zip(shape, other, strict=True))


def _squeezed(shape: Sequence[int | None]) -> list[int | None]:
    return [dim for dim in shape if dim != 1]
