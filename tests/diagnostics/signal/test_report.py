"""The signal as clients get it: fields, tables, what is not known and why, options."""

import json
from pathlib import Path

import pytest

from caffe_filler.errors import InvalidArgument, NetError
from filler_client import FillerClient, SignalReport
from tests.diagnostics.signal.nets import stack

NET = stack('type: "xavier"', "TanH", depth=2, width=8, batch=4)
VALUE = ["layer", "top", "mean", "variance", "mean_square", "gradient_mean_square", "zeros", "saturated"]


@pytest.fixture(scope="module")
def client() -> FillerClient:
    return FillerClient.embedded()


def named(report: SignalReport, layer: str) -> object:
    return next(value for value in report.values if value.layer == layer)


def test_json_has_the_values_in_the_order_of_the_layers(client: FillerClient) -> None:
    found = client.signal(NET).json()
    assert list(found) == ["values", "parameters"]
    assert [value["layer"] for value in found["values"]] == [
        "data", "label", "ip1", "act1", "ip2", "act2", "out", "loss"
    ]  # fmt: skip
    assert all([name for name in value if name != "mean_square_spread"] == VALUE for value in found["values"])
    assert [blob["name"] for blob in found["parameters"]] == ["ip1/0", "ip1/1", "ip2/0", "ip2/1", "out/0", "out/1"]
    assert all(list(blob) == ["name", "mean_square", "gradient_mean_square"] for blob in found["parameters"])
    json.dumps(found, allow_nan=False)
    data, label, first = found["values"][:3]
    assert (data["mean"], data["variance"], data["saturated"]) == (0, pytest.approx(1), None)
    assert (label["mean"], label["zeros"], label["gradient_mean_square"]) == (4.5, pytest.approx(0.1), 0)
    assert first["mean_square"] == pytest.approx(1)
    # By the inputs 2 / (4 samples * 8), by the weights 2 / 8 units times the mean squared cosine of two samples.
    assert first["mean_square_spread"] ** 2 == pytest.approx(2 / 32 + 2 / 8 * (1 / 4 + 3 / 4 / 8), rel=0.1)
    assert "mean_square_spread" not in found["values"][-1]


def test_the_gradient_of_a_softmax_loss(client: FillerClient) -> None:
    value = client.signal(stack('type: "constant"', "ReLU", depth=1, width=8, batch=4)).values[-2]
    # Equal probabilities: one class of ten has (0.1 - 1)^2, the others 0.1^2.
    assert value.gradient_mean_square == pytest.approx((0.9**2 + 9 * 0.1**2) / 10 / 4**2)


def test_tables_fit_80_columns_and_escape_what_does_not_print(client: FillerClient) -> None:
    report = client.signal(NET.replace("act1", "a\\033[31m<b>"))
    text = str(report)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "parameter  mean square" in text
    html = report._repr_html_()
    assert html.count("<table>") == 2
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_an_input_has_the_mean_and_the_deviation_that_are_given(client: FillerClient) -> None:
    data = client.signal(NET, mean=2, std=3).values[0]
    assert (data.mean, data.variance) == (pytest.approx(2), pytest.approx(9))
    assert client.signal(NET, std=0).values[0].variance == 0


def test_another_batch(client: FillerClient) -> None:
    few, many = (client.signal(NET, batch=batch).values[-2].gradient_mean_square for batch in (2, 20))
    assert few is not None
    assert few == pytest.approx(100 * (many or 0))


@pytest.mark.parametrize(
    ("option", "value"),
    [("mean", float("nan")), ("std", float("inf")), ("std", -1), ("std", True), ("seeds", 0), ("batch", 0),
     ("batch", 1.5), ("seeds", 10**9)],
)  # fmt: skip
def test_options_that_cannot_be(client: FillerClient, option: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=option if option != "std" else "std|standard deviation"):
        client.signal(NET, **{option: value})  # type: ignore[arg-type]


def test_an_unknown_layer_hides_what_comes_after_it_and_says_so(client: FillerClient) -> None:
    net = NET.replace('type: "TanH" bottom: "ip2"', 'type: "Mystery" bottom: "ip2"')
    report = client.signal(net, tops={"act2": (4, 8)})
    known = {value.layer: value.mean_square is not None for value in report.values}
    assert known == {
        "data": True, "label": True, "ip1": True, "act1": True, "ip2": True, "act2": False, "out": False, "loss": False
    }  # fmt: skip
    assert [value.gradient_mean_square for value in report.values if value.layer in ("ip1", "act1")] == [None, None]
    assert any("'act2'" in note for note in report.notes)
    assert "?" in str(report)
    json.dumps(report.json(), allow_nan=False)


def test_a_net_without_a_loss_has_no_gradient(client: FillerClient) -> None:
    report = client.signal(NET.partition('layer { name: "loss"')[0])
    assert {value.gradient_mean_square for value in report.values} == {None}
    assert {blob.gradient_mean_square for blob in report.parameters} == {None}
    assert report.notes == ("Unknown: no layer is a loss, so that there is no gradient.",)


def test_without_the_number_of_samples_values_are_known_and_gradients_are_not(client: FillerClient) -> None:
    net = """
layer { name: "data" type: "Data" top: "data" top: "label" data_param { batch_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
    report = client.signal(net)
    assert any("inputs is not known" in note for note in report.notes)
    with pytest.raises(NetError):
        client.signal(net, inputs={"data": (4,)})


def test_no_layers_and_huge_numbers(client: FillerClient) -> None:
    assert client.signal("").values == ()
    assert "not known" in str(client.signal(""))
    report = client.signal(stack('type: "gaussian" std: 1e30', "ReLU", depth=12, width=8, batch=2))
    assert report.values[-1].mean_square is None
    json.dumps(report.json(), allow_nan=False)


def test_shared_blobs_stand_once_with_the_gradients_of_all(client: FillerClient, nets: Path) -> None:
    report = client.signal(nets / "siamese_mnist.prototxt", inputs={"pair_data": (8, 2, 28, 28)})
    names = [blob.name for blob in report.parameters]
    assert len(names) == len(set(names))
    assert "conv1/0" in names
    assert "conv1_p/0" not in names
    # The two values are as alike as the images, and their gradients opposite.
    assert all(blob.gradient_mean_square is None for blob in report.parameters)
    assert "Unknown: layer 'loss': the gradients of weights that both of its bottoms come through partly cancel." in (
        report.notes
    )


def test_weights_of_one_side_of_a_loss_have_a_gradient(client: FillerClient) -> None:
    net = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [4, 8] } } }
layer { name: "down" type: "InnerProduct" bottom: "data" top: "down"
  inner_product_param { num_output: 3 weight_filler { type: "msra" } } }
layer { name: "up" type: "InnerProduct" bottom: "down" top: "up"
  inner_product_param { num_output: 8 weight_filler { type: "msra" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "up" bottom: "data" top: "loss" }
"""
    assert all(blob.gradient_mean_square for blob in client.signal(net).parameters)
    crossed = net.replace('bottom: "up" bottom: "data"', 'bottom: "up" bottom: "other"').replace(
        'layer { name: "loss"',
        '''layer { name: "other" type: "InnerProduct" bottom: "down" top: "other"
  inner_product_param { num_output: 8 weight_filler { type: "msra" } } }
layer { name: "loss"''',
    )
    squares = {blob.name: blob.gradient_mean_square for blob in client.signal(crossed).parameters}
    assert {name for name, square in squares.items() if square is None} == {"down/0", "down/1"}


def test_every_published_net_has_a_signal_or_a_reason(client: FillerClient, nets: Path) -> None:
    for path in (nets / "caffenet.prototxt", nets / "googlenet_train_val.prototxt", nets / "resnet152.prototxt"):
        plan = client.plan_net(path)
        shapes = {plan.top(value).name: plan.top(value).shape or () for value in plan.inputs}
        sides = {
            name: tuple(dim or (4, 3, 224, 224)[axis] for axis, dim in enumerate(shape))
            for name, shape in shapes.items()
        }
        report = client.signal(path, inputs=sides)
        assert all(value.mean_square is not None for value in report.values), path


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_fillers_that_are_not_finite_are_not_known(client: FillerClient, value: str) -> None:
    report = client.signal(stack(f'type: "constant" value: {value}', "ReLU", depth=1, width=4, batch=2))
    json.dumps(report.json(), allow_nan=False)
    assert report.parameters[0].mean_square is None
    assert any("not finite" in note for note in report.notes)


@pytest.mark.parametrize(
    "layer",
    [
        'type: "Power" power_param { power: -1 }',
        'type: "Power" power_param { power: 0.5 }',
        'type: "Log"',
        'type: "Exp" exp_param { scale: 1000 }',
        'type: "Pooling" pooling_param { pool: AVE kernel_size: 2 stride: 3 }',
        'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 }',
    ],
)
def test_what_has_no_mean_square_is_not_known(client: FillerClient, layer: str) -> None:
    net = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [2, 3, 6, 6] } } }'
    report = client.signal(f'{net} layer {{ name: "y" bottom: "x" top: "y" {layer} }}')
    assert report.values[1].mean_square is None
    assert report.notes[0].startswith("Unknown: layer 'y': ")
