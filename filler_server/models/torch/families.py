"""Families of operations, each a module with a function for each operation."""

from filler_server.models.torch import (
    activations,
    arrangement,
    combination,
    convolution,
    data,
    detection,
    flow,
    inner_product,
    losses,
    normalization,
    pooling,
    recurrent,
    regions,
    resizing,
)

__all__ = [
    "activations",
    "arrangement",
    "combination",
    "convolution",
    "data",
    "detection",
    "flow",
    "inner_product",
    "losses",
    "normalization",
    "pooling",
    "recurrent",
    "regions",
    "resizing",
]
