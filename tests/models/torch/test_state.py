"""The state_dict of a written net: names and shapes of `--names torch`, and values that layers share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from filler_client import open_weights, save_weights
from filler_client._weights import convert
from filler_server.layouts.torch import to_torch
from filler_server.tensors import ArrayTensor
from tests.models.torch.running import compare, graph_of, load_net, planned, random_weights, torch
from tests.models.torch.test_traps import given, image, layer

pytestmark = pytest.mark.frameworks

from filler_server.models.torch import torch_module  # noqa: E402

NETS = [
    "alexnet_deploy",
    "googlenet_deploy",
    "in_place",
    "lenet",
    "mobilenet_v1",
    "resnet50",
    "prelu",
    "scale",
    "bias",
    "parameter",
    "siamese_mnist",
    "shared_three_ways",
    "char_rnn",
    "embed",
    "fcn32s",
]


def inputs_of(net: str) -> dict[str, tuple[int, ...]]:
    return {"siamese_mnist": {"pair_data": (4, 2, 28, 28), "sim": (4,)}}.get(net, {})


@pytest.mark.parametrize("name", NETS)
def test_names_and_shapes_are_those_of_the_layout(nets: Path, name: str) -> None:
    plan = planned(nets / f"{name}.prototxt", inputs=inputs_of(name))
    weights = random_weights(plan)
    module = load_net(nets / f"{name}.prototxt", weights, inputs=inputs_of(name))
    every = [ArrayTensor(blob.name, weights[blob.name]) for blob in plan.blobs]
    want = {tensor.name: tensor.array() for tensor in to_torch(plan.layers, every).tensors}
    state = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert set(state) == set(want)
    for key, value in state.items():
        assert value.shape == want[key].shape, key
        np.testing.assert_array_equal(value.numpy(), want[key], err_msg=key)


def test_files_with_the_names_of_pytorch_load(nets: Path, tmp_path: Path) -> None:
    net = nets / "googlenet_deploy.prototxt"
    weights = random_weights(planned(net))
    save_weights(weights, tmp_path / "net.npz")
    convert(tmp_path / "net.npz", tmp_path / "net.pt", names="torch", net=net)
    module = load_net(net, {name: np.zeros_like(array) for name, array in weights.items()})
    module.load_state_dict(torch.load(tmp_path / "net.pt"), strict=True)
    want = load_net(net, tmp_path / "net.npz").state_dict()
    assert list(want) == list(module.state_dict())
    assert all(torch.equal(value, want[key]) for key, value in module.state_dict().items())
    assert "inception_3a/1x1.weight" in want
    with open_weights(tmp_path / "net.pt") as file:
        assert {tensor.name for tensor in file.tensors} == set(want)


def test_names_survive_a_prefix_and_a_wrong_entry_is_told() -> None:
    net = load_net(
        given("x", 2, 3) + layer("InnerProduct", "inner_product_param { num_output: 2 }", name="a/b"),
        {"a/b/0": np.ones((2, 3), np.float32), "a/b/1": np.ones(2, np.float32)},
    )
    outer = torch.nn.Sequential(net)
    assert list(outer.state_dict()) == ["0.a/b.weight", "0.a/b.bias"]
    outer.load_state_dict({key: 0 * value for key, value in outer.state_dict().items()})
    assert not net.state_dict()["a/b.weight"].any()
    with pytest.raises(RuntimeError, match="Unexpected key"):
        net.load_state_dict({**net.state_dict(), "b.weight": torch.ones(1)})
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict({})


INNER = "inner_product_param { num_output: %d %s }"
SHARED = (
    given("x", 2, 6)
    + layer("InnerProduct", 'param { name: "w" } param { name: "b" } ' + INNER % (4, ""), "x", "a", name="enc/1")
    + layer("InnerProduct", 'param { name: "w" } ' + INNER % (6, "transpose: true"), "a", "b", name="dec")
    + layer("InnerProduct", 'param { name: "w" } param { name: "b" } ' + INNER % (4, ""), "b", "c", name="enc2")
    + layer("InnerProduct", 'param { name: "w" } param { name: "b2" } ' + INNER % (4, ""), "b", "d", name="enc3")
    + layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } }", "b", "image", name="r")
    + layer(
        "Convolution",
        'param { name: "w" share_mode: PERMISSIVE } '
        "convolution_param { num_output: 4 kernel_size: 1 bias_term: false }",
        "image",
        "e",
        name="conv",
    )
)


def test_values_that_layers_share() -> None:
    module = compare(SHARED)
    written = torch_module(graph_of(SHARED))
    assert [tensor.name for tensor in written.tensors] == ["enc/1.weight", "enc/1.bias", "dec.bias", "enc3.bias"]
    assert written.shared == {
        "enc2.weight": "enc/1.weight",
        "enc2.bias": "enc/1.bias",
        "enc3.weight": "enc/1.weight",
    }
    state = module.state_dict()
    assert set(state) == {
        *("enc/1.weight", "enc/1.bias", "dec.weight", "dec.bias", "enc2.weight", "enc2.bias"),
        *("enc3.weight", "enc3.bias", "conv.weight"),
    }
    assert torch.equal(state["dec.weight"], state["enc/1.weight"].t())
    assert state["conv.weight"].shape == (4, 6, 1, 1)
    assert [name for name, _ in module.named_parameters()] == ["enc_1.weight", "enc_1.bias", "dec.bias", "enc3.bias"]
    # Entries that hold the values of others may be there or not.
    other = {key: 2 * value for key, value in state.items()}
    once = {key: value for key, value in other.items() if key in {tensor.name for tensor in written.tensors}}
    for given_state in (other, once):
        module.load_state_dict({key: 0 * value for key, value in state.items()})
        module.load_state_dict(given_state)
        assert all(torch.equal(value, other[key]) for key, value in module.state_dict().items())


def test_shared_values_have_the_gradients_of_all_layers() -> None:
    module = load_net(SHARED, random_weights(planned(SHARED))).double()
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(1)).double()
    sum(output.sum() for output in module(x).values()).backward()
    weight, bias, other, last = (parameter.detach().clone() for parameter in module.parameters())
    slope = module.get_parameter("enc_1.weight").grad

    def total(weight: Any) -> Any:
        a = x @ weight.T + bias
        b = a @ weight + other
        return (b @ weight.T + bias).sum() + (b @ weight.T + last).sum() + (b @ weight.T).sum()

    weight.requires_grad_()
    total(weight).backward()
    torch.testing.assert_close(slope, weight.grad)


def batch_norms(first: str, second: str) -> str:
    names = 'param { name: "m" lr_mult: 0 } param { name: "v" lr_mult: 0 } param { name: "f" lr_mult: 0 }'
    return (
        image("BatchNorm", f"{names} {first}", tops="a")
        + layer("Scale", 'param { name: "s" } param { name: "t" } scale_param { bias_term: true }', "a", "b", name="s")
        + layer("BatchNorm", f"{names} {second}", "x", "c", name="again")
        + layer("Scale", 'param { name: "s" } param { name: "t" } scale_param { bias_term: true }', "c", "d", name="t")
    )


def test_shared_normalizations_are_one_module() -> None:
    module = compare(batch_norms("", ""))
    assert module.l is module.again
    apart = compare(batch_norms("", "batch_norm_param { eps: 0.5 }"))
    assert apart.l is not apart.again
    assert apart.l.weight is apart.again.weight


def test_weights_of_half_precision_become_parameters_of_single() -> None:
    net = given("x", 2, 3) + layer("InnerProduct", INNER % (2, ""))
    halves: dict[str, NDArray[Any]] = {"l/0": np.full((2, 3), 1.5, np.float16), "l/1": np.zeros(2, np.float16)}
    module = load_net(net, halves)
    assert module(torch.ones(1, 3))["y"].tolist() == [[4.5, 4.5]]
    assert module.l.weight.dtype == torch.float32
