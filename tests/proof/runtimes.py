"""PyTorch, as a runtime that is compared with the reference."""

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from filler_client import ModelWeights, NetLike
from filler_client._models import ModelOptions, open_model
from filler_client.torch import load_net
from filler_server.models.graph import Graph
from filler_server.models.sources import constant_inputs

Arrays = Mapping[str, NDArray[Any]]


class Torch:
    """PyTorch with a net.

    Attributes:
        name: what it is, with its version.
        values: names of the values that it tells: all that layers make.

    Args:
        net: the net.
        weights: its weights.
        options: those of `ModelOptions`.
    """

    def __init__(self, net: NetLike, weights: ModelWeights, **options: Unpack[ModelOptions]) -> None:
        self.name = f"PyTorch {torch.__version__}"
        with open_model(net, weights, **options) as model:
            graph = model.graph
            constants = constant_inputs(model.plan)
        self._inputs = [name for name in graph.inputs if name not in constants]
        self._outputs = graph.outputs
        self._module = load_net(net, weights, **options)
        made = tuple(top for node in graph.nodes for top in node.tops)
        read = {bottom for node in graph.nodes if node.tops for bottom in node.bottoms}
        self._read = [name for name in self._inputs if name in read]
        whole: ModelOptions = {**options, "tops": made}
        self._whole = load_net(net, weights, **whole)
        self.values = frozenset(made)

    def compute(self, inputs: Arrays, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return some values, given the inputs."""
        if set(names) <= set(self._outputs):
            found = _called(self._module, inputs, self._inputs)
        else:
            found = _called(self._whole, inputs, self._read)
        return {name: found[name] for name in names}


class Source:
    """PyTorch with a source that has been written, as a user runs it.

    Attributes:
        name: what it is.
        values: names of the values that it tells: the outputs.

    Args:
        path: the source.
        graph: what it computes.
        constants: inputs that are constants in it.
    """

    name = "net.py"

    def __init__(self, path: Path, graph: Graph, constants: Collection[str]) -> None:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._inputs = [name for name in graph.inputs if name not in constants]
        nets = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == path.stem]
        self._module = module.load() if hasattr(module, "load") else nets[-1]()
        self.values = frozenset(graph.outputs)

    def compute(self, inputs: Arrays, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return some values, given the inputs."""
        found = _called(self._module, inputs, self._inputs)
        return {name: found[name] for name in names}


def _called(module: Any, inputs: Arrays, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    given = (torch.from_numpy(np.array(inputs[name], np.float32)) for name in names)
    with torch.no_grad():
        return {name: value.numpy() for name, value in module(*given).items()}
