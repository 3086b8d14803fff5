"""Combinations of parameters that others test, in ONNX Runtime against the reference evaluator."""

import numpy as np
import pytest

from filler_client._models import open_model
from filler_server.models.reference.evaluation import evaluate
from tests.models.cases import Case
from tests.models.combinations import COMBINATIONS
from tests.models.onnx.running import computed

pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize("case", COMBINATIONS, ids=[case.name for case in COMBINATIONS])
def test_onnx_computes_what_the_reference_does(case: Case) -> None:
    weights, inputs = case.weights() or None, case.values()
    with open_model(case.net, weights) as model:
        want = evaluate(model.graph, inputs)
    got = computed(case.net, inputs, weights)
    assert list(got) == list(want)
    for name, values in want.items():
        assert got[name].shape == values.shape
        assert np.abs(got[name] - values).max() <= 1e-5 * np.abs(values).max()
