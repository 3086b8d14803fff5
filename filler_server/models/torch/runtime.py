"""PyTorch, as one that computes an exported model."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from filler_server.models.graph import Graph
from filler_server.models.torch.module import torch_module

_TELL = "_tell"


class TorchRuntime:
    """PyTorch on the CPU with the source and the weights of files, which are run as they are.

    Values between are those of the variables of `forward`, which tells them after each assignment.

    Attributes:
        name: the library and its version.
        values: names of the values that it tells.

    Args:
        path: the source.
        graph: the net that it was written from.
        training: whether that was planned in the phase TRAIN.
    """

    def __init__(self, path: Path, graph: Graph, *, training: bool = False) -> None:
        self.name = f"PyTorch {torch.__version__}"
        self._inputs = graph.inputs
        self._found: dict[str, Any] = {}
        self._wanted: frozenset[str] = frozenset()
        written = torch_module(graph, training=training)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        telling = _Telling(written.name, written.assigned)
        namespace: dict[str, Any] = {"__name__": path.stem, "__file__": str(path), _TELL: self._keep}
        code = compile(ast.fix_missing_locations(telling.visit(tree)), str(path), "exec")
        exec(code, namespace)  # noqa: S102 - it has been written here
        # NumPy has the values, whatever the default device.
        with torch.device("cpu"):
            self._net = namespace["load"]() if written.tensors else namespace[written.name]()
        self.values = frozenset(telling.told).union(graph.outputs)

    def compute(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Return some values, given those of the inputs; recurrent layers start from a state of 0."""
        for module in self._net.modules():
            for name in module._non_persistent_buffers_set:
                module.get_buffer(name).zero_()
        self._wanted, self._found = frozenset(names), {}
        with torch.device("cpu"), torch.no_grad():
            outputs = self._net(*(torch.tensor(np.asarray(inputs[name], np.float32)) for name in self._inputs))
        found = {**self._found, **outputs}
        self._found = {}
        return {name: found[name].detach().numpy() for name in names}

    def _keep(self, name: str, value: Any) -> None:
        if name in self._wanted:
            self._found[name] = value


class _Telling(ast.NodeTransformer):
    """Adds to the `forward` of a class a call after each assignment, which tells the values of its targets.

    Attributes:
        told: names of the values.

    Args:
        name: the class.
        assigned: names of the values of each assignment.
    """

    def __init__(self, name: str, assigned: Sequence[tuple[str, ...]]) -> None:
        self.told: list[str] = []
        self._name = name
        self._assigned = assigned

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """Change the method of the one class."""
        if node.name == self._name:
            node.body = [
                self._telling(statement)
                if isinstance(statement, ast.FunctionDef) and statement.name == "forward"
                else statement
                for statement in node.body
            ]
        return node

    def _telling(self, function: ast.FunctionDef) -> ast.FunctionDef:
        left = list(self._assigned)
        body: list[ast.stmt] = []
        for statement in function.body:
            body.append(statement)
            if isinstance(statement, ast.Assign):
                (target,) = statement.targets
                variables = target.elts if isinstance(target, ast.Tuple) else [target]
                for value, variable in zip(left.pop(0), variables, strict=True):
                    arguments: list[ast.expr] = [ast.Constant(value), ast.Name(ast.unparse(variable), ast.Load())]
                    body.append(ast.Expr(ast.Call(ast.Name(_TELL, ast.Load()), arguments, [])))
                    self.told.append(value)
        function.body = body
        return function
