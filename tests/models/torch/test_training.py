"""Nets of the phase TRAIN, trained further."""

import numpy as np
import pytest

from filler_client import NetError
from tests.models.torch.running import compare, graph_of, load_net, planned, random_weights, torch
from tests.models.torch.test_traps import given, image, layer

pytestmark = pytest.mark.frameworks

from filler_server.models.torch import torch_module  # noqa: E402

NET = (
    given("data", 4, 3, 6, 6)
    + given("label", 4)
    + layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", "data", "c", name="conv")
    + layer("BatchNorm", "", "c", "c", name="bn")
    + layer("Scale", "", "c", "c", name="scale")
    + layer("ReLU", "", "c", "c", name="relu")
    + layer("Dropout", "dropout_param { dropout_ratio: 0.4 }", "c", "c", name="drop")
    + layer("InnerProduct", "inner_product_param { num_output: 5 }", "c", "score", name="score")
    + layer("SoftmaxWithLoss", "loss_weight: 0.5", "score label", "loss", name="loss")
    + layer("Reduction", "loss_weight: 0.25", "score", "sum", name="sum")
)
LABEL = torch.tensor([0, 1, 2, 4])


def data() -> "torch.Tensor":
    return torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_dropout_and_statistics_of_the_batch_are_those_of_the_phase() -> None:
    weights = random_weights(planned(NET, "TRAIN"))
    net = load_net(NET, weights, phase="train")
    assert net.training
    torch.manual_seed(1)
    first, second = (net(data(), LABEL)["loss"].item() for _ in range(2))
    assert first != second
    test = load_net(NET, weights)
    assert not test.training
    assert test(data(), LABEL)["loss"].item() == test(data(), LABEL)["loss"].item()
    test.train()
    assert test.bn.training


def test_the_loss_is_the_sum_by_weights_and_falls() -> None:
    net = load_net(NET, random_weights(planned(NET, "TRAIN")), phase="TRAIN")
    outputs = net(data(), LABEL)
    torch.testing.assert_close(net.loss(outputs), 0.5 * outputs["loss"] + 0.25 * outputs["sum"])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = net.loss(net(data(), LABEL))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_a_scale_without_a_bias_gets_none_by_training() -> None:
    net = load_net(NET, random_weights(planned(NET, "TRAIN")), phase="TRAIN")
    assert [name for name, parameter in net.named_parameters() if not parameter.requires_grad] == ["bn.bias"]
    with_bias = NET.replace(
        'type: "Scale" bottom: "c" top: "c"', 'type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true }'
    )
    net = load_net(with_bias, random_weights(planned(with_bias, "TRAIN")), phase="TRAIN")
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_batch_statistics_are_those_of_caffe() -> None:
    compare(image("BatchNorm"), training=True)
    compare(image("BatchNorm", "batch_norm_param { use_global_stats: true }"), training=True)
    compare(image("BN", "bn_param { frozen: true }"), training=True)


def test_running_statistics_follow_caffes_once_its_factor_is_at_its_limit() -> None:
    net = image("BatchNorm", "batch_norm_param { moving_average_fraction: 0.9 }", (8, 2, 3, 3))
    mean, variance = np.array([1.0, -2.0]), np.array([3.0, 0.5])
    factor = 1 / (1 - 0.9)
    blobs = {"l/0": mean * factor, "l/1": variance * factor, "l/2": np.array([factor])}
    module = load_net(net, {name: value.astype(np.float32) for name, value in blobs.items()}, phase="TRAIN")
    x = torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(2))
    module(x)
    values = x.numpy().transpose(1, 0, 2, 3).reshape(2, -1).astype(np.float64)
    after = factor * 0.9 + 1
    want_mean = (blobs["l/0"] * 0.9 + values.mean(1)) / after
    want_variance = (blobs["l/1"] * 0.9 + values.var(1, ddof=1)) / after
    np.testing.assert_allclose(module.l.running_mean, want_mean, rtol=1e-5)
    np.testing.assert_allclose(module.l.running_var, want_variance, rtol=1e-5)
    assert (
        "grows from 0 to 10; only from there on PyTorch's are the same"
        in torch_module(graph_of(net, "TRAIN"), training=True).source()
    )


def test_running_statistics_of_one_value_have_its_variance_of_0() -> None:
    net = image("BatchNorm", "batch_norm_param { moving_average_fraction: 0.9 use_global_stats: false }", (1, 2))
    blobs = {"l/0": np.float32([1, 2]), "l/1": np.float32([3, 4]), "l/2": np.float32([1])}
    module = load_net(net, blobs)
    assert module(torch.tensor([[5.0, 7.0]]))["y"].tolist() == [[0, 0]]
    np.testing.assert_allclose(module.l.running_mean, [0.9 * 1 + 0.1 * 5, 0.9 * 2 + 0.1 * 7], rtol=1e-6)
    np.testing.assert_allclose(module.l.running_var, [0.9 * 3, 0.9 * 4], rtol=1e-6)


def test_frozen_statistics_stay_so() -> None:
    net = image("BatchNorm", "batch_norm_param { use_global_stats: true }")
    module = load_net(net, random_weights(planned(net)), phase="TRAIN")
    before = module.l.running_mean.clone()
    module(torch.randn(2, 6, 9, 7))
    assert not module.train().l.training
    assert torch.equal(module.l.running_mean, before)


def test_the_second_bias_of_an_lstm_is_not_trained() -> None:
    net = given("x", 3, 2, 4) + given("cont", 3, 2) + layer("LSTM", "recurrent_param { num_output: 5 }", "x cont")
    module = load_net(net, random_weights(planned(net)), phase="TRAIN")
    assert [name for name, value in module.named_parameters() if not value.requires_grad] == ["l.bias_hh_l0"]


def test_values_that_cannot_be_shared_in_training_are_refused() -> None:
    names = 'param { name: "m" lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }'
    net = image("BatchNorm", names, tops="a") + layer("BatchNorm", names, "x", "b", name="again")
    compare(net)
    with pytest.raises(NetError, match=r"layer 'again' \(BatchNorm.*shares some of its blobs"):
        torch_module(graph_of(net, "TRAIN"), training=True)
