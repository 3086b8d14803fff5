"""Lint of a module or a checkpoint: declared rules against the values that are there."""

import hashlib
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from caffe_filler.errors import InvalidArgument
from caffe_filler.nearest import did_you_mean, nearest
from filler_client._rules import RulesLike, rules_of
from filler_client.torch._module import NamePrefix, Slot, identity_of, slots
from filler_client.torch._placement import local_of, with_memory

if TYPE_CHECKING:
    from filler_server.diagnostics.lint.findings import Findings
    from filler_server.diagnostics.lint.parameters import Measured
    from filler_server.rules import Assignment, Parameter

_NO_SHAPES: Mapping[str, Sequence[int]] = {}


@torch.no_grad()
def lint(
    module: torch.nn.Module | Mapping[str, torch.Tensor],
    rules: RulesLike,
    *,
    shapes: Mapping[str, Sequence[int]] = _NO_SHAPES,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    name_prefix: NamePrefix = "",
) -> "Findings":
    """Return where the parameters of a module, or of a checkpoint, are not what rules declare.

    Nothing is filled. The mean and standard deviation that each rule promises are compared with those that are
    measured, over all values that this process holds; six standard errors are left to chance. Fans are those of whole
    tensors. Parameters that no rule fits, that are the same although they are random, and bounds that never count are
    found as well.

    Args:
        module: a module, plain or sharded (DTensors), or tensors by name, as in a state_dict.
        rules: as of `initialize_`.
        shapes: the whole shape of parameters that are held in part as plain tensors, by name, as ranks of Megatron do.
        select: codes of rules of lint, or their beginnings, that alone count; all by default.
        ignore: codes, or their beginnings, that do not count.
        name_prefix: as of `initialize_`.

    Raises:
        InvalidArgument: a code that no rule of lint has, a name in `shapes` that is none here, or a shape that does not
            hold what is here; rules or module cannot be what they should, or have a sparse tensor.
        FillerError: a filler cannot fill a parameter of its shape.

    Example:
        print(lint(model, "transformer"))
    """
    from filler_server.diagnostics.lint.findings import Findings
    from filler_server.diagnostics.lint.parameters import check_parameters
    from filler_server.diagnostics.lint.selection import Selection

    selection = Selection.of(select, ignore)
    held, ties = _held(module, name_prefix)
    wholes = _wholes(shapes, held, ties)
    checked = rules_of(rules, held, is_whole=not name_prefix)
    measured = []
    for name, (parameter, tensor, slot) in held.items():
        whole = wholes.get(name, parameter.shape)
        found = checked.assign(_of_shapes(parameter, wholes))
        measured.append(_measured(name, whole, tensor, found, slot))
    kind = "state_dict" if isinstance(module, Mapping) else type(module).__name__
    return Findings(check_parameters(measured, selection, kind))


def _held(
    module: torch.nn.Module | Mapping[str, torch.Tensor], name_prefix: NamePrefix
) -> "tuple[dict[str, tuple[Parameter, torch.Tensor, Slot | None]], dict[str, str]]":
    """Return the parameters by name, as rules see them, with their tensors and the places of a module where they hang.

    Those that are tied are there once; with them come their further names, each with the first.
    """
    from filler_server.rules import parameters_of

    if isinstance(module, torch.nn.Module):
        own = [slot for slot in slots(module, name_prefix) if not slot.is_buffer]
        ties = {tie.name: slot.name for slot in own for tie in slot.ties}
        return {slot.name: (slot.parameter, slot.tensor, slot) for slot in own}, ties
    if not isinstance(module, Mapping) or not all(isinstance(value, torch.Tensor) for value in module.values()):
        raise InvalidArgument(f"lint takes a module, or tensors by name. Received: {type(module).__name__}")
    for name in module:
        if not isinstance(name, str):
            raise InvalidArgument(f"the name of a tensor is text. Received: {name!r}")
        if module[name].is_nested:
            raise InvalidArgument(f"'{name}' is a nested tensor, which has no one shape")
    held: dict[str, tuple[Parameter, torch.Tensor, Slot | None]] = {}
    ties = {}
    parameters = parameters_of({name: tuple(tensor.shape) for name, tensor in module.items()})
    # With what is held of them here, so that no other tensor has its identity meanwhile.
    first: dict[object, tuple[str, torch.Tensor]] = {}
    for name, tensor in module.items():
        if tensor.is_floating_point():
            local = local_of(tensor)
            other, _ = first.setdefault(identity_of(local), (name, local))
            if other == name:
                held[name] = (parameters[name], tensor, None)
            else:
                ties[name] = other
    return held, ties


def _wholes(
    shapes: Mapping[str, Sequence[int]],
    held: "Mapping[str, tuple[Parameter, torch.Tensor, Slot | None]]",
    ties: Mapping[str, str],
) -> dict[str, tuple[int, ...]]:
    """Return the whole shapes of parameters that are held in part.

    Raises:
        InvalidArgument: there is no such parameter, or what is held of it is no part of the shape.
    """
    if not isinstance(shapes, Mapping):
        raise InvalidArgument(f"shapes are by name. Received: {type(shapes).__name__}", field="shapes")
    wholes: dict[str, tuple[int, ...]] = {}
    for given, dims in shapes.items():
        name = ties.get(given, given)
        if name not in held:
            hint = did_you_mean(nearest(str(name), held))
            raise InvalidArgument(f"shapes: there is no such parameter{hint}. Received: {name!r}", field="shapes")
        try:
            whole = tuple(operator.index(dim) for dim in dims)
        except TypeError:
            raise InvalidArgument(
                f"shapes: a shape is a sequence of integers. Received: '{name}', shape={dims!r}", field="shapes"
            ) from None
        part = held[name][0].shape
        is_longer = len(part) == len(whole) and any(own > dim for own, dim in zip(part, whole, strict=True))
        if min(whole, default=0) < 0 or math.prod(part) > math.prod(whole) or is_longer:
            raise InvalidArgument(
                f"shapes: the whole of '{name}' is at least what is held of it. "
                f"Received: shape={list(whole)}, and {list(part)} are held",
                field="shapes",
            )
        wholes[name] = whole
    return wholes


def _of_shapes(parameter: "Parameter", wholes: Mapping[str, tuple[int, ...]]) -> "Parameter":
    """Return a parameter with its whole shape, and with those of the other ones of its module."""
    path = parameter.name.rpartition(".")[0]
    siblings = {own: wholes.get(f"{path}.{own}" if path else own, shape) for own, shape in parameter.siblings.items()}
    return parameter._replace(shape=wholes.get(parameter.name, parameter.shape), siblings=siblings)


def _measured(
    name: str,
    whole: tuple[int, ...],
    tensor: torch.Tensor,
    found: "Assignment | None",
    slot: Slot | None,
) -> "Measured":
    """Measure the part of a parameter that is here."""
    from filler_server.diagnostics.lint.parameters import Measured

    local = local_of(tensor)
    if local.layout != torch.strided or local.is_quantized:
        raise InvalidArgument(f"'{name}' is no dense tensor. Received: dtype={local.dtype}, layout={local.layout}")
    one = Measured(name, whole, tuple(local.shape))
    if found is not None:
        zero_rows = int(found.zero_padding and slot is not None and slot.padding_row is not None)
        one = replace(one, rule=found.rule, filler=found.filler, expected_mean=found.mean, expected_std=found.std)
        one = replace(one, zero_rows=zero_rows)
    if local.is_meta or not local.numel():
        return one
    try:
        with_memory(local)
    except InvalidArgument as error:
        raise error.within(f"'{name}'") from None
    values = local.to("cpu", torch.float64).flatten().resolve_neg()
    digest = hashlib.blake2b(values.numpy().tobytes(), digest_size=16).hexdigest()
    finite = bool(values.isfinite().all())
    mean, std = float(values.mean()), float(values.std(correction=0))
    return replace(one, count=values.numel(), finite=finite, mean=mean, std=std, digest=digest)
