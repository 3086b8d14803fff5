"""Families of operations, each a module with a function for each operation."""

from filler_server.models.torch import (
    activations,
    arrangement,
    combination,
    convolution,
    data,
    inner_product,
    losses,
    normalization,
    pooling,
    recurrent,
)

__all__ = [
    "activations",
    "arrangement",
    "combination",
    "convolution",
    "data",
    "inner_product",
    "losses",
    "normalization",
    "pooling",
    "recurrent",
]
