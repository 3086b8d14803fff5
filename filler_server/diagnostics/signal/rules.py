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
]
