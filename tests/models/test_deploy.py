from pathlib import Path

import pytest

from caffe_filler.errors import NetError
from filler_client import FillerClient
from filler_server.models.deploy import deployed
from filler_server.models.graph import Graph, graph

INPUTS = """
layer { name: "d" type: "Input" top: "data" top: "label" top: "target"
  input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }
"""


def deploy(net: str | Path, **options: object) -> Graph:
    return deployed(graph(FillerClient.embedded().plan_net(net, phase="TEST", **options), {}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("lenet_train_test", ("data",), ("prob",)),
        ("caffenet", ("data",), ("prob",)),
        ("vgg16_train_val", ("data",), ("prob",)),
        ("lenet", ("data",), ("prob",)),
        ("fcn8s", ("data",), ("score",)),
        ("siamese_mnist", ("pair_data",), ("feat", "feat_p")),
        ("googlenet_train_val", ("data",), ("loss1/loss/prob", "loss2/loss/prob", "prob")),
        ("lrcn_caption", ("cont_sentence", "input_sentence", "image_features"), ("prob",)),
    ],
)
def test_the_projects_own_nets(nets: Path, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    found = deploy(nets / f"{name}.prototxt")
    assert (found.inputs, found.outputs) == (inputs, outputs)
    assert found.shape(outputs[-1])


def test_it_is_the_deploy_net_that_people_publish(nets: Path) -> None:
    found, published = (deploy(nets / name) for name in ("caffenet.prototxt", "caffenet_deploy.prototxt"))
    assert [(node.type, node.bottoms, node.tops) for node in found.nodes] == [
        (node.type, node.bottoms, node.tops) for node in published.nodes
    ]
    assert found.nodes[-1].operation == published.nodes[-1].operation


def test_an_autoencoder(nets: Path) -> None:
    found = deploy(nets / "mnist_autoencoder.prototxt", stages=["test-on-test"])
    assert (found.inputs, found.outputs) == (("data",), ("decode1neuron",))


@pytest.mark.parametrize(
    ("layers", "outputs"),
    [
        ('layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "ip" bottom: "target" top: "loss" }', ("prob",)),
        ('layer { name: "loss" type: "EuclideanLoss" bottom: "target" bottom: "ip" top: "loss" }', ("ip",)),
        ('layer { name: "loss" type: "HingeLoss" bottom: "ip" bottom: "label" top: "loss" }', ("ip",)),
        (
            """layer { name: "prob" type: "Softmax" bottom: "ip" top: "given" }
            layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }""",
            ("given",),
        ),
        (
            """layer { name: "prob" type: "Softmax" bottom: "ip" top: "given" }
            layer { name: "loss" type: "MultinomialLogisticLoss" bottom: "given" bottom: "label" top: "loss" }
            layer { name: "none" type: "Silence" bottom: "label" }""",
            ("given",),
        ),
        (
            """layer { name: "one" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "one" }
            layer { name: "prob" type: "ReLU" bottom: "ip" top: "y" }
            layer { name: "two" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "two" }
            layer { name: "sum" type: "Eltwise" bottom: "one" bottom: "two" top: "sum" }""",
            ("one/prob", "two/prob"),
        ),
        (
            """layer { name: "one" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "one" loss_weight: 0.5 }
            layer { name: "two" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "two" }""",
            ("one/prob",),
        ),
        (
            """layer { name: "flat" type: "Flatten" bottom: "label" top: "unread" flatten_param { axis: 0 } }
            layer { name: "own" type: "Python" bottom: "ip" bottom: "label" top: "loss" loss_weight: 1
              python_param { module: "m" layer: "L" } }""",
            ("ip",),
        ),
        ('layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }', ("ip",)),
        (
            """layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" }
            layer { name: "own" type: "Softmax" bottom: "ip" top: "own" }""",
            ("own",),
        ),
        (
            """layer { name: "prob" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
            layer { name: "acc" type: "ACCURACY_REGRESSION" bottom: "ip" bottom: "label" top: "prob" }""",
            ("prob",),
        ),
        (
            """layer { name: "loss" type: "MyLoss" bottom: "ip" bottom: "label" top: "loss" }
            layer { name: "acc" type: "MyAccuracy" bottom: "ip" bottom: "label" top: "acc" }""",
            ("ip",),
        ),
    ],
)
def test_predictions(layers: str, outputs: tuple[str, ...]) -> None:
    found = deploy(INPUTS + layers)
    assert (found.inputs, found.outputs) == (("data",), outputs)


def test_nothing_is_predicted() -> None:
    net = """layer { name: "d" type: "Input" top: "a" top: "label"
      input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }
    layer { name: "acc" type: "Accuracy" bottom: "a" bottom: "label" top: "acc" }"""
    with pytest.raises(NetError, match="the net predicts nothing"):
        deploy(net)
