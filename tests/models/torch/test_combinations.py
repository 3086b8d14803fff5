"""Combinations of parameters that others test, and every operation and its traps, in PyTorch against the reference."""

import numpy as np
import pytest

from caffe_filler.errors import NetError
from filler_client._models import open_model
from filler_server.models.reference.evaluation import evaluate
from tests.models.cases import CASES, Case
from tests.models.combinations import COMBINATIONS
from tests.models.torch.running import load_net, torch

pytestmark = pytest.mark.frameworks

_REFUSED = {
    "Noise": "no module is known that computes Noise",
    "Insanity": "no module is known that computes Insanity",
    "local": "no module is known that computes Local",
    "local_beyond": "no module is known that computes Local",
    "convolution_matrix": "PyTorch convolves over 1 to 3 axes, not over 0",
}
_ALL = [case for case in (*CASES, *COMBINATIONS) if case.name not in _REFUSED]


@pytest.mark.parametrize("case", _ALL, ids=[case.name for case in _ALL])
def test_pytorch_computes_what_the_reference_does(case: Case) -> None:
    weights, inputs = case.weights() or None, case.values()
    with open_model(case.net, weights) as model:
        want = evaluate(model.graph, inputs)
        names = model.graph.inputs
    got = load_net(case.net, weights)(*(torch.from_numpy(inputs[name]) for name in names))
    assert list(got) == list(want)
    for name, values in want.items():
        made = got[name].detach().numpy()
        assert made.shape == values.shape
        np.testing.assert_allclose(made, values, rtol=1e-4, atol=1e-5 * max(1, np.nanmax(np.abs(values), initial=0)))


@pytest.mark.parametrize("case", [case for case in CASES if case.name in _REFUSED], ids=lambda case: case.name)
def test_what_pytorch_has_not_is_refused(case: Case) -> None:
    with pytest.raises(NetError, match=_REFUSED[case.name]):
        load_net(case.net, case.weights() or None)
