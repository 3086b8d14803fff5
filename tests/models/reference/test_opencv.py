"""The reference evaluator against OpenCV, which reads prototxt and .caffemodel itself."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import FillerClient, run, save_weights
from tests.models.nets import inputs
from tests.models.reference.small import normal

LAYERS = [
    ('type: "Pooling" pooling_param { kernel_size: 3 stride: 2 }', (1, 2, 11, 13)),
    ('type: "Pooling" pooling_param { pool: AVE kernel_size: 3 stride: 2 }', (1, 2, 11, 13)),
    ('type: "Pooling" pooling_param { kernel_size: 3 stride: 2 pad: 1 }', (2, 3, 8, 8)),
    ('type: "Pooling" pooling_param { pool: AVE global_pooling: true }', (2, 3, 6, 5)),
    ('type: "LRN" lrn_param { local_size: 3 alpha: 2 beta: 0.75 }', (1, 7, 4, 5)),
    ('type: "LRN" lrn_param { local_size: 3 alpha: 2 beta: 0.75 norm_region: WITHIN_CHANNEL }', (1, 2, 6, 5)),
    ('type: "Softmax" softmax_param { axis: 2 }', (1, 3, 4, 5)),
    ('type: "ELU" elu_param { alpha: 1 }', (2, 3)),
    ('type: "BNLL"', (2, 3)),
    ('type: "Power" power_param { power: 2 scale: 0.5 shift: 1 }', (2, 3)),
    ('type: "MVN" mvn_param { normalize_variance: false }', (2, 3, 4, 5)),
    ('type: "Permute" permute_param { order: 0 order: 2 order: 3 order: 1 }', (2, 3, 4, 5)),
    ('type: "Flatten" flatten_param { axis: 1 end_axis: 2 }', (2, 3, 4, 5)),
    ('type: "Reshape" reshape_param { shape { dim: 0 dim: -1 dim: 2 } }', (2, 3, 4, 5)),
    ('type: "ShuffleChannel" shuffle_channel_param { group: 3 }', (2, 6, 4, 5)),
    ('type: "Interp" interp_param { height: 9 width: 7 }', (1, 2, 5, 4)),
    (
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 3 group: 2 dilation: 2 pad: 2 }',
        (1, 4, 9, 8),
    ),
    ('type: "Convolution" convolution_param { num_output: 4 kernel_h: 1 kernel_w: 5 stride: 2 }', (2, 3, 9, 8)),
    ('type: "Deconvolution" convolution_param { num_output: 4 kernel_size: 4 stride: 2 pad: 1 }', (1, 3, 5, 6)),
    ('type: "InnerProduct" inner_product_param { num_output: 4 }', (2, 3, 2, 2)),
    ('type: "PReLU" ', (2, 3, 4, 5)),
    ('type: "Scale" scale_param { bias_term: true }', (2, 3, 4, 5)),
    ('type: "BatchNorm" batch_norm_param { eps: 0.01 }', (2, 3, 4, 5)),
    ('type: "Normalize" norm_param { across_spatial: false channel_shared: false }', (1, 3, 4, 5)),
]


def filled(net: str | Path, seed: int = 1) -> dict[str, NDArray[np.float32]]:
    """Return weights under which activations keep their size, statistics as sums over 50 batches."""
    rng = np.random.default_rng(seed)
    weights = {}
    for layer in FillerClient.embedded().plan_net(net, phase="TEST").layers:
        for index, blob in enumerate(layer.blobs):
            shape = blob.known_shape or ()
            values = rng.standard_normal(shape) * np.sqrt(2 / max(np.prod(shape[1:]), 1))
            if layer.type == "BatchNorm":
                values = [50 * values, 50 * (values**2 + 0.5), np.full(shape, 50.0)][index]
            weights[blob.name] = values.astype(np.float32)
    return weights


def opencv(net: Path, weights: dict[str, Any], folder: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what OpenCV computes of the only input."""
    if weights:
        save_weights(weights, folder / "w.caffemodel", net=net)
    loaded = cv2.dnn.readNetFromCaffe(str(net), str(folder / "w.caffemodel") if weights else "")
    loaded.setInput(x)
    return np.asarray(loaded.forward())


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_layers(layer: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(inputs(x=shape) + f'layer {{ name: "l" bottom: "x" top: "y" {layer} }}')
    x = normal(*shape).astype(np.float32)
    weights = filled(net)
    got = run(net, weights or None, {"x": x})["y"]
    want = opencv(net, weights, tmp_path, x)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["coeff: 2 coeff: -0.5", "operation: MAX", "operation: PROD"])
def test_eltwise(layer: str, tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        inputs(x=(2, 3, 4, 5))
        + 'layer { name: "p" type: "Power" bottom: "x" top: "p" power_param { shift: 0.5 scale: 3 } }'
        + f'layer {{ name: "e" type: "Eltwise" bottom: "x" bottom: "p" top: "y" eltwise_param {{ {layer} }} }}'
    )
    x = normal(2, 3, 4, 5).astype(np.float32)
    np.testing.assert_allclose(run(net, inputs={"x": x})["y"], opencv(net, {}, tmp_path, x), rtol=1e-5, atol=1e-6)


def test_priors_and_detections(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        inputs(x=(1, 12, 4, 5))
        + """layer { name: "loc" type: "Slice" bottom: "x" top: "loc" top: "rest" slice_param { slice_point: 8 } }
        layer { name: "lp" type: "Permute" bottom: "loc" top: "lp"
          permute_param { order: 0 order: 2 order: 3 order: 1 } }
        layer { name: "lf" type: "Flatten" bottom: "lp" top: "lf" }
        layer { name: "cp" type: "Permute" bottom: "rest" top: "cp"
          permute_param { order: 0 order: 2 order: 3 order: 1 } }
        layer { name: "cr" type: "Reshape" bottom: "cp" top: "cr" reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
        layer { name: "cs" type: "Softmax" bottom: "cr" top: "cs" softmax_param { axis: 2 } }
        layer { name: "cf" type: "Flatten" bottom: "cs" top: "cf" }
        layer { name: "image" type: "Interp" bottom: "x" top: "image" interp_param { height: 32 width: 40 } }
        layer { name: "prior" type: "PriorBox" bottom: "x" bottom: "image" top: "prior"
          prior_box_param { min_size: 6 max_size: 12 flip: false clip: true variance: 0.1 variance: 0.1 variance: 0.2
            variance: 0.2 } }
        layer { name: "out" type: "DetectionOutput" bottom: "lf" bottom: "cf" bottom: "prior" top: "y"
          detection_output_param { num_classes: 2 share_location: true background_label_id: 0 code_type: CENTER_SIZE
            keep_top_k: 20 confidence_threshold: 0.3 nms_param { nms_threshold: 0.4 top_k: 30 } } }"""
    )
    x = normal(1, 12, 4, 5).astype(np.float32)
    got, want = run(net, inputs={"x": x})["y"], opencv(net, {}, tmp_path, x)
    assert got.shape[2] > 5
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lenet", "squeezenet_v1_1_deploy", "mobilenet_v1"])
def test_nets(name: str, nets: Path, tmp_path: Path) -> None:
    net = nets / f"{name}.prototxt"
    weights = filled(net)
    plan = FillerClient.embedded().plan_net(net, phase="TEST")
    x = normal(1, *(dim or 0 for dim in plan.top(plan.inputs[0]).shape[1:])).astype(np.float32)  # type: ignore[index]
    for dtype in ("f32", "f64"):
        got = next(iter(run(net, weights, {"data": x}, dtype=dtype).values()))
        want = opencv(net, weights, tmp_path, x)
        assert np.ptp(want) > 0
        assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()
