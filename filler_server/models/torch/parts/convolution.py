"""Convolutions of forks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CCCP(nn.Module):
    """CCCP of network in network: at each place mixtures of the channels of each group."""

    def __init__(self, outputs: int, inputs: int, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(1, 1, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixtures."""
        return F.conv2d(x, self.weight.reshape(*self.weight.shape[2:], 1, 1), self.bias, groups=self.groups)
