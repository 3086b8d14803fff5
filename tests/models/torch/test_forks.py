"""Layers of forks against the reference evaluator."""

import numpy as np
import pytest

from caffe_filler.errors import NetError
from filler_server.models.graph import graph
from filler_server.tensors import Tensor, constant
from tests.models.torch.running import compare, graph_of, load_net, planned, torch
from tests.models.torch.test_traps import given, image, layer

pytestmark = pytest.mark.frameworks

from filler_server.models.torch import torch_module  # noqa: E402

NETS = {
    "Permute": image("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"),
    "CCCP": image("CCCP", "cccp_param { num_output: 2 group: 3 }"),
    "ChannelNorm": image("ChannelNorm"),
    "BroadcastMul": given("x", 2, 3, 4, 5) + given("a", 2, 3, 1, 1) + layer("BroadcastMul", "", "a x"),
    "Normalize of a face": image("Normalize", "normalize_param { }", tops="y norm"),
    "Normalize of a face by sums": image("Normalize", 'normalize_param { normalize_type: "L1" }'),
    "Flip": image("Flip", "flip_param { flip_width: true flip_height: true }"),
    "ShuffleChannel": image("ShuffleChannel", "shuffle_channel_param { group: 3 }"),
    "ReLU6": image("Power", "power_param { scale: 9 }", tops="z") + layer("ReLU6", "", "z", name="r"),
    "Normalize": image("Normalize", "norm_param { across_spatial: false channel_shared: false eps: 0.1 }"),
    "Normalize of all": image("Normalize", "norm_param { across_spatial: true }"),
    "ConvolutionDepthwise": image(
        "ConvolutionDepthwise", "convolution_param { num_output: 6 kernel_size: 3 stride: 2 pad: 1 dilation: 1 }"
    ),
    "DepthwiseConvolution": image(
        "DepthwiseConvolution", "convolution_param { num_output: 12 kernel_size: 3 group: 6 bias_term: false }"
    ),
    "BN of PSPNet": image("BN", "bn_param { frozen: true eps: 0.01 momentum: 0.95 }"),
    "BN of SegNet": image("BN", "bn_param { bn_mode: INFERENCE }"),
    "BN of SegNet by the batch": image("BN", "bn_param { bn_mode: LEARN }"),
    "Interp": image("Interp", "interp_param { height: 13 width: 4 }"),
    "Interp with a crop": image("Interp", "interp_param { zoom_factor: 2 pad_beg: -1 pad_end: -2 }"),
    "Interp to one": image("Interp", "interp_param { height: 1 width: 1 }"),
    "Upsample": image("Upsample", "upsample_param { scale: 3 }"),
    "Reorg": image("Reorg", "reorg_param { stride: 2 }", (2, 8, 6, 4)),
    "Reorg back": image("Reorg", "reorg_param { stride: 2 reverse: true }", (2, 8, 3, 2)),
    "Upsample with a mask": image("Pooling", "pooling_param { kernel_size: 2 stride: 1 }", tops="p mask")
    + layer("Upsample", "upsample_param { upsample_h: 9 upsample_w: 7 }", "p mask", name="u"),
    "Axpy": given("a", 2, 3, 1, 1) + given("x", 2, 3, 4, 5) + given("z", 2, 3, 4, 5) + layer("Axpy", "", "a x z"),
    "PriorBox": given("x", 1, 2, 3, 4)
    + given("data", 1, 3, 30, 50)
    + layer(
        "PriorBox",
        "prior_box_param { min_size: 10 max_size: 20 aspect_ratio: 2 aspect_ratio: 3 flip: true clip: true "
        "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }",
        "x data",
    ),
    "PriorBox with steps": given("x", 1, 2, 3, 4)
    + given("data", 1, 3, 30, 50)
    + layer(
        "PriorBox",
        "prior_box_param { min_size: 10 min_size: 12 step_h: 7 step_w: 9 offset: 0.25 img_h: 40 img_w: 60 }",
        "x data",
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_it_computes_the_same(name: str) -> None:
    compare(NETS[name])


REGIONS = np.array(
    [[0, 0, 0, 40, 30], [1, 5, 3, 9.5, 22.5], [1, 20, 20, 10, 10], [0, -5, -9, 200, 90], [1, 62, 40, 90, 99]],
    np.float64,
)


def test_pooling_of_regions() -> None:
    net = given("x", 2, 5, 12, 16) + given("regions", 5, 5)
    parameters = "roi_pooling_param { pooled_h: 3 pooled_w: 4 spatial_scale: 0.25 }"
    compare(net + layer("ROIPooling", parameters, "x regions"), regions=REGIONS)
    net = given("x", 2, 18, 12, 16) + given("regions", 5, 5)
    parameters = "psroi_pooling_param { output_dim: 2 group_size: 3 spatial_scale: 0.25 }"
    compare(net + layer("PSROIPooling", parameters, "x regions"), regions=REGIONS)


@pytest.mark.parametrize("extent", [1, 2, 3, 7, 8, 9])
def test_the_largest_of_every_range(extent: int) -> None:
    rows = [
        [0, x, y, x + width, y + height]
        for x in range(extent)
        for y in range(2)
        for width in range(extent)
        for height in range(2)
    ]
    regions = np.array(rows, np.float64)
    net = given("x", 1, 1, 2, extent) + given("regions", *regions.shape)
    parameters = "roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 1 }"
    compare(net + layer("ROIPooling", parameters, "x regions"), regions=regions)


def detections(parameters: str, priors: int = 12, classes: int = 3, images: int = 2, shared: bool = True) -> None:
    rng = np.random.default_rng(5)
    corners = np.sort(rng.random((2, priors, 2)), axis=0).transpose(1, 0, 2).reshape(-1)
    boxes = np.stack([corners, np.full(priors * 4, 0.5)])[None]
    scores = rng.random((images, priors, classes)).round(1)
    location = priors * 4 * (1 if shared else classes)
    net = given("loc", images, location) + given("conf", images, priors * classes) + given("priors", 1, 2, priors * 4)
    text = f"detection_output_param {{ num_classes: {classes} {parameters} }}"
    values = {"loc": 0.3 * rng.standard_normal((images, location)), "conf": scores.reshape(images, -1), "priors": boxes}
    compare(net + layer("DetectionOutput", text, "loc conf priors"), **values)


NMS = "nms_param { nms_threshold: 0.3 %s }"


@pytest.mark.parametrize("code", ["CORNER", "CENTER_SIZE", "CORNER_SIZE"])
@pytest.mark.parametrize(
    "parameters",
    [
        NMS % "",
        NMS % "top_k: 5" + " confidence_threshold: 0.4",
        NMS % "top_k: 8" + " keep_top_k: 3",
        NMS % "" + " keep_top_k: 0",
        NMS % "" + " confidence_threshold: 2",
        "nms_param { nms_threshold: 0.9 eta: 0.7 } background_label_id: 1",
        NMS % "" + " background_label_id: -1 variance_encoded_in_target: true share_location: false",
    ],
)
def test_detection_output(code: str, parameters: str) -> None:
    detections(f"code_type: {code} {parameters}", shared="share_location: false" not in parameters)


def test_detections_of_one_image_alone() -> None:
    detections(NMS % "", priors=1, classes=2, images=1)


@pytest.mark.parametrize(
    "parameters",
    [
        "code_type: CENTER_SIZE",
        "code_type: CORNER_SIZE loc_loss_type: L2 conf_loss_type: LOGISTIC loc_weight: 2 neg_pos_ratio: 1",
        "code_type: CORNER mining_type: NONE share_location: false overlap_threshold: 0.1",
        "code_type: CORNER match_type: BIPARTITE encode_variance_in_target: true use_difficult_gt: false",
    ],
)
@pytest.mark.parametrize("normalization", ["FULL", "VALID", "BATCH_SIZE", "NONE"])
def test_multi_box_loss(parameters: str, normalization: str) -> None:
    rng = np.random.default_rng(7)
    corners = np.sort(rng.random((2, 9, 2)), axis=0).transpose(1, 0, 2).reshape(9, 4)
    priors = np.stack([corners.reshape(-1), np.full(36, 0.5)])[None]
    truth = np.array([[0, 1, 0, *corners[2], 0], [0, 2, 0, *(corners[4] * 0.9), 1], [1, 2, 0, *corners[4], 0]])
    truth = np.concatenate([truth, np.full((1, 8), -1.0)])[None, None]
    classes = 1 if "share_location: false" not in parameters else 3
    net = given("loc", 3, 36 * classes) + given("conf", 3, 27) + given("priors", 1, 2, 36) + given("truth", 1, 1, 4, 8)
    text = f"multibox_loss_param {{ num_classes: 3 {parameters} }} loss_param {{ normalization: {normalization} }}"
    compare(net + layer("MultiBoxLoss", text, "loc conf priors truth"), priors=priors, truth=truth)


def test_other_ways_to_choose_priors_are_refused() -> None:
    net = given("loc", 1, 36) + given("conf", 1, 27) + given("priors", 1, 2, 36) + given("truth", 1, 1, 4, 8)
    parameters = "multibox_loss_param { num_classes: 3 mining_type: HARD_EXAMPLE background_label_id: 1 }"
    with pytest.raises(NetError, match="mining by hard examples or after suppression, another background than class 0"):
        torch_module(graph_of(net + layer("MultiBoxLoss", parameters, "loc conf priors truth")))


def test_proposal() -> None:
    net = given("scores", 2, 4, 3, 5) + given("offsets", 2, 8, 3, 5) + given("info", 2, 4)
    parameters = (
        "proposal_param { feat_stride: 8 base_size: 8 min_size: 4 ratio: 0.5 ratio: 2 scale: 16 "
        "pre_nms_topn: 20 post_nms_topn: 6 nms_thresh: 0.5 }"
    )
    compare(
        net + layer("Proposal", parameters, "scores offsets info", "regions chances"),
        scores=np.random.default_rng(6).random((2, 4, 3, 5)),
        info=np.array([[24.0, 40.0, 1.0, 1.0]] * 2),
    )


def blob(shape: tuple[int, ...]) -> Tensor:
    return constant("", shape, np.dtype(np.float32), 0)


def test_a_dropout_that_is_random_in_test() -> None:
    net = given("x", 2, 3) + layer("Dropout", "dropout_param { sample_weights_test: true }")
    for phase in ("TEST", "TRAIN"):
        with pytest.raises(NetError, match="draws random numbers in both phases"):
            torch_module(graph_of(net, phase))


def test_what_has_no_counterpart_is_refused_at_once() -> None:
    net = (
        given("x", 1, 3, 8, 8)
        + layer("ReLU", "", "x", "r", name="r")
        + layer("Python", 'python_param { module: "m" layer: "L" }', "r", "p", name="python")
        + layer(
            "Correlation", "correlation_param { kernel_size: 1 max_displacement: 1 }", "r r", "c", name="correlation"
        )
        + layer("TanH", "", "c", "t", name="t")
        + layer("InnerProduct", "inner_product_param { num_output: 2 }", "p", "i", name="i")
    )
    plan = planned(net)
    with pytest.raises(NetError) as caught:
        torch_module(graph(plan, {"i/0": blob((2, 5)), "i/1": blob((2,))}))
    message = str(caught.value)
    assert "PyTorch has no counterpart of 2 layers" in message
    assert "layer 'python' (Python, line 3): it is code of its own, 'L' of the module 'm'" in message
    assert "layer 'correlation' (Correlation, line 4): no module is known that computes Correlation" in message
    assert "tops=['r'] stops before that" in message


def test_a_net_with_priors_is_of_one_size() -> None:
    module = load_net(NETS["Interp"])
    assert module(torch.zeros(7, 6, 9, 7))["y"].shape == (7, 6, 13, 4)
    with pytest.raises(ValueError, match="input 'x' has the shape"):
        module(torch.zeros(7, 6, 9, 8))
