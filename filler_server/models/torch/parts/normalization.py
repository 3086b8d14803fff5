"""Normalizations that PyTorch does not have, or has otherwise."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchNormByStatistics(nn.modules.batchnorm._BatchNorm):
    """Batch normalization by the stored statistics, when it trains as well."""

    def __init__(self, *sizes: int, **options: object) -> None:
        super().__init__(*sizes, **options)
        self.train(False)

    def train(self, mode: bool = True) -> nn.Module:
        """Stay in eval mode."""
        return super().train(False)

    def _check_input_dim(self, x: Tensor) -> None:
        pass


class BatchNormByBatch(nn.modules.batchnorm._BatchNorm):
    """Batch normalization by the statistics of the batch, in eval mode as well."""

    def train(self, mode: bool = True) -> nn.Module:
        """Stay in train mode."""
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized values."""
        if x.numel() != x.shape[1]:
            return super().forward(x)
        y = before_affine(self, x)
        return affine(self, y) if self.affine else y

    def _check_input_dim(self, x: Tensor) -> None:
        pass


def before_affine(norm: nn.Module, x: Tensor) -> Tensor:
    """Return the values that a batch normalization has before its weight and bias."""
    if norm.training and x.numel() == x.shape[1]:
        # PyTorch refuses one value for each channel. In Caffe it is the mean, and its variance is 0.
        norm.running_mean.lerp_(x.detach().flatten(), norm.momentum)
        norm.running_var.mul_(1 - norm.momentum)
        return x - x
    return F.batch_norm(
        x, norm.running_mean, norm.running_var, training=norm.training, momentum=norm.momentum, eps=norm.eps
    )


def affine(norm: nn.Module, x: Tensor) -> Tensor:
    """Return values times the weight of a batch normalization plus its bias."""
    view = (1, -1, *(1,) * (x.dim() - 2))
    return x * norm.weight.view(view) + norm.bias.view(view)


class LRNWithinChannel(nn.Module):
    """Caffe's LRN over neighboring pixels, which divides by the area of the window, padding included."""

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized values."""
        squares = F.avg_pool2d(x * x, self.size, stride=1, padding=(self.size - 1) // 2)
        return x * (1 + self.alpha * squares) ** -self.beta


class Normalize(nn.Module):
    """SSD's Normalize: values divided by their L2 norm, times a learned scale.

    Args:
        scales: number of scales: 1, or one for each channel.
        across_spatial: whether the norm is that of all values of an item, or of the channels at each place.
        eps: is added to the sum of squares.
    """

    def __init__(self, scales: int, across_spatial: bool = True, eps: float = 1e-10) -> None:
        super().__init__()
        self.across_spatial, self.eps = across_spatial, eps
        self.weight = nn.Parameter(torch.ones(scales))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized values."""
        axes = tuple(range(1, x.dim())) if self.across_spatial else (1,)
        norm = (x.square().sum(axes, keepdim=True) + self.eps).sqrt()
        return x / norm * self.weight.view(1, -1, *(1,) * (x.dim() - 2))


def mvn(x: Tensor, across_channels: bool = False, normalize_variance: bool = True, eps: float = 0.0) -> Tensor:
    """Caffe's MVN: mean 0 and, up to eps, standard deviation 1; the result has four axes."""
    x = x.reshape(*x.shape, *(1,) * (4 - x.dim()))
    axes = (1, 2, 3) if across_channels else (2, 3)
    centered = x - x.mean(axes, keepdim=True)
    if not normalize_variance:
        return centered
    return centered / (centered.square().mean(axes, keepdim=True).sqrt() + eps)


def norm_of_channels(x: Tensor, norm: str = "l2") -> Tensor:
    """Return the norm of the channels at each place, and a little more."""
    if norm == "l1":
        return x.abs().sum(1, keepdim=True) + 1e-6
    return (x.square().sum(1, keepdim=True) + 1e-6).sqrt()
