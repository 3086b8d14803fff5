"""Models of ONNX, checked and run as a user would."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client._models import ModelOptions, ModelWeights, open_model
from filler_client._requests import NetLike

# Whoever imports this is skipped where they are not installed.
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from filler_server.models.onnx import file as onnx_file  # noqa: E402
from filler_server.models.onnx import registry  # noqa: E402, F401
from filler_server.models.onnx.model import onnx_model  # noqa: E402

Arrays = Mapping[str, NDArray[Any]]


def exported(net: NetLike, weights: ModelWeights = None, **options: Any) -> Any:
    """A net as a model that onnx.checker and strict shape inference accept."""
    external = options.pop("external", None)
    model_options: ModelOptions = options  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, open_model(net, weights, **model_options) as model:
        path = Path(folder) / "net.onnx"
        onnx_file.save(onnx_model(model.graph), path, external=external)
        loaded = onnx.load(path)
    onnx.checker.check_model(loaded, full_check=True)
    onnx.shape_inference.infer_shapes(loaded, check_type=True, strict_mode=True, data_prop=True)
    return loaded


def run(model: Any, inputs: Arrays, tops: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """The outputs of a model, or some of them, by their names."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()] if tops is None else list(tops)
    wanted = {entry.name: np.asarray(inputs[entry.name], np.float32) for entry in session.get_inputs()}
    return dict(zip(names, session.run(names, wanted), strict=True))


def computed(net: NetLike, inputs: Arrays, weights: ModelWeights = None, **options: Any) -> dict[str, NDArray[Any]]:
    """The outputs of a net, as ONNX Runtime computes them."""
    return run(exported(net, weights, **options), inputs)
