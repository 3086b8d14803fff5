"""Poolings over windows that do not depend on data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from filler_server.models.graph import Node
from filler_server.models.reference.registry import Array, Layer, computes
from filler_server.models.reference.windows import LOWEST, largest, sums, taps
from filler_server.net.operations import pooling as operations

_TINY = float(np.finfo(np.float32).tiny)


def _open_windows(operation: operations.Pooling, node: Node) -> str | None:
    if operation.random:
        return "it draws random numbers in phase TRAIN"
    if operation.global_pooling:
        return None
    sizes = operation.kernel, operation.stride, operation.pad
    if any(each is None or None in each for each in sizes):
        return "the extents of its windows are not known"
    return None


@computes(operations.Pooling, unless=_open_windows)
def pooling(operation: operations.Pooling, layer: Layer) -> Array | tuple[Array, ...]:
    """Return the largest value of each window and its place, or the average."""
    x = layer.bottom
    pool = _Pool.over(operation, x.shape[2:])
    if layer.num_tops > 1:
        return tuple(_squeezed(operation, top) for top in pool.largest_and_place(x))
    return _squeezed(operation, pool.pooled(operation.method, x))


@computes(operations.SPP)
def spatial_pyramid_pooling(operation: operations.SPP, layer: Layer) -> Array:
    """Return poolings into 1, 2, 4 ... bins along each axis, each flattened, end to end."""
    x = layer.bottom
    levels = []
    for level in range(operation.levels):
        bins = 2**level
        kernel = tuple(-(-extent // bins) for extent in x.shape[2:])
        pad = tuple((size * bins - extent + 1) // 2 for size, extent in zip(kernel, x.shape[2:], strict=True))
        pool = _Pool.over(operations.Pooling(kernel=kernel, stride=kernel, pad=pad), x.shape[2:])
        levels.append(pool.pooled(operation.method, x))
    return levels[0] if len(levels) == 1 else np.concatenate([level.reshape(len(x), -1) for level in levels], 1)


@dataclass(frozen=True, slots=True)
class _Pool:
    """Windows over some extents, each attribute with one entry for each spatial axis."""

    number: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]

    @classmethod
    def over(cls, operation: operations.Pooling, extents: tuple[int, ...]) -> "_Pool":
        if operation.global_pooling:
            return cls((1,) * len(extents), extents, (1,) * len(extents), (0,) * len(extents))
        kernel, stride, pad = (_known(sizes) for sizes in (operation.kernel, operation.stride, operation.pad))
        number = []
        for extent, size, step, border in zip(extents, kernel, stride, pad, strict=True):
            room = extent + 2 * border - size
            windows = (-(-room // step) if operation.ceil else room // step) + 1
            if operation.clip and any(pad) and (windows - 1) * step >= extent + border:
                windows -= 1
            number.append(windows)
        return cls(tuple(number), kernel, stride, pad)

    def pooled(self, method: str, x: Array) -> Array:
        match method:
            case "max":
                return self._along(largest, x)
            case "ave":
                return self._along(sums, x) / self._sizes(x)
        # The expected value of a draw in proportion to the values.
        return self._along(sums, x * x) / (_TINY + self._along(sums, x))

    def largest_and_place(self, x: Array) -> tuple[Array, Array]:
        """Return the largest value of each window, and where it lies in its channel, the first of equal ones."""
        values = np.full((*x.shape[:2], *self.number), LOWEST, x.dtype)
        places = np.full_like(values, -1)
        here = np.arange(prod(x.shape[2:]), dtype=x.dtype).reshape(x.shape[2:])
        axes = zip(x.shape[2:], self.number, self.kernel, self.stride, self.pad, strict=True)
        each = [list(taps(*axis)) for axis in axes]
        for index in np.ndindex(*map(len, each)):
            chosen = [along[tap] for along, tap in zip(each, index, strict=True)]
            windows, inside = (tuple(part[side] for part in chosen) for side in (0, 1))
            best, place = values[(..., *windows)], places[(..., *windows)]
            other = x[(..., *inside)]
            larger = other > best
            np.copyto(best, other, where=larger)
            np.copyto(place, here[inside], where=larger)
        return values, places

    def _along(self, reduce: Callable[[Array, int, int, int, int, int], Array], x: Array) -> Array:
        for axis, (number, kernel, stride, pad) in enumerate(
            zip(self.number, self.kernel, self.stride, self.pad, strict=True), start=2
        ):
            x = reduce(x, axis, number, kernel, stride, pad)
        return x

    def _sizes(self, x: Array) -> Array:
        """Return the size of each window, cut to the padded input."""
        sizes = np.ones((), x.dtype)
        for extent, number, kernel, stride, pad in zip(
            x.shape[2:], self.number, self.kernel, self.stride, self.pad, strict=True
        ):
            start = np.arange(number) * stride - pad
            sizes = sizes[..., None] * (np.minimum(start + kernel, extent + pad) - start)
        return sizes.astype(x.dtype)


def _known(sizes: Sequence[int | None] | None) -> tuple[int, ...]:
    return tuple(size for size in sizes or () if size is not None)


def _squeezed(operation: operations.Pooling, top: Array) -> Array:
    if not operation.squeeze:
        return top
    return top.reshape(*top.shape[:2], *(extent for extent in top.shape[2:] if extent != 1))
