"""Caffe's blobs to a state_dict, and back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from filler_server.layouts.caffe import split_name
from filler_server.layouts.layers import named, readers, roles_of
from filler_server.layouts.torch.batch_norm import BatchNorm
from filler_server.layouts.torch.module import Mismatch, Module, Plain, quoted
from filler_server.layouts.torch.recurrent import Recurrent
from filler_server.net.operations.normalization import Scale
from filler_server.net.plan import Layer
from filler_server.tensors import Tensor

_UNREAD = ".num_batches_tracked"
_RECURRENT = ("LSTM", "RNN", "Lstm")
_STATISTICS = {"mean", "variance"}


@dataclass(frozen=True, slots=True)
class ToTorch:
    """A state_dict.

    Attributes:
        tensors: its entries, in the order of the net.
        notes: what PyTorch's modules must be told besides, such as an eps that is not their default.
    """

    tensors: tuple[Tensor, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FromTorch:
    """The blobs of a net out of a state_dict.

    Attributes:
        layers: by the names of the layers their blobs, called `<layer>/<index>`; layers that it lacks are not here.
        origins: by the names of the blobs the entries that they come from.
        conflicts: by the names of the layers why they cannot be had, although it has some of their entries.
        unused: names of the entries that no layer takes.
    """

    layers: Mapping[str, tuple[Tensor, ...]]
    origins: Mapping[str, str]
    conflicts: Mapping[str, str]
    unused: tuple[str, ...]


def to_torch(layers: Sequence[Layer], tensors: Sequence[Tensor]) -> ToTorch:
    """Return Caffe's blobs as a state_dict has them, which loads into matching modules with `strict=True`.

    - `<layer>.weight` and `<layer>.bias`, also of Scale, of PReLU (its slope) and of the forks' Normalize and depthwise
      types; a vector has one axis, whatever axes of 1 it has in Caffe.
    - An InnerProduct with `transpose` holds its weight as [inputs, outputs]; it is turned to [outputs, inputs].
    - BatchNorm with three or five blobs and BN with four: `running_mean` and `running_var`, and `weight` and `bias`
      where it has them; see `BatchNorm`. A Scale along axis 1 that alone reads what a BatchNorm writes gives that its
      weight and its bias, which is 0 where the Scale has none. The Scale has no tensors of its own then.
    - LSTM and RNN: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, with PyTorch's order of the gates; see
      `Recurrent`.
    - Blobs of other types are called by their roles, or `<layer>.blob<index>`.

    Tensors of layers that the net does not have, and those that belong to no layer, stay as they are, at the end.

    Args:
        layers: those of the net, with their blobs.
        tensors: named `<layer>/<index>`, in today's shapes.

    Raises:
        InvalidArgument: PyTorch has no module that computes what a layer does.
    """
    given = {tensor.name: tensor for tensor in tensors}
    state: list[Tensor] = []
    notes: dict[str, list[str]] = {}
    for module in modules(layers, tensors):
        state.extend(module.to_torch([given.pop(blob.name) for blob in module.blobs]))
        for note in module.notes:
            notes.setdefault(note, []).append(module.name)
    return ToTorch((*state, *given.values()), tuple(_note(text, names) for text, names in notes.items()))


def modules(layers: Sequence[Layer], tensors: Sequence[Tensor], *, computing: bool = False) -> list[Module]:
    """Return the modules of the layers of which all blobs are given, in the order of the net.

    Args:
        layers: those of the net, with their blobs.
        tensors: named `<layer>/<index>`, in today's shapes.
        computing: whether they are those of a model that computes what Caffe does, rather than PyTorch's own:
            statistics that nobody has gathered are 0, not 0 and 1, and a recurrent layer has a weight for its static
            input, `weight_static_l0`.
    """
    given = {tensor.name: tensor for tensor in tensors}
    present = {name: layer for name, layer in named(layers).items() if all(blob.name in given for blob in layer.blobs)}
    return _modules(layers, present, lambda layer: [given[blob.name].count for blob in layer.blobs], computing)


def _note(text: str, names: Sequence[str]) -> str:
    """Return what is to be told of one module, or of several at once."""
    more = f" and {len(names) - 1} more: each" if len(names) > 1 else ""
    return f"'{names[0]}'{more} {text}"


def from_torch(layers: Sequence[Layer], tensors: Sequence[Tensor]) -> FromTorch:
    """Return the blobs that a state_dict has of a net: the way back of `to_torch`.

    What stands before all names, such as `module.` or `model.`, is passed over. BatchNorm has the statistics with a
    factor of 1, and the Scale after it the module's weight and bias.

    Args:
        layers: those of the net, with their blobs.
        tensors: entries of the state_dict.
    """
    state = {tensor.name: tensor for tensor in tensors}
    known = _modules(layers, named(layers), lambda layer: [blob.count for blob in layer.blobs])
    prefix = _prefix(known, state)
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    found: dict[str, tuple[Tensor, ...]] = {}
    origins: dict[str, str] = {}
    conflicts: dict[str, str] = {}
    used: set[str] = set()
    for module in known:
        layers_of_module = {blob.name.rpartition("/")[0] for blob in module.blobs}
        inside = {name for name in own if name.rpartition(".")[0] in {module.name, *layers_of_module}}
        used |= inside
        try:
            taken = _taken(module, own, inside)
        except Mismatch as error:
            conflicts.update(dict.fromkeys(layers_of_module, str(error)))
            continue
        if taken is not None:
            for tensor in taken[0]:
                layer = tensor.name.rpartition("/")[0]
                found[layer] = (*found.get(layer, ()), tensor)
                origins[tensor.name] = ", ".join(prefix + name for name in taken[1])
    unused = [name for name in state if name.removeprefix(prefix) not in used or not name.startswith(prefix)]
    return FromTorch(found, origins, conflicts, tuple(name for name in unused if not name.endswith(_UNREAD)))


def _taken(module: Module, own: Mapping[str, Tensor], inside: set[str]) -> tuple[list[Tensor], list[str]] | None:
    """Return what a module takes of a state_dict, and the names that it takes.

    Raises:
        Mismatch: there is more or less under its name than it has.
    """
    taken = module.from_torch(own)
    strangers = sorted(name for name in inside - set(taken[1] if taken else ()) if not name.endswith(_UNREAD))
    if strangers:
        raise Mismatch(f"{quoted(strangers)} has no place in layer '{module.name}'")
    return taken


def has_torch_names(layers: Sequence[Layer], tensors: Sequence[Tensor]) -> bool:
    """Whether tensors are called as in PyTorch rather than as in Caffe, judged by the layers of the net."""
    names = set(named(layers))
    return not any((parts := split_name(tensor.name)) is not None and parts[0] in names for tensor in tensors)


def _modules(
    layers: Sequence[Layer],
    present: Mapping[str, Layer],
    counts: Callable[[Layer], Sequence[int | None]],
    computing: bool = False,
) -> list[Module]:
    """Return the modules of the layers that are present, in the order of the net."""
    roles = {name: roles_of(layer, counts(layer)) for name, layer in present.items()}
    scales = {
        norm: scale
        for norm, scale in _scales(layers).items()
        if norm in present and scale in present and _fits(present[norm], roles[norm], present[scale], counts)
    }
    folded = set(scales.values())
    found: list[Module] = []
    for name, layer in present.items():
        if not layer.blobs or name in folded:
            continue
        if set(roles[name]) >= _STATISTICS:
            scale = (scales[name], present[scales[name]]) if name in scales else None
            found.append(BatchNorm(name, layer, roles[name], scale, computing=computing))
        elif layer.type in _RECURRENT and roles[name]:
            found.append(Recurrent(name, layer, roles[name], computing=computing))
        else:
            found.append(Plain(name, layer, roles[name]))
    return found


def _fits(norm: Layer, roles: Sequence[str], scale: Layer, counts: Callable[[Layer], Sequence[int | None]]) -> bool:
    """Whether a Scale has one value for each of the BatchNorm's, and the latter none of its own."""
    channels = counts(norm)[roles.index("mean")] if "mean" in roles else None
    learned = counts(scale)
    return (
        "mean" in roles
        and "scale" not in roles
        and len(learned) in (1, 2)
        and all(channels is None or count in (None, channels) for count in learned)
    )


def _scales(layers: Sequence[Layer]) -> dict[str, str]:
    """Return for each BatchNorm whose output only a Scale along axis 1 reads, the name of that Scale."""
    names = list(named(layers))
    found: dict[str, str] = {}
    for writer, numbers in readers(layers).items():
        reader = layers[numbers[0]].parameter
        alone = len(numbers) == 1 and len(reader.bottom) == 1 and len(layers[writer].parameter.top) == 1
        if layers[writer].type == "BatchNorm" and alone and _is_along_channels(layers[numbers[0]]):
            found[names[writer]] = names[numbers[0]]
    return found


def _is_along_channels(layer: Layer) -> bool:
    """Whether a layer is a Scale with a value for each channel, however its axis is written."""
    operation, parameter = layer.operation, layer.parameter.scale_param
    if isinstance(operation, Scale) and operation.num_axes is not None:
        return (operation.axis, operation.num_axes) == (1, 1)
    return layer.type == "Scale" and (parameter.axis, parameter.num_axes) == (1, 1)


def _prefix(known: Sequence[Module], state: Mapping[str, Tensor]) -> str:
    """Return what stands before the names of most modules, such as `module.`; '' where nothing or no module does."""
    owners = {name.rpartition(".")[0] for name in state}
    if any(module.name in owners for module in known):
        return ""
    found: dict[str, int] = {}
    for module in known:
        for owner in owners:
            if owner.endswith(f".{module.name}"):
                prefix = owner.removesuffix(module.name)
                found[prefix] = found.get(prefix, 0) + 1
    return max(found, key=lambda prefix: found[prefix], default="")
