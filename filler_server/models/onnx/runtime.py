"""ONNX Runtime, as one that computes an exported model."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

_ERRORS_ONLY = 3


class OnnxRuntime:
    """ONNX Runtime on the CPU with a model of a file.

    Outputs are computed from the file as it is; values between from a copy of the model that has them as outputs, too.

    Attributes:
        name: what it is, with its version.
        values: names of the values that it tells.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"ONNX Runtime {onnxruntime.__version__}"
        self._path = path
        self._session = _session(str(path))
        self._outputs = frozenset(output.name for output in self._session.get_outputs())
        graph = onnx.load(path, load_external_data=False).graph
        between = {value.name for value in graph.value_info}
        self.values = frozenset(name for node in graph.node for name in node.output if name in between | self._outputs)

    def compute(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
        """Return some values, given those of the inputs."""
        wanted = {entry.name: np.asarray(inputs[entry.name], np.float32) for entry in self._session.get_inputs()}
        outputs = [name for name in names if name in self._outputs]
        between = [name for name in names if name not in self._outputs]
        found = dict(zip(outputs, self._session.run(outputs, wanted), strict=True)) if outputs else {}
        if between:
            found.update(self._between(between, wanted))
        return found

    def _between(self, names: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        model = onnx.load(self._path, load_external_data=False)
        types = {value.name: value for value in model.graph.value_info}
        model.graph.output.extend(types[name] for name in names)
        if not any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
            session = _session(model.SerializeToString())
            return dict(zip(names, session.run(list(names), dict(inputs)), strict=True))
        # Its tensors are found beside it.
        beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.part")
        try:
            beside.write_bytes(model.SerializeToString())
            session = _session(str(beside))
            return dict(zip(names, session.run(list(names), dict(inputs)), strict=True))
        finally:
            beside.unlink(missing_ok=True)


def _session(model: str | bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
