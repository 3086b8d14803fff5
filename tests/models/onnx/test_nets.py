"""The project's own nets: every value of them in ONNX Runtime and by the reference evaluator."""

from pathlib import Path

import pytest

from filler_client import export
from tests.models.onnx.running import onnx
from tests.models.own_nets import LARGE_NETS, OWN_NETS, weights_of

pytestmark = pytest.mark.frameworks


def check(net: Path, folder: Path, name: str) -> None:
    options = {**OWN_NETS, **LARGE_NETS}[name]
    exported = export(net, folder / "net.onnx", weights_of(net, options) or None, verify=True, **options)
    onnx.checker.check_model(str(exported.path), full_check=True)
    (verification,) = exported.verifications
    assert verification.failures == ()
    assert len(verification.differences) > 2


@pytest.mark.parametrize("name", OWN_NETS)
def test_every_value_is_the_same(nets: Path, tmp_path: Path, name: str) -> None:
    check(nets / f"{name}.prototxt", tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE_NETS)
def test_every_value_of_a_large_net_is_the_same(nets: Path, tmp_path: Path, name: str) -> None:
    check(nets / f"{name}.prototxt", tmp_path, name)
