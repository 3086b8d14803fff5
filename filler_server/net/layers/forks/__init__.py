"""Layer types of forks of Caffe, one module for each family; importing this registers them all.

Each docstring names the fork and the file that it was read from.
"""

from filler_server.net.layers.forks import (
    activations,
    arrangement,
    convolution,
    data,
    detection,
    flow,
    inner_product,
    losses,
    nd,
    normalization,
    recurrent,
    regions,
    resizing,
    segmentation,
    volume,
    yolo,
)

__all__ = [
    "activations",
    "arrangement",
    "convolution",
    "data",
    "detection",
    "flow",
    "inner_product",
    "losses",
    "nd",
    "normalization",
    "recurrent",
    "regions",
    "resizing",
    "segmentation",
    "volume",
    "yolo",
]
