"""PyTorch's modules with the shapes of a net, in their default initialization."""

import ast
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

Layer = tuple[str, Sequence[int]]
"""Caffe's type of a layer, and the shape of its weight."""


def about() -> str:
    """Return the version."""
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads"


def prepare(work: str, layers: Sequence[Layer], output: str = "") -> Callable[[], object]:
    """`build` the modules, or `save` their state_dict, too."""
    if work == "build":
        return lambda: build(layers)
    return lambda: torch.save(build(layers).state_dict(), output)


def build(layers: Sequence[Layer]) -> torch.nn.ModuleList:
    """Return a module for each layer; one with groups has as many weights as one of fewer inputs."""
    return torch.nn.ModuleList(_module(kind, shape) for kind, shape in layers)


def _module(kind: str, shape: Sequence[int]) -> torch.nn.Module:
    if kind == "Convolution":
        return torch.nn.Conv2d(shape[1], shape[0], (shape[2], shape[3]))
    if kind == "InnerProduct":
        return torch.nn.Linear(shape[1], shape[0])
    if kind == "BatchNorm":
        return torch.nn.BatchNorm2d(shape[0])
    raise ValueError(f"no module stands for this layer. Received: type={kind}")


if __name__ == "__main__":
    prepare("save", ast.literal_eval(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2])()
