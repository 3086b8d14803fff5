"""OpenCV loads our prototxt with our .caffemodel and computes what NumPy computes from the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filler_server.layouts.layers import definitions
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from filler_server.weights.formats.caffemodel import CaffemodelWriter
from tests.weights.files import announced
from tests.weights.forward import forward

cv2 = pytest.importorskip("cv2")

BATCH_NORM = """
name: "batch_norm"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 16, 16] } } }
layer {
  name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 bias_term: false }
}
layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "conv1" batch_norm_param { use_global_stats: true } }
layer { name: "scale1" type: "Scale" bottom: "conv1" top: "conv1" scale_param { bias_term: true } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { kernel_size: 2 stride: 2 } }
layer {
  name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 6 kernel_size: 3 }
}
layer {
  name: "bn2" type: "BatchNorm" bottom: "conv2" top: "bn2"
  batch_norm_param { use_global_stats: true eps: 0.001 }
}
layer { name: "ip" type: "InnerProduct" bottom: "bn2" top: "ip" inner_product_param { num_output: 5 } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


def values(name: str, layer_type: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Weights under which activations keep their size from layer to layer."""
    index = int(name[-1])
    normal = rng.standard_normal(shape, np.float32)
    if layer_type == "BatchNorm":
        # Mean and variance as sums over 50 batches, and that number.
        return [normal * 50, 50 * (normal**2 + 0.5), np.full(shape, 50, np.float32)][index]
    if layer_type == "Scale":
        return normal if index else normal + 2
    return normal * 0.1 if index else normal * np.float32(np.sqrt(2 / np.prod(shape[1:])))


@pytest.mark.parametrize(
    ("net", "logits", "images", "dtype"),
    [
        ("lenet.prototxt", "ip2", 8, np.dtype(np.float32)),
        ("lenet.prototxt", "ip2", 8, np.dtype(np.float16)),
        ("caffenet_deploy.prototxt", "fc8", 1, np.dtype(np.float32)),
        (BATCH_NORM, "ip", 2, np.dtype(np.float32)),
        (BATCH_NORM, "ip", 2, np.dtype(np.float16)),
    ],
    ids=["LeNet", "LeNet in float16", "CaffeNet", "BatchNorm", "BatchNorm in float16"],
)
def test_opencv_computes_what_numpy_computes(
    nets: Path, tmp_path: Path, net: str, logits: str, images: int, dtype: np.dtype[Any]
) -> None:
    text = (nets / net).read_bytes() if net.endswith(".prototxt") else net.encode()
    plan = plan_net(read_net(text))
    rng = np.random.default_rng(1701)
    weights = {
        blob.name: values(blob.name, layer.type, blob.shape, rng).astype(dtype)  # type: ignore[arg-type]
        for layer in plan.layers
        for blob in layer.blobs
    }
    headers = [announced(name, array.shape, array.dtype) for name, array in weights.items()]
    described = definitions(plan.name, plan.layers)
    with CaffemodelWriter(tmp_path / "w.caffemodel", headers, net=described) as writer:
        for array in weights.values():
            writer.write(array.data)
    (tmp_path / "deploy.prototxt").write_bytes(text)
    loaded = cv2.dnn.readNetFromCaffe(str(tmp_path / "deploy.prototxt"), str(tmp_path / "w.caffemodel"))
    data = rng.standard_normal((images, *plan.layers[0].tops[0].shape[1:]), np.float32)  # type: ignore[index, misc]
    want = forward(described, {name: array.astype(np.float32) for name, array in weights.items()}, data)
    loaded.setInput(data)
    got = loaded.forward([logits, "prob"])
    assert np.ptp(want[logits]) > 1
    assert np.abs(got[0] - want[logits]).max() < 1e-4 * np.abs(want[logits]).max()
    np.testing.assert_allclose(got[1], want["prob"], atol=1e-5)
    # Only these weights give this result.
    assert np.abs(got[0] - want[logits][:, ::-1]).max() > 0.5
