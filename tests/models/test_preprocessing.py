"""Images into nets."""

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument
from filler_client._models import open_model
from filler_server.models.preprocessing import Preprocessing, preprocessed
from filler_server.models.reference.evaluation import evaluate

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 5 } } }
layer { name: "power" type: "Power" bottom: "data" top: "y" power_param { scale: 2 } }
"""
RNG = np.random.default_rng(3)
IMAGE = RNG.integers(0, 256, (2, 3, 4, 5)).astype(np.float64)
MEAN_IMAGE = RNG.standard_normal((3, 6, 9))


@pytest.mark.parametrize(
    ("steps", "want"),
    [
        (Preprocessing(bgr=True), IMAGE[:, ::-1]),
        (Preprocessing(mean=np.array([104.0, 117, 123])), IMAGE - [[[104]], [[117]], [[123]]]),
        (
            Preprocessing(bgr=True, mean=np.array([104.0, 117, 123]), scale=0.5),
            (IMAGE[:, ::-1] - [[[104]], [[117]], [[123]]]) / 2,
        ),
        (Preprocessing(mean=np.array(128.0)), IMAGE - 128),
        (Preprocessing(mean=MEAN_IMAGE, scale=0.25), (IMAGE - MEAN_IMAGE[:, 1:5, 2:7]) / 4),
        (Preprocessing(mean=MEAN_IMAGE[None, :, 1:5, 2:7]), IMAGE - MEAN_IMAGE[:, 1:5, 2:7]),
    ],
)
def test_steps(steps: Preprocessing, want: np.ndarray) -> None:
    with open_model(NET) as model:
        graph = preprocessed(model.graph, steps)
        assert graph.inputs == ("data",)
        assert graph.nodes[-1].bottoms == ("data@preprocessing",)
        np.testing.assert_allclose(evaluate(graph, {"data": IMAGE})["y"], 2 * want, rtol=1e-6)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (Preprocessing(), "there is nothing to do to an image: neither the net nor mean='B,G,R', scale=0.017 or bgr"),
        (Preprocessing(mean=np.zeros(2)), r"a mean is one number, one for each of the 3 channels.*Received: 2"),
        (Preprocessing(mean=np.zeros((3, 4, 4))), r"at least as large as 'data', 2x3x4x5. Received: 3x4x4"),
    ],
)
def test_what_does_not_fit(steps: Preprocessing, message: str) -> None:
    with open_model(NET) as model, pytest.raises(InvalidArgument, match=message):
        preprocessed(model.graph, steps)


def test_a_net_without_one_image() -> None:
    net = NET.replace("dim: 4 dim: 5", "")
    with open_model(net) as model, pytest.raises(InvalidArgument, match="Received: 0 of them"):
        preprocessed(model.graph, Preprocessing(bgr=True))


def test_gray_images_have_no_blue() -> None:
    net = NET.replace("dim: 3", "dim: 1")
    with open_model(net) as model, pytest.raises(InvalidArgument, match="bgr=True is for images of three channels"):
        preprocessed(model.graph, Preprocessing(bgr=True))
