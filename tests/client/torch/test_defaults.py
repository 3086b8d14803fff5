"""The rules "torch" against the modules of PyTorch themselves: Kolmogorov-Smirnov, parameter by parameter."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

pytestmark = pytest.mark.frameworks
torch = pytest.importorskip("torch")

from filler_client.torch import initialize_  # noqa: E402 - it needs PyTorch

MODULES: dict[str, Callable[[], Any]] = {
    "Linear": lambda: torch.nn.Linear(30, 20),
    "Conv1d": lambda: torch.nn.Conv1d(6, 8, 5),
    "Conv2d, groups": lambda: torch.nn.Conv2d(8, 12, 3, groups=4),
    "ConvTranspose2d": lambda: torch.nn.ConvTranspose2d(6, 10, 3),
    "ConvTranspose1d, groups": lambda: torch.nn.ConvTranspose1d(8, 12, 3, groups=2),
    "Bilinear": lambda: torch.nn.Bilinear(7, 12, 9),
    "Embedding": lambda: torch.nn.Embedding(20, 10, padding_idx=3),
    "EmbeddingBag": lambda: torch.nn.EmbeddingBag(20, 10),
    "LSTM": lambda: torch.nn.LSTM(5, 12, 2, bidirectional=True),
    "LSTM, projected": lambda: torch.nn.LSTM(5, 12, 2, proj_size=3),
    "GRU": lambda: torch.nn.GRU(5, 12),
    "RNN": lambda: torch.nn.RNN(5, 12),
    "GRUCell": lambda: torch.nn.GRUCell(5, 12),
    "MultiheadAttention": lambda: torch.nn.MultiheadAttention(16, 4, add_bias_kv=True),
    "MultiheadAttention, apart": lambda: torch.nn.MultiheadAttention(16, 4, kdim=10, vdim=12),
    "TransformerEncoderLayer": lambda: torch.nn.TransformerEncoderLayer(16, 4, 24),
    "Transformer": lambda: torch.nn.Transformer(16, 4, 1, 1, 24, batch_first=True),
    "BatchNorm2d": lambda: torch.nn.BatchNorm2d(5),
    "InstanceNorm1d": lambda: torch.nn.InstanceNorm1d(5, affine=True, track_running_stats=True),
    "LayerNorm": lambda: torch.nn.LayerNorm(5),
    "GroupNorm": lambda: torch.nn.GroupNorm(2, 6),
    "RMSNorm": lambda: torch.nn.RMSNorm(5),
    "PReLU": lambda: torch.nn.PReLU(4),
}


@pytest.mark.parametrize("name", MODULES)
def test_values_are_distributed_as_those_of_new_modules(name: str) -> None:
    make = MODULES[name]
    ours: dict[str, list[Any]] = {}
    theirs: dict[str, list[Any]] = {}
    for seed in range(30):
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            module = make()
        collect(module, theirs)
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.fill_(77)
        initialize_(module, "torch", seed=seed)
        collect(module, ours)
    for key, held in theirs.items():
        mine, wanted = np.concatenate(ours[key]), np.concatenate(held)
        if wanted.min() == wanted.max():
            assert (mine == wanted).all(), key
        else:
            assert ((mine == 0) == (wanted == 0)).all(), key
            assert stats.ks_2samp(mine, wanted).pvalue > 1e-5, key
            assert mine.std() == pytest.approx(wanted.std(), rel=0.1), key


def collect(module: Any, found: dict[str, list[Any]]) -> None:
    for key, tensor in module.state_dict().items():
        found.setdefault(key, []).append(tensor.double().numpy().ravel())
