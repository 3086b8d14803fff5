"""All rules, one module for each family of operations."""

from filler_server.diagnostics.signal import (
    activations,
    arrangement,
    combination,
    convolution,
    inner_product,
    losses,
    normalization,
    pooling,
    recurrent,
    resizing,
    undetermined,
)

__all__ = [
    "activations",
    "arrangement",
    "combination",
    "convolution",
    "inner_product",
    "losses",
    "normalization",
    "pooling",
    "recurrent",
    "resizing",
    "undetermined",
]
