"""Each name of `torch.nn.init` against PyTorch itself: Kolmogorov-Smirnov and moments."""

import math
from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from filler_client import FillerClient, translate
from filler_server.frameworks.names import NAMES

pytestmark = pytest.mark.frameworks
torch = pytest.importorskip("torch")

SHAPE = (200, 40, 3, 3)
RANDOM = [
    "torch.nn.init.uniform_(w)",
    "torch.nn.init.uniform_(w, -0.5, 2)",
    "torch.nn.init.normal_(w)",
    "torch.nn.init.normal_(w, mean=1, std=0.02)",
    "torch.nn.init.trunc_normal_(w)",
    "torch.nn.init.trunc_normal_(w, mean=0.5, std=0.5, a=0, b=3)",
    "torch.nn.init.trunc_normal_(w, std=2, a=-1, b=1)",
    "torch.nn.init.xavier_uniform_(w)",
    "torch.nn.init.xavier_uniform_(w, gain=1.5)",
    "torch.nn.init.xavier_normal_(w)",
    "torch.nn.init.kaiming_uniform_(w)",
    "torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5))",
    "torch.nn.init.kaiming_uniform_(w, mode='fan_out', nonlinearity='tanh')",
    "torch.nn.init.kaiming_normal_(w)",
    "torch.nn.init.kaiming_normal_(w, mode='fan_out', nonlinearity='selu')",
]
EXACT = {
    "torch.nn.init.zeros_(w)": (4, 5),
    "torch.nn.init.ones_(w)": (4, 5),
    "torch.nn.init.constant_(w, 0.3)": (4, 5),
    "torch.nn.init.eye_(w)": (4, 7),
    "torch.nn.init.dirac_(w)": (5, 3, 4, 3),
}


def by_torch(call: str, shape: tuple[int, ...]) -> Any:
    torch.manual_seed(7)
    w = torch.empty(shape)
    eval(call, {"torch": torch, "math": math, "w": w})  # the calls above
    return w.numpy().astype(np.float64)


def ours(call: str, shape: tuple[int, ...]) -> Any:
    return FillerClient.embedded().fill(translate(call).filler, shape, seed=1701, name="w").astype(np.float64)


@pytest.mark.parametrize("call", RANDOM)
def test_distributions_are_pytorchs(call: str) -> None:
    mine, theirs = ours(call, SHAPE), by_torch(call, SHAPE)
    scale = theirs.std()
    assert abs(mine.mean() - theirs.mean()) < 5 * scale * sqrt(2 / mine.size)
    assert mine.std() == pytest.approx(scale, rel=5 * sqrt(2 / mine.size))
    assert stats.ks_2samp(mine.ravel(), theirs.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("torch.")])
def test_types_with_their_defaults_are_pytorchs(name: str) -> None:
    call = f"torch.nn.init.{name.partition('.')[2]}(w)"
    if name == "torch.constant_":
        call = call.replace("(w)", "(w, 0.25)")
    filler = f'type: "{name}"' + (" value: 0.25" if name == "torch.constant_" else "")
    shape = (60, 60) if name == "torch.eye_" else (60, 30, 3, 3)
    mine = FillerClient.embedded().fill(filler, shape, seed=3, name="w").astype(np.float64)
    theirs = by_torch(call, shape)
    assert mine.std() == pytest.approx(theirs.std(), rel=0.03)
    assert stats.ks_2samp(mine.ravel(), theirs.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("call", EXACT)
def test_values_that_are_not_random_are_pytorchs(call: str) -> None:
    assert (ours(call, EXACT[call]) == by_torch(call, EXACT[call]).astype(np.float32)).all()


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (20, 4, 3, 3)])
def test_orthogonal_is_pytorchs_in_distribution(shape: tuple[int, ...]) -> None:
    client, torch_values, values = FillerClient.embedded(), [], []
    for seed in range(400):
        torch.manual_seed(seed)
        torch_values.append(torch.nn.init.orthogonal_(torch.empty(shape)).reshape(-1)[1].item())
        values.append(client.fill("torch.orthogonal_", shape, seed=seed, name="w").reshape(-1)[1])
    assert stats.ks_2samp(values, torch_values).pvalue > 1e-3


def test_the_defaults_of_linear_and_conv_are_what_the_note_says() -> None:
    torch.manual_seed(1)
    for module, shape in ((torch.nn.Linear(300, 200), (200, 300)), (torch.nn.Conv2d(40, 50, 3), (50, 40, 3, 3))):
        weight = module.weight.detach().numpy().astype(np.float64)
        mine = ours("torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5))", shape)
        bound = 1 / sqrt(np.prod(shape[1:]))
        assert np.abs(mine).max() == pytest.approx(bound, rel=1e-3)
        assert np.abs(weight).max() == pytest.approx(bound, rel=1e-3)
        assert stats.ks_2samp(mine.ravel(), weight.ravel()).pvalue > 1e-4
