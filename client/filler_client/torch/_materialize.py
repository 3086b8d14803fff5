"""Parameters and buffers on the device meta, made on another one, and marks in those that nothing has set yet."""

import math
from collections.abc import Sequence

import torch

from caffe_filler.errors import InvalidArgument
from filler_client.torch._module import Slot
from filler_client.torch._placement import local_of


def check_device(device: torch.device | str | None) -> None:
    """Make sure that PyTorch has such a device, whether or not this machine does.

    Raises:
        InvalidArgument: it has none.
    """
    try:
        torch.device("meta" if device is None else device)
    except (RuntimeError, TypeError, ValueError):
        raise InvalidArgument(f"PyTorch has no such device. Received: device={device!r}") from None


def materialize(module: torch.nn.Module, held: Sequence[Slot], device: torch.device | str | None) -> list[Slot]:
    """Give what a module has on the device meta memory on another device; ties and all else stay as they are.

    Gradients that were there, too, are zeros.

    Returns:
        What was on the device meta.

    Raises:
        InvalidArgument: there is something on the device meta, and no other device is named.
    """
    absent = [slot for slot in held if slot.tensor.is_meta]
    if not absent:
        return absent
    if device is None or torch.device(device).type == "meta":
        raise InvalidArgument(
            f"'{absent[0].name}' is on the device meta; device='cpu', or another one, says where to make it. "
            f"Received: device={device!r}"
        )
    try:
        # As Module.to_empty, which would also throw away what has values.
        module._apply(lambda tensor: torch.empty_like(tensor, device=device) if tensor.is_meta else tensor)
    except BaseException:
        dematerialize(module, absent)
        raise
    for slot in held:
        slot.refresh()
    for slot in absent:
        if slot.tensor.grad is not None:
            # No rule fills it, and nobody has added anything to it.
            slot.tensor.grad.zero_()
    _tie(absent)
    return absent


def dematerialize(module: torch.nn.Module, absent: Sequence[Slot]) -> None:
    """Put back to the device meta what `materialize` has taken from there."""
    if not absent:
        return
    for slot in absent:
        slot.refresh()
    made = {id(each) for slot in absent for each in (slot.tensor, slot.tensor.grad) if each is not None}
    module._apply(lambda tensor: torch.empty_like(tensor, device="meta") if id(tensor) in made else tensor)
    for slot in absent:
        slot.refresh()
    _tie(absent)


def _tie(absent: Sequence[Slot]) -> None:
    """Hang tensors again wherever the ones that they replace were."""
    for slot in absent:
        for tie in slot.ties:
            setattr(tie.owner, tie.attribute, slot.tensor)


def spoil(tensor: torch.Tensor) -> None:
    """Mark a tensor as one that nobody has set: NaN, the lowest signed or highest unsigned integer, or no Boolean."""
    local = _local(tensor)
    local.fill_(_mark(local))


def is_spoiled(tensor: torch.Tensor) -> bool:
    """Whether a mark is left anywhere in a tensor."""
    local = _local(tensor)
    mark = _mark(local)
    return bool((local.isnan() if math.isnan(mark) else local == mark).any())


def _mark(local: torch.Tensor) -> float:
    if local.is_floating_point() or local.is_complex():
        return math.nan
    limits = torch.iinfo(local.dtype)
    return int(limits.min or limits.max)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this process holds of a tensor; bytes in place of Booleans, which are 0 or 1 once they are set."""
    local = local_of(tensor)
    return local.view(torch.uint8) if local.dtype == torch.bool else local
