"""Modules with the shapes of GPT-2 and of ResNet-50, and what initializes them."""

from collections.abc import Callable
from functools import lru_cache
from math import sqrt

import torch
from torch import nn
from torch.nn import init

from filler_client.torch import fill_, initialize_, rule_set
from filler_server import compiled

_RESNET = """
rule { module: "_NormBase" name: "*weight" filler { type: "constant" value: 1 } }
rule { module: "Conv2d" filler { type: "msra" variance_norm: FAN_OUT } }
rule { name: "*bias" filler { type: "constant" } }
rule { module: "Linear" filler { type: "gaussian" std: 0.01 } }
"""


def about() -> str:
    """Return the version."""
    return f"torch {torch.__version__}"


def prepare(work: str, case: str) -> Callable[[], object]:
    """`ours` or `torch.nn.init`, of the same tensors of a case."""
    torch.set_num_threads(1)
    compiled.set_threads(1)
    if case.startswith("truncated"):
        tensor = _tensor()
        if work == "ours":
            return lambda: fill_(tensor, 'type: "truncated_gaussian" std: 0.02', name="w", seed=1701)
        return lambda: init.trunc_normal_(tensor, std=0.02, a=-0.04, b=0.04)
    module = _gpt2() if case.startswith("GPT-2") else _resnet()
    rules = str(rule_set("transformer", depth=12)) if case.startswith("GPT-2") else _RESNET
    if work == "ours":
        return lambda: initialize_(module, rules, seed=1701)
    by_torch = _initialize_gpt2 if case.startswith("GPT-2") else _initialize_resnet
    return lambda: by_torch(module)


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})


@lru_cache
def _gpt2() -> nn.Module:
    return nn.ModuleDict(
        {
            "wte": nn.Embedding(50257, 768),
            "wpe": nn.Embedding(1024, 768),
            "h": nn.ModuleList(_Block(768) for _ in range(12)),
            "ln_f": nn.LayerNorm(768),
        }
    )


@lru_cache
def _resnet() -> nn.Module:
    layers: list[nn.Module] = [*_convolution(3, 64, 7)]
    channels = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        layers += _convolution(channels, 4 * width, 1)
        for _ in range(blocks):
            layers += [*_convolution(channels, width, 1), *_convolution(width, width, 3)]
            layers += _convolution(width, 4 * width, 1)
            channels = 4 * width
    return nn.ModuleList([*layers, nn.Linear(channels, 1000)])


@lru_cache
def _tensor() -> torch.Tensor:
    return torch.empty(4096, 4096)


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, bias=False), nn.BatchNorm2d(outputs)]


def _initialize_gpt2(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            init.zeros_(parameter)
        elif "ln_" in name:
            init.ones_(parameter)
        else:
            init.normal_(parameter, std=0.02 / sqrt(24) if "c_proj" in name else 0.02)


def _initialize_resnet(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.BatchNorm2d):
            init.ones_(layer.weight)
            init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            init.normal_(layer.weight, std=0.01)
            init.zeros_(layer.bias)
