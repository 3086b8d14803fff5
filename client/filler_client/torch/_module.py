"""Parameters and buffers of a module: their names in the whole model, and where they hang."""

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch

from caffe_filler.errors import InvalidArgument

if TYPE_CHECKING:
    from filler_server.rules import Parameter

NamePrefix: TypeAlias = str | Callable[[str], str]

_WRAPPERS = ("_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod")
"""Modules that wrap another one, which keeps its name: of FSDP1, activation checkpointing and torch.compile."""

_PLAIN = (torch.Tensor, torch.nn.Parameter)


class Tie(NamedTuple):
    """A further place where a parameter or buffer hangs.

    Attributes:
        name: its qualified name there.
        owner: the module.
        attribute: its name in the module.
    """

    name: str
    owner: torch.nn.Module
    attribute: str


@dataclass(slots=True, eq=False)
class Slot:
    """A parameter or buffer, with all the places where it hangs.

    Attributes:
        parameter: the parameter as rules see it, under its first qualified name in the whole model.
        tensor: the tensor that hangs there, as of the last `refresh`.
        owner: the module after which it is called.
        attribute: its name in that module.
        ties: the further places.
    """

    parameter: "Parameter"
    tensor: torch.Tensor
    owner: torch.nn.Module
    attribute: str
    ties: tuple[Tie, ...] = ()

    @property
    def name(self) -> str:
        """Its first qualified name in the whole model."""
        return self.parameter.name

    @property
    def is_buffer(self) -> bool:
        """Whether it is a buffer."""
        return self.parameter.is_buffer

    @property
    def padding_row(self) -> int | None:
        """The row that the module names as padding.

        Raises:
            InvalidArgument: there is no such row.
        """
        given, rows = getattr(self.owner, "padding_idx", None), next(iter(self.parameter.shape), 0)
        if given is None or not rows:
            return None
        try:
            row = operator.index(given)
        except TypeError:
            row = rows
        if not -rows <= row < rows:
            raise InvalidArgument(
                f"'{self.name}' has {rows} rows, and padding_idx of {type(self.owner).__name__} is one of them. "
                f"Received: padding_idx={given!r}"
            )
        return row % rows

    @property
    def hanging(self) -> torch.Tensor | None:
        """The tensor that hangs there now; None where the module has taken it away."""
        return (self.owner._buffers if self.is_buffer else self.owner._parameters).get(self.attribute)

    def refresh(self) -> None:
        """Look up the tensor again, after the module may have replaced it."""
        self.tensor = self.hanging if self.hanging is not None else self.tensor


class _Place(NamedTuple):
    """A module, with its path in the model, its classes and those around it."""

    path: str
    module: torch.nn.Module
    classes: tuple[str, ...]
    within: tuple[str, ...]


def reshard(module: torch.nn.Module) -> None:
    """Let FSDP2 shard again what it has gathered, as after a forward: its copies are thrown away with their values."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    kind = getattr(fsdp, "FSDPModule", None)
    if kind is not None:
        for owner in module.modules():
            if isinstance(owner, kind):
                owner.reshard()


def slots(module: torch.nn.Module, name_prefix: NamePrefix = "") -> list[Slot]:
    """Return the parameters of a module and then its buffers, each once, however often it hangs there.

    Names are those of `named_parameters`, without what wrappers add. Two parameters over the same memory are one.

    Args:
        module: the module, or one stage of a pipeline.
        name_prefix: what stands before the names here in those of the whole model, or a function from the names here to
            those.

    Raises:
        InvalidArgument: a parameter has no shape yet or several, or FSDP1 or DeepSpeed hold it flat; or two have one
            name.
    """
    from filler_server.rules import Parameter

    whole_name = _naming(name_prefix)
    parameters: list[Slot] = []
    buffers: list[Slot] = []
    for path, owner, classes, within in _walk(module):
        shapes: dict[str, tuple[int, ...]] = {}
        for tensors, found, is_buffer in ((owner._parameters, parameters, False), (owner._buffers, buffers, True)):
            for attribute, tensor in tensors.items():
                if tensor is None:
                    continue
                if type(tensor) not in _PLAIN or tensor.is_nested or hasattr(tensor, "ds_id"):
                    _check(path, attribute, owner, tensor)
                shape = tuple(tensor.shape)
                if not is_buffer:
                    shapes[attribute] = shape
                parameter = Parameter(whole_name(path + attribute), shape, classes, within, shapes, is_buffer)
                found.append(Slot(parameter, tensor, owner, attribute))
    return _each_once([*parameters, *buffers])


def _each_once(held: Sequence[Slot]) -> list[Slot]:
    """Return the first slot of each tensor, with all places where it hangs.

    Raises:
        InvalidArgument: two tensors have one name.
    """
    found: dict[object, Slot] = {}
    taken: dict[str, Slot] = {}
    for own in held:
        # Few tensors begin where another one does, and all that tells them apart takes long to look at.
        first = found.setdefault(_start_of(own.tensor), own)
        if first is not own and identity_of(first.tensor) != identity_of(own.tensor):
            first = found.setdefault(identity_of(own.tensor), own)
        name = own.parameter.name
        if taken.setdefault(name, first) is not first:
            raise InvalidArgument(f"two parameters have one name in the whole model. Received: name='{name}'")
        if first is not own:
            first.ties += (Tie(name, own.owner, own.attribute),)
    return list(found.values())


def slots_by_key(module: torch.nn.Module) -> dict[str, Slot]:
    """Return the parameters and buffers of a module by every name that a state_dict may have for them.

    Those are the names without what wrappers add, and the keys of the module's own state_dict.

    Raises:
        InvalidArgument: as of `slots`.
    """
    held = slots(module)
    named = {name: slot for slot in held for name in (slot.name, *(tie.name for tie in slot.ties))}
    places = {identity_of(slot.tensor): slot for slot in held}
    for key, tensor in module.state_dict(keep_vars=True).items():
        slot = places.get(identity_of(tensor)) if isinstance(tensor, torch.Tensor) else None
        if slot is not None:
            named[key] = slot
    return named


def _walk(module: torch.nn.Module) -> Iterator[_Place]:
    """Yield the modules in a module, and itself, in the order of `named_modules`.

    Raises:
        InvalidArgument: FSDP1 holds parameters flat.
    """
    waiting: list[tuple[str, torch.nn.Module, tuple[str, ...]]] = [("", module, ())]
    while waiting:
        path, owner, within = waiting.pop()
        if type(owner).__name__ == "FullyShardedDataParallel":
            raise _flat("FSDP1 (FullyShardedDataParallel)")
        classes = _names_of(type(owner).__mro__)
        yield _Place(path, owner, classes, within)
        if not owner._modules:
            continue
        inner = tuple(dict.fromkeys((*within, *classes)))
        is_parallel = isinstance(owner, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel)
        for name, child in reversed(owner._modules.items()):
            if child is not None:
                is_wrapped = name in _WRAPPERS or (is_parallel and name == "module")
                waiting.append((path if is_wrapped else f"{path}{name}.", child, within if is_wrapped else inner))


@lru_cache(maxsize=1024)
def _names_of(classes: tuple[type, ...]) -> tuple[str, ...]:
    """Return the names of a module's class and of its bases, each without and with the Python module in front."""
    kinds = [kind for kind in classes if issubclass(kind, torch.nn.Module) and kind is not torch.nn.Module]
    return tuple(name for kind in kinds for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}"))


def _naming(prefix: NamePrefix) -> Callable[[str], str]:
    """Return what makes the names in the whole model out of those here."""
    if isinstance(prefix, str):
        text = f"{prefix}." if prefix and not prefix.endswith(".") else prefix
        return lambda path: text + path
    if not callable(prefix):
        raise InvalidArgument(f"name_prefix is text, or a function. Received: name_prefix={prefix!r}")

    def checked(path: str) -> str:
        name = prefix(path)
        if not isinstance(name, str) or not name:
            raise InvalidArgument(f"name_prefix must return a name. Received: {name!r} for '{path}'")
        return name

    return checked


def identity_of(tensor: torch.Tensor) -> object:
    """Return what two tensors over the same memory have in common."""
    start = _start_of(tensor)
    if start == id(tensor):
        return start
    return start, tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def _start_of(tensor: torch.Tensor) -> int:
    """Return where the memory of a tensor begins, or its id where none is known."""
    # Those of subclasses may be anywhere; a parameter of a class of its own is none of them once it is detached.
    is_plain = type(tensor) in _PLAIN or type(tensor.detach()) is torch.Tensor
    return (is_plain and tensor.layout == torch.strided and tensor.data_ptr()) or id(tensor)


def _check(path: str, attribute: str, owner: torch.nn.Module, tensor: torch.Tensor) -> None:
    """Make sure that a tensor has the shape that it will have.

    Raises:
        InvalidArgument: it has no shape yet, or one for each of the tensors nested in it, or DeepSpeed holds it flat.
    """
    if type(tensor) not in _PLAIN and torch.nn.parameter.is_lazy(tensor):
        kind = type(owner).__name__
        raise InvalidArgument(f"parameter '{path}{attribute}' has no shape before the first forward of {kind}")
    if tensor.is_nested:
        raise InvalidArgument(f"'{path}{attribute}' is a nested tensor, which has no one shape")
    if hasattr(tensor, "ds_id"):
        raise _flat("DeepSpeed's ZeRO-3")


def _flat(what: str) -> InvalidArgument:
    return InvalidArgument(
        f"{what} holds parameters in flat partitions; fill_flat_ fills these, and initialize_ a module before it is "
        "wrapped"
    )
