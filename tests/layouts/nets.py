"""Plans of small nets, and tensors for their blobs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.net.plan import NetPlan
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from filler_server.tensors import ArrayTensor, Tensor


def planned(net: str, shape: str = "dim: [1, 3, 9, 9]") -> NetPlan:
    """The plan of layers that read a top `data`, which an Input makes."""
    data = f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {shape} }} }} }}\n'
    return plan_net(read_net((data + net).encode()))


def tensors(**layers: Any) -> list[Tensor]:
    """Arrays as the blobs of layers."""
    return [
        ArrayTensor(f"{layer}/{index}", np.asarray(array))
        for layer, arrays in layers.items()
        for index, array in enumerate(arrays)
    ]


def blobs(plan: NetPlan, rng: np.random.Generator) -> list[Tensor]:
    """Random values for every blob of a plan, positive so that they can be variances."""
    return [ArrayTensor(blob.name, rng.uniform(0.5, 2, blob.shape).astype(np.float32)) for blob in plan.blobs]  # type: ignore[arg-type]


def arrays(found: Any) -> dict[str, NDArray[Any]]:
    """The values of tensors by their names."""
    return {tensor.name: np.array(tensor.array()) for tensor in found}
