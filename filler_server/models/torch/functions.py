"""All functions, one module for each family of operations."""

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
