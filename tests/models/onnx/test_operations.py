"""Every operation in ONNX Runtime against the reference evaluator."""

import numpy as np
import pytest

from filler_client._models import open_model
from filler_server.models.reference.evaluation import evaluate
from filler_server.models.reference.registry import computed_operations
from tests.models.cases import CASES, Case
from tests.models.onnx.running import exported, registry, run

pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_what_onnx_computes_is_what_the_reference_does(case: Case) -> None:
    weights, inputs = case.weights(), case.values()
    with open_model(case.net, weights or None) as opened:
        want = evaluate(opened.graph, inputs)
    got = run(exported(case.net, weights or None), inputs)
    assert list(got) == list(want)
    for name, values in want.items():
        np.testing.assert_allclose(
            got[name], values, rtol=1e-4, atol=1e-5 * max(1, np.nanmax(np.abs(values), initial=0))
        )


def test_what_the_reference_computes_is_said_in_onnx_but_for_the_loss_of_ssd() -> None:
    unsaid = [kind.__name__ for kind in computed_operations() if kind not in registry.said_operations()]
    assert unsaid == ["MultiBoxLoss"]


def test_every_operation_has_a_case() -> None:
    seen = set()
    for case in CASES:
        with open_model(case.net, case.weights() or None) as opened:
            seen.update(type(node.operation) for node in opened.graph.nodes)
    assert sorted(kind.__name__ for kind in set(registry.said_operations()) - seen) == []
