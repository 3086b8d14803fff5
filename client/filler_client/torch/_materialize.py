"""Parameters and buffers on the device meta, made on another one, and marks in those that nothing has set yet."""

from collections.abc import Sequence

import torch

from caffe_filler.errors import InvalidArgument
from filler_client.torch._module import Slot


def materialize(module: torch.nn.Module, held: Sequence[Slot], device: torch.device | str | None) -> None:
    """Give what a module has on the device meta memory on another device; ties and all else stay as they are.

    Raises:
        InvalidArgument: there is something on the device meta, and no other device is named.
    """
    absent = [slot for slot in held if slot.tensor.is_meta]
    if not absent:
        return
    if device is None or torch.device(device).type == "meta":
        raise InvalidArgument(
            f"'{absent[0].name}' is on the device meta; device='cpu', or another one, says where to make it. "
            f"Received: device={device!r}"
        )
    # As Module.to_empty, which would also throw away what has values.
    module._apply(lambda tensor: torch.empty_like(tensor, device=device) if tensor.is_meta else tensor)
    for slot in held:
        slot.refresh()
    for slot in absent:
        for owner, name in slot.places[1:]:
            setattr(owner, name, slot.tensor)


def spoil(tensor: torch.Tensor) -> None:
    """Mark a tensor as one that nobody has set: NaN, or the lowest integer."""
    local = _local(tensor)
    if local.is_floating_point() or local.is_complex():
        local.fill_(torch.nan)
    elif local.dtype != torch.bool:
        local.fill_(torch.iinfo(local.dtype).min)


def is_spoiled(tensor: torch.Tensor) -> bool:
    """Whether a mark is left anywhere in a tensor."""
    local = _local(tensor)
    if local.is_floating_point() or local.is_complex():
        return bool(local.isnan().any())
    return local.dtype != torch.bool and bool((local == torch.iinfo(local.dtype).min).any())


def _local(tensor: torch.Tensor) -> torch.Tensor:
    local: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local.detach()
