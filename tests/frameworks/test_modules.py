"""The defaults of modules of PyTorch against PyTorch itself."""

from math import sqrt
from typing import Any

import pytest

from filler_client import explain
from filler_server.frameworks.modules import MODULES

pytestmark = pytest.mark.frameworks
torch = pytest.importorskip("torch")

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "Linear": (300, 200),
    "Bilinear": (50, 20, 40),
    "Embedding": (200, 100),
    "EmbeddingBag": (200, 100),
    "LayerNorm": (9,),
    "GroupNorm": (3, 9),
    "RMSNorm": (9,),
    "PReLU": (),
    "MultiheadAttention": (96, 4),
    **{f"Conv{kind}{number}d": (40, 60, 3) for kind in ("", "Transpose") for number in (1, 2, 3)},
    **{f"{kind}Norm{number}d": (9,) for kind in ("Batch", "Instance") for number in (1, 2, 3)},
    **{f"{kind}{cell}": (90, 70) for kind in ("RNN", "GRU", "LSTM") for cell in ("", "Cell")},
}
TORCH = [name for name in MODULES if name.startswith("torch.")]


@pytest.mark.parametrize("name", TORCH)
def test_the_defaults_of_a_module(name: str) -> None:
    torch.manual_seed(1)
    short = name.removeprefix("torch.nn.")
    options = {"affine": True, "track_running_stats": True} if short.startswith("Instance") else {}
    module = getattr(torch.nn, short)(*ARGUMENTS[short], **options)
    values = {
        key.removesuffix("_l0"): value.double()
        for key, value in module.state_dict().items()
        if "num_batches" not in key
    }
    parts = MODULES[name].parameters
    assert set(values) == {part.name for part in parts}
    weight = values[parts[0].name]
    explained = {part.name: part for part in explain(name, tuple(weight.shape)).parts}
    for key, found in values.items():
        theory = explained[key].distribution
        assert theory is not None
        if theory.std == 0:
            assert bool((found == theory.mean).all())
            continue
        assert float(found.std()) == pytest.approx(theory.std, rel=5 / sqrt(found.numel()))
        assert abs(float(found.mean()) - theory.mean) < 5 * theory.std / sqrt(found.numel())
        assert theory.minimum * 1.000001 <= float(found.min())
        assert float(found.max()) <= theory.maximum * 1.000001
