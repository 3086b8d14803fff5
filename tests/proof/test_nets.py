"""The project's own nets, every value of them: ONNX Runtime, PyTorch and OpenCV against the reference evaluator."""

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

from tests.proof.nets import TRIALS, Trial, try_net

pytestmark = pytest.mark.frameworks

SMALL = [trial for trial in TRIALS if not trial.large]


@pytest.mark.parametrize("trial", SMALL, ids=[trial.name for trial in SMALL])
def test_every_runtime_computes_what_the_reference_does(trial: Trial) -> None:
    result = try_net(trial)
    assert result.failures == []
    assert result.crashes == {}
    assert result.flat == []
    assert set(result.refusals) <= {"opencv"}
    assert {"onnx", "load_net", "read py"} <= set(result.seconds)
