"""Set-up of every layer type, one module for each family; importing this registers them all."""

from filler_server.net.layers import (
    activations,
    arrangement,
    combination,
    convolution,
    data,
    forks,
    inner_product,
    losses,
    normalization,
    pooling,
    python,
    recurrent,
    scale,
)

__all__ = [
    "activations",
    "arrangement",
    "combination",
    "convolution",
    "data",
    "forks",
    "inner_product",
    "losses",
    "normalization",
    "pooling",
    "python",
    "recurrent",
    "scale",
]
