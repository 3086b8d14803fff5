"""Combinations of parameters that others test, by the reference evaluator against OpenCV."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from filler_client import save_weights
from filler_client._models import open_model
from filler_server.models.reference.evaluation import evaluate
from tests.models.cases import Case
from tests.models.combinations import COMBINATIONS

_NO_JUDGE = {
    "deconvolution .*dilation: 2": "OpenCV takes no notice of the dilation",
    "LRN .*k: (1.1|0.9|2).*ACROSS": "OpenCV takes no notice of k",
    "LRN of few channels .*k: 2": "OpenCV takes no notice of k",
    "LRN of few channels (local_size: 3)?$": "OpenCV has another alpha where none is given",
    "axpy": "OpenCV scales the third bottom, the fork that has the layer the second",
    "reduction": "OpenCV reads no Reduction",
    "embed": "OpenCV reads no Embed",
    "pooling and unpooling": "OpenCV reads no Upsample",
    "PReLU by channel in place, then shared": "OpenCV reads no blob without axes",
    "reshape .*axis: -3": "OpenCV has no such axis",
    "slice into a,b,c $": "OpenCV does not see that there are three",
    "TanH of 1 axes": "OpenCV has no fewer than two axes",
}
"""Names of combinations that OpenCV does not read or computes in another way, as patterns; others judge these."""


def _judged(case: Case) -> bool:
    return not any(re.match(pattern, case.name) for pattern in _NO_JUDGE)


_JUDGED = [case for case in COMBINATIONS if _judged(case)]


@pytest.mark.parametrize("case", _JUDGED, ids=[case.name for case in _JUDGED])
def test_the_reference_computes_what_opencv_does(case: Case, tmp_path: Path) -> None:
    net, weights, inputs = tmp_path / "net.prototxt", case.weights(), case.values()
    net.write_text(case.net)
    with open_model(net, weights or None) as model:
        want = evaluate(model.graph, inputs)
        places = {top: (node.name, place) for node in model.graph.nodes for place, top in enumerate(node.tops)}
    if weights:
        save_weights(weights, tmp_path / "net.caffemodel", net=net)
    loaded = cv2.dnn.readNetFromCaffe(str(net), str(tmp_path / "net.caffemodel") if weights else "")
    for name, values in inputs.items():
        loaded.setInput(values, name)
    layers = sorted({places[top][0] for top in want})
    made = dict(zip(layers, loaded.forwardAndRetrieve(layers), strict=True))
    for top, values in want.items():
        layer, place = places[top]
        got = made[layer][place]
        assert got.shape == values.shape
        assert np.abs(got - values).max() <= 1e-4 * np.abs(values).max()
