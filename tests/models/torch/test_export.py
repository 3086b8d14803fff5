"""torch.export and torch.compile take written nets."""

from pathlib import Path

import numpy as np
import pytest

from tests.models.torch.running import graph_of, load_net, planned, random_inputs, random_weights, torch
from tests.models.torch.test_forks import NETS as FORKS
from tests.models.torch.test_forks import NMS, REGIONS
from tests.models.torch.test_state import SHARED
from tests.models.torch.test_traps import NETS, given, layer

pytestmark = pytest.mark.frameworks

LSTM = given("x", 3, 2, 4) + given("cont", 3, 2) + layer("LSTM", "recurrent_param { num_output: 5 }", "x cont")
SSD = (
    given("loc", 1, 48)
    + given("conf", 1, 36)
    + given("priors", 1, 2, 48)
    + layer(
        "DetectionOutput", f"detection_output_param {{ num_classes: 3 {NMS % ''} keep_top_k: 4 }}", "loc conf priors"
    )
)
ROI = (
    given("x", 2, 5, 12, 16)
    + given("regions", 5, 5)
    + layer("ROIPooling", "roi_pooling_param { pooled_h: 3 pooled_w: 4 spatial_scale: 0.25 }", "x regions")
)
CASES = {
    "LSTM": LSTM,
    "detections": SSD,
    "regions": ROI,
    "shared values": SHARED,
    "priors": FORKS["PriorBox"],
    "normalization": NETS["BatchNorm and Scale in place"],
    "much padding": NETS["much padding, mask"],
}


def example(net: str) -> tuple["torch.Tensor", ...]:
    values = random_inputs(graph_of(net))
    values.update({name: abs(value) for name, value in values.items() if name in ("cont", "priors")})
    values.update({name: np.abs(REGIONS) for name in values if name == "regions"})
    return tuple(torch.tensor(value, dtype=torch.float32) for value in values.values())


@pytest.mark.parametrize("name", CASES)
def test_export(name: str) -> None:
    net = CASES[name]
    weights = random_weights(planned(net))
    inputs = example(net)
    exported = torch.export.export(load_net(net, weights), inputs).module()
    want = load_net(net, weights)(*inputs)
    got = exported(*inputs)
    assert list(got) == list(want)
    for top, value in want.items():
        torch.testing.assert_close(got[top], value)


@pytest.mark.parametrize("name", CASES)
def test_compile(name: str) -> None:
    net = CASES[name]
    weights = random_weights(planned(net))
    inputs = example(net)
    want = load_net(net, weights)(*inputs)
    torch._dynamo.reset()
    got = torch.compile(load_net(net, weights), backend="eager")(*inputs)
    for top, value in want.items():
        torch.testing.assert_close(got[top], value)


@pytest.mark.parametrize("name", ["lenet", "googlenet_deploy", "resnet50"])
def test_whole_nets_with_a_batch_of_any_size(nets: Path, name: str) -> None:
    file = nets / f"{name}.prototxt"
    plan = planned(file)
    net = load_net(file, random_weights(plan))
    shape = plan.top(plan.inputs[0]).shape
    batch = {"data": {0: torch.export.Dim("batch", min=1, max=64)}}
    exported = torch.export.export(net, (torch.zeros(2, *shape[1:]),), dynamic_shapes=batch).module()
    x = torch.randn(3, *shape[1:])
    for top, value in net(x).items():
        torch.testing.assert_close(exported(x)[top], value)
