"""Digests of tensors, in whatever parts processes hold them."""

from typing import TYPE_CHECKING, Any

import torch

from caffe_filler.errors import InvalidArgument
from filler_client.torch._placement import Part, is_dtensor, parts_of

if TYPE_CHECKING:
    from filler_server.digests import Digest

_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers of the length of an element, by its bytes."""

_BLOCK = 4 << 20
"""Elements that are copied from a device at once."""


def digest(tensor: torch.Tensor, *, local: bool = False) -> "Digest":
    """Return the digest of a tensor, or of the whole of a DTensor.

    It is that of `client.digest`, of `filler_client.digest` of the same values, and of the manifest of a file that has
    them. It detects accidents, not forgery.

    Of a DTensor every process of its mesh calls this, as it does `full_tensor`; each sums up what it holds, and only
    the sums of 16 bytes are exchanged.

    Args:
        tensor: elements of 1, 2, 4 or 8 bytes, of any strides, on any device but meta; or a DTensor of any placements
            but Partial.
        local: sum up only what this process holds, at the places that it has in the whole tensor, and exchange nothing:
            for a single process, or to find the one that differs.

    Raises:
        InvalidArgument: elements have another length, there are no values, or a DTensor is Partial.

    Example:
        assert digest(model.fc.weight) == client.digest("xavier", (10, 500), name="fc.weight", seed=1701)
    """
    from filler_server.digests import Digest, Digester

    if tensor.device.type == "meta":
        raise InvalidArgument("a tensor on the device meta has no values. Received: device=meta")
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_quantized or tensor.dtype.itemsize not in _BITS:
        raise InvalidArgument(
            "a digest is of elements of 1, 2, 4 or 8 bytes that all lie in memory. "
            f"Received: dtype={tensor.dtype}, layout={tensor.layout}"
        )
    found = Digest()
    shape = tuple(tensor.shape)
    for part in parts_of(tensor):
        bits = _BITS[part.tensor.dtype.itemsize]
        digester = Digester(_numpy(torch.empty(0, dtype=bits, device="cpu")).dtype, part.tensor.numel())
        _add(digester, part, shape, bits)
        found += digester.digest
    return found if local or not is_dtensor(tensor) else _summed(tensor, found)


def _add(digester: Any, part: Part, shape: tuple[int, ...], bits: torch.dtype) -> None:
    from filler_server.engine.region import Region

    # In C order; of a part with other strides that is a copy.
    flat = part.tensor.resolve_conj().resolve_neg().reshape(-1).view(bits)
    region = Region.flat((flat.numel(),), 0, None) if part.box is None else Region.box(shape, part.box)
    for start in range(0, flat.numel(), _BLOCK):
        block = flat[start : start + _BLOCK]
        runs = region.runs(start, block.numel())
        digester.add(_numpy(block.cpu()), runs.starts, runs.bounds)


def _numpy(tensor: torch.Tensor) -> Any:
    return tensor.numpy()


def _summed(tensor: Any, found: "Digest") -> "Digest":
    """Return the sum over the processes of a mesh; of those that hold the same only the first counts."""
    from filler_server.digests import Digest

    mesh = tensor.device_mesh
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        raise InvalidArgument("this process is not on the mesh of the tensor; local=True asks no other")
    is_first = all(
        not placement.is_replicate() or place == 0
        for placement, place in zip(tensor.placements, coordinate, strict=True)
    )
    words = [found.low, found.high] if is_first else [0, 0]
    # Sums modulo 2^64, as signed integers.
    sums = torch.tensor([word - (word >> 63 << 64) for word in words], device=tensor.device)
    for dimension in range(mesh.ndim):
        torch.distributed.all_reduce(sums, group=mesh.get_group(dimension))
    low, high = (int(word) % (1 << 64) for word in sums.cpu())
    return Digest(low, high)
