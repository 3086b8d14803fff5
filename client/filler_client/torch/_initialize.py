"""A module, filled by rules: any sharding, on any device, in one request."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import torch

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option
from caffe_filler.printable import printable
from filler_client import _requests
from filler_client._client import FillerClient
from filler_client._rules import RulesLike, rules_of
from filler_client.torch._filling import Filling, check_memory, check_tensor, fill_all
from filler_client.torch._materialize import check_device, dematerialize, is_spoiled, materialize, spoil
from filler_client.torch._module import NamePrefix, Slot, reshard, slots
from filler_client.torch._report import InitEntry, InitReport, Status
from filler_client.torch._targets import check_client
from filler_client.torch._views import measured, pooled

if TYPE_CHECKING:
    from filler_server.rules import Assignment

_Planned: TypeAlias = "tuple[Slot, Assignment | None]"
"""A parameter or buffer, and what fills it."""

_LISTED = 8


@torch.no_grad()
def initialize_(
    module: torch.nn.Module,
    rules: RulesLike,
    *,
    seed: int,
    client: FillerClient | None = None,
    strict: bool = True,
    name_prefix: NamePrefix = "",
    device: torch.device | str | None = None,
    reset_buffers: bool = False,
) -> InitReport:
    """Fill all parameters of a module in place, each by the first rule that fits it, and return what was done.

    A parameter's values depend on the seed, its qualified name, its whole shape and its filler, and on nothing else:
    not on how many processes hold it, nor how. Each process fills what it holds, without speaking to the others. Fans
    are those of whole tensors.

    Tied parameters are filled once, under their first name. Buffers are left alone unless the last part of a pattern is
    their own name, as in `*.running_mean`. Nothing is written before every parameter has its rule. After an error,
    what was on the device meta is there again.

    Args:
        module: plain, or sharded by FSDP2, tensor parallelism or both (DTensors of any placements but Partial), also
            offloaded to the CPU; or one stage of a pipeline. Parameters that FSDP2 has gathered are sharded again.
        rules: the path of a file of `InitRules`, their text or the message; the name of a ready-made set (`torch`,
            `transformer`); a mapping from patterns of names to fillers; or a sequence of these.
        seed: 0 to 2**64 - 1.
        client: who computes; this process by default.
        strict: whether a parameter that no rule fits is an error; else it is reported, and NaN where it was on the
            device meta.
        name_prefix: for a part of a model: what stands before the names here in those of the whole model, or a function
            from the names here to those. A rule with `within` sees no modules but those of the part: for a part of an
            `nn.Transformer` the set `torch` gives what its layers have by themselves.
        device: where to make parameters and buffers that are on the device meta.
        reset_buffers: whether modules that have buffers which no rule names are reset by their own `reset_parameters`
            before rules fill their parameters.

    Raises:
        InvalidArgument: no rule fits a parameter, or a buffer that was on the device meta would stay unfilled; a
            parameter cannot hold a blob; FSDP1 or DeepSpeed hold it flat; rules or seed cannot be what they should.
        FillerError: one of the tree in `caffe_filler.errors`; parameters may have been filled in part.
        OSError: a file of rules cannot be read.

    Example:
        report = initialize_(model, "rules.prototxt", seed=1701, client=FillerClient("host1:50051,host2:50051"))
        print(report)
    """
    if not isinstance(module, torch.nn.Module):
        raise InvalidArgument(f"a module of PyTorch is initialized. Received: {type(module).__name__}")
    seed = _requests.check_seed(seed)
    check_client(client)
    check_device(device)
    reshard(module)
    held = slots(module, name_prefix)
    is_whole = not name_prefix and not _is_one_of_several()
    checked = rules_of(rules, [slot.parameter.name for slot in held if not slot.parameter.is_buffer], is_whole=is_whole)
    planned = [(slot, checked.assign(slot.parameter)) for slot in held]
    resetting = _modules_to_reset(planned) if reset_buffers else set()
    _check(planned, resetting, strict=strict)
    if resetting:
        check_memory(_fillings(planned))
    absent = materialize(module, held, device)
    try:
        unset = _set(planned, absent, resetting, strict=strict)
        fillings = _fillings(planned)
        fill_all(fillings, seed, client)
    except BaseException:
        # So that what holds no values yet is not taken for something that does.
        dematerialize(module, absent)
        raise
    moments = iter(measured([part.tensor for filling in fillings for part in filling.parts]))
    figures = (pooled([next(moments) for _ in filling.parts]) for filling in fillings)
    entries: list[InitEntry] = []
    for slot, found in planned:
        entry = _left(slot, resetting, unset) if found is None else _filled(slot, found, next(figures))
        entries.append(entry)
        if slot.ties:
            further = entry if found is None else entry._replace(status="tied", tied_to=entry.name)
            entries += [further._replace(name=tie.name) for tie in slot.ties]
    used = {filling.assignment.index for filling in fillings}
    return InitReport(
        entries=tuple(entries),
        seed=seed,
        unused=tuple(label for index, label in enumerate(checked.labels) if index not in used),
    )


def _is_one_of_several() -> bool:
    """Whether other processes may hold other parts of the model."""
    distributed = torch.distributed
    return bool(distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1)


def _modules_to_reset(planned: Sequence[_Planned]) -> set[torch.nn.Module]:
    """Return the modules that have buffers which no rule names, and a way to set them."""
    owners = {slot.owner for slot, found in planned if slot.is_buffer and found is None}
    return {owner for owner in owners if callable(getattr(owner, "reset_parameters", None))}


def _check(planned: Sequence[_Planned], resetting: set[torch.nn.Module], *, strict: bool) -> None:
    """Make sure that everything will be filled, before anything is.

    Raises:
        InvalidArgument: it will not, or a tensor cannot hold its values.
    """
    rest = [slot for slot, found in planned if found is None]
    unmatched = [slot for slot in rest if not slot.is_buffer]
    if strict and unmatched:
        first = unmatched[0]
        raise InvalidArgument(
            f"no rule fits {_names(unmatched)}; a rule '*' at the end fits every parameter, and "
            f"{option('strict', False)} leaves them as they are. "
            f"Received: '{first.name}' of {type(first.owner).__name__}, shape={list(first.tensor.shape)}"
        )
    unset = [slot for slot in rest if slot.is_buffer and slot.tensor.is_meta and slot.owner not in resetting]
    if strict and unset:
        raise InvalidArgument(
            f"{_names(unset)} on the device meta would hold whatever was in memory: a rule whose pattern ends with its "
            f"name fills a buffer, and {option('reset_buffers')} lets modules set theirs that have reset_parameters"
        )
    for slot, found in planned:
        if found is not None:
            check_tensor(slot.parameter.name, slot.tensor, found)
            _padding_row(slot, found)


def _set(
    planned: Sequence[_Planned], absent: Sequence[Slot], resetting: set[torch.nn.Module], *, strict: bool
) -> list[Slot]:
    """Let modules set their buffers, and return what was on the device meta and is not set by them nor by a rule.

    Raises:
        InvalidArgument: there is such a buffer, or something is not there any more as it was planned.
    """
    made = set(absent)
    lost = [slot for slot, found in planned if found is None and slot in made]
    for slot in lost:
        spoil(slot.tensor)
    for owner in resetting:
        owner.reset_parameters()
    if resetting:
        for slot, _ in planned:
            _check_reset(slot)
            slot.refresh()
    unset = [slot for slot in lost if is_spoiled(slot.tensor)]
    if strict and unset:
        raise InvalidArgument(
            f"{_names(unset)} was on the device meta, and reset_parameters of {type(unset[0].owner).__name__} does not "
            "set it; a rule whose pattern ends with its name fills it"
        )
    for slot in unset:
        if slot.tensor.dtype == torch.bool:
            # A byte that is neither 0 nor 1 is not for programs.
            slot.tensor.zero_()
    return unset


def _check_reset(slot: Slot) -> None:
    """Make sure that what was planned for a tensor is right of what hangs there after modules have been reset.

    Raises:
        InvalidArgument: nothing hangs there, or it has another shape or no values.
    """
    now = slot.hanging
    if now is None:
        what = "is gone"
    elif tuple(now.shape) != slot.parameter.shape:
        what = f"has the shape {list(now.shape)} in place of {list(slot.parameter.shape)}"
    elif now.is_meta:
        what = "is on the device meta"
    else:
        return
    raise InvalidArgument(
        "reset_parameters sets values, and leaves all else as it is. "
        f"Received: '{slot.name}' of {type(slot.owner).__name__} {what} after it"
    )


def _fillings(planned: Sequence[_Planned]) -> list[Filling]:
    return [Filling(slot.tensor, found, _padding_row(slot, found)) for slot, found in planned if found is not None]


def _padding_row(slot: Slot, found: "Assignment") -> int | None:
    """Return the row that becomes zeros, or None.

    Raises:
        InvalidArgument: the module names one that there is not.
    """
    return slot.padding_row if found.zero_padding else None


def _filled(slot: Slot, found: "Assignment", figures: tuple[float, float] | None) -> InitEntry:
    """Return what is to be told of what a rule fills, with the figures of its values."""
    parameter = slot.parameter
    return InitEntry(
        parameter.name,
        parameter.shape,
        _name_of(slot.tensor.dtype),
        "filled",
        found.rule,
        found.filler.type,
        found.fan_in,
        found.fan_out,
        found.mean,
        found.std,
        *(figures or (None, None)),
    )


def _left(slot: Slot, resetting: set[torch.nn.Module], unset: Sequence[Slot]) -> InitEntry:
    """Return what is to be told of what no rule fills."""
    parameter = slot.parameter
    status: Status = "not filled"
    if parameter.is_buffer and slot not in unset:
        status = "reset" if slot.owner in resetting else "left alone"
    return InitEntry(parameter.name, parameter.shape, _name_of(slot.tensor.dtype), status)


@cache
def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _names(found: Sequence[Slot]) -> str:
    """Return the names of parameters or buffers, as many as anybody reads."""
    listed = ", ".join(f"'{printable(slot.name)}'" for slot in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"{'buffer' if found[0].is_buffer else 'parameter'} {listed}{more}"
