"""Operations of layers: one class for each, one module for each family, named as those of `net.layers`.

An operation says all that is needed to compute a layer's tops from its bottoms and blobs: with Caffe's defaults in
place of what the prototxt leaves out, fields of forks included, in the phase of the plan. It is a frozen dataclass.

* An axis is counted from the front, as Caffe's `CanonicalAxisIndex`. Where the number of axes is not known it is as the
  prototxt has it, and may be negative.
* A size that depends on something unknown is None, and so are the sizes along axes of which the number is unknown.
  Other attributes are None where the prototxt does not set them and Caffe has no default.
* Numbers are 32-bit floats, as Caffe has them.
* Words are those of Caffe's enums, in lower case.
* Blobs follow in the order of the layer's; `LayerType.roles` tells what each is.
"""

from filler_server.net.operations import (
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
from filler_server.net.operations.base import Custom, Extent, Extents, Operation, Python, Unknown, unknown_reason

__all__ = [
    "Custom",
    "Extent",
    "Extents",
    "Operation",
    "Python",
    "Unknown",
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
    "unknown_reason",
]
