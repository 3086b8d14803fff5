"""Layers that consist of their blobs."""

import torch
from torch import Tensor, nn


class Parameter(nn.Module):
    """Caffe's Parameter: a learned blob as a value."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self) -> Tensor:
        """Return the blob."""
        return self.weight


class Bias(nn.Module):
    """Caffe's Bias: a learned summand over some axes.

    Args:
        shape: that of the blob.
        view: the shape in which it stands against the input.
    """

    def __init__(self, shape: tuple[int, ...], view: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.view = shape if view is None else view
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return x + self.bias.view(self.view)


class Scale(nn.Module):
    """Caffe's Scale: a learned factor over some axes, and perhaps a summand.

    Args:
        shape: that of the blobs.
        view: the shape in which they stand against the input.
        bias: whether there is a summand.
    """

    def __init__(self, shape: tuple[int, ...], view: tuple[int, ...] | None = None, bias: bool = True) -> None:
        super().__init__()
        self.view = shape if view is None else view
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the product, and the sum."""
        y = x * self.weight.view(self.view)
        return y if self.bias is None else y + self.bias.view(self.view)


class EmbeddingWithBias(nn.Embedding):
    """Caffe's Embed: a table, to each row of which the same bias is added."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__(rows, columns)
        self.bias = nn.Parameter(torch.zeros(columns))

    def forward(self, index: Tensor) -> Tensor:
        """Return the rows of the table."""
        return super().forward(index) + self.bias
