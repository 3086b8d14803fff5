"""Sizes that a net was written for."""

from torch import Tensor


def check_size(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse an input of another size than the net was written for; the first axis is free.

    Raises:
        ValueError: it has another size.
    """
    if tuple(x.shape[1:]) != shape[1:]:
        raise ValueError(f"input '{name}' has the shape {shape}, its first axis is free. Received: {tuple(x.shape)}")
