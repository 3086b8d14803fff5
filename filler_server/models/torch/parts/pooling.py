"""Poolings that PyTorch does not have, or not with so much padding."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sizes = int | tuple[int, int]


def pair(size: Sizes) -> tuple[int, int]:
    """Return a size for height and width."""
    return (size, size) if isinstance(size, int) else size


def window_count(extent: int, kernel: int, stride: int, pad: int, ceil_mode: bool = True) -> int:
    """Return how many windows Caffe has along an axis: none that begins beyond the input and its near padding."""
    room = extent + 2 * pad - kernel
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - 1 if (count - 1) * stride >= extent + pad else count


def padded(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool, value: float) -> Tensor:
    """Return maps with so much of a value around them that a pooling without padding has Caffe's windows."""
    sides: list[int] = []
    for extent, size, step, pad in zip(x.shape[-2:], pair(kernel), pair(stride), pair(padding), strict=True):
        whole = (window_count(extent, size, step, pad, ceil_mode) - 1) * step + size
        sides = [pad, whole - pad - extent, *sides]
    return F.pad(x, sides, value=value)


class MaxPool2d(nn.Module):
    """Caffe's MAX pooling with more padding than nn.MaxPool2d allows."""

    def __init__(
        self, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool = False, return_indices: bool = False
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.ceil_mode, self.return_indices = ceil_mode, return_indices

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the maxima, and where they are."""
        around = padded(x, self.kernel, self.stride, self.padding, self.ceil_mode, -float("inf"))
        largest, places = F.max_pool2d(around, self.kernel, self.stride, return_indices=True)
        if not self.return_indices:
            return largest
        top, left = pair(self.padding)
        rows, columns = places // around.shape[-1] - top, places % around.shape[-1] - left
        return largest, rows * x.shape[-1] + columns


class AvePool2d(nn.Module):
    """Caffe's AVE pooling with more padding than nn.AvgPool2d allows."""

    def __init__(self, kernel: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.ceil_mode = kernel, stride, padding, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """Return the averages; the divisor counts padding, but nothing beyond it."""
        around = padded(x, self.kernel, self.stride, self.padding, self.ceil_mode, 0.0)
        sums = F.avg_pool2d(around, self.kernel, self.stride, divisor_override=1)
        windows = zip((-2, -1), pair(self.kernel), pair(self.stride), pair(self.padding), strict=True)
        for axis, size, step, pad in windows:
            start = torch.arange(sums.shape[axis], device=x.device) * step - pad
            extents = (start + size).clamp(max=x.shape[axis] + pad) - start
            sums = sums / extents.to(x.dtype).view(-1, *(1,) * (-1 - axis))
        return sums


class StochasticPool2d(nn.Module):
    """Caffe's STOCHASTIC pooling in its phase TEST: the mean of each window, weighted by the values themselves."""

    def __init__(self, kernel: Sizes, stride: Sizes, ceil_mode: bool = False) -> None:
        super().__init__()
        self.windows = {"kernel_size": kernel, "stride": stride, "ceil_mode": ceil_mode, "divisor_override": 1}

    def forward(self, x: Tensor) -> Tensor:
        """Return the means; 0 where a window has only zeros."""
        weights = F.avg_pool2d(x, **self.windows) + torch.finfo(torch.float32).tiny
        sums = F.avg_pool2d(x * x, **self.windows)
        return sums / weights


def spp(x: Tensor, levels: int, method: str = "max") -> Tensor:
    """Caffe's SPP: poolings into 1 x 1, 2 x 2, 4 x 4, ... bins, end to end; a single one is left as it is."""
    pooled: list[Tensor] = []
    for bins in (2**level for level in range(levels)):
        kernel = -(-x.shape[2] // bins), -(-x.shape[3] // bins)
        pad = (kernel[0] * bins - x.shape[2] + 1) // 2, (kernel[1] * bins - x.shape[3] + 1) // 2
        pool = (MaxPool2d if method == "max" else AvePool2d)(kernel, kernel, pad, ceil_mode=True)
        pooled.append(pool(x))
    return pooled[0] if levels == 1 else torch.cat([level.flatten(1) for level in pooled], dim=1)


def with_mask(pooled: tuple[Tensor, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return maxima and their places as values of the same type, as Caffe has them."""
    largest, places = pooled
    return largest, places.to(x.dtype)
