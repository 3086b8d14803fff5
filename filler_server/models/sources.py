"""Inputs whose values a net gives itself."""

from typing import Any

import numpy as np
from google.protobuf import text_format
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.models.graph import value_names
from filler_server.net.operations import data, recurrent
from filler_server.net.plan import Layer, NetPlan


def constant_inputs(plan: NetPlan) -> dict[str, NDArray[Any]]:
    """Return the values of inputs that are the same in each pass, by their names.

    They are those of DummyData that a constant filler fills, and of ContinuationIndicator. The arrays take no memory.
    """
    found: dict[str, NDArray[Any]] = {}
    for value, name in value_names(plan).items():
        layer, shape = plan.layers[value.layer], plan.top(value).shape
        if not layer.is_source or shape is None or None in shape:
            continue
        known = tuple(dim for dim in shape if dim is not None)
        values = _values(layer, value.top, known[:1])
        if values is not None:
            found[name] = np.broadcast_to(values.reshape(-1, *(1,) * (len(known) - 1)) if known else values, known)
    return found


def _values(layer: Layer, top: int, steps: tuple[int, ...]) -> NDArray[Any] | None:
    """Return what fills each step of the first axis, or all of them."""
    match layer.operation:
        case data.DummyData(fillers=fillers):
            filler = text_format.Parse(fillers[0 if len(fillers) == 1 else top], FillerParameter())
            return np.array(filler.value, np.float32) if filler.type == "constant" else None
        case recurrent.ContinuationIndicator():
            return np.arange(*steps) > 0
    return None
