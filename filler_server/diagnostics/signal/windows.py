"""Windows over the places of a value, and how the mean square is spread over the places of each axis.

At a border a window has fewer places within its input, so that values are smaller there, and so are gradients. What a
place has is taken as the product of what it has along each axis.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from operator import is_
from typing import NamedTuple, TypeAlias

import numpy as np

from filler_server.diagnostics.signal.moments import APART, KINDS, NEAR, OTHER
from filler_server.diagnostics.signal.normal import Reals

Profile: TypeAlias = tuple[Reals | None, ...]
"""For each spatial axis the mean square along it relative to that of all; None where it is the same everywhere."""

_LARGEST = 1 << 18
"""Entries of the largest table of windows that is made; profiles of larger ones are taken to be flat."""


class Axis(NamedTuple):
    """Windows along one axis.

    Attributes:
        extent: of the input.
        windows: how many there are.
        kernel: extent of a window.
        stride: step between windows.
        pad: places before the input.
        dilation: distance between the places of a window.
    """

    extent: int
    windows: int
    kernel: int
    stride: int
    pad: int
    dilation: int = 1


@lru_cache(maxsize=1024)
def axes(
    extents: tuple[int, ...],
    windows: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[int, ...],
    dilation: tuple[int, ...] | None = None,
) -> tuple[Axis, ...]:
    """Return the windows along each axis."""
    spaced = dilation or (1,) * len(kernel)
    return tuple(map(Axis, extents, windows, kernel, stride, pad, spaced))


@lru_cache(maxsize=4096)
def _inside(axis: Axis) -> tuple[int, ...]:
    """Return, for each tap, how many windows have it within the input."""
    found = []
    for tap in range(axis.kernel):
        # window * stride - shift lies in [0, extent).
        shift = axis.pad - tap * axis.dilation
        first = max(-(-shift // axis.stride), 0)
        last = min((axis.extent - 1 + shift) // axis.stride, axis.windows - 1)
        found.append(max(last - first + 1, 0))
    return tuple(found)


@lru_cache(maxsize=4096)
def pairs(axis: Axis) -> int:
    """Return the number of pairs of a window and a place of it that lies within the input."""
    return sum(_inside(axis))


@lru_cache(maxsize=1024)
def apart(windows: tuple[Axis, ...], *, back: bool = False) -> Reals:
    """Return, for each kind of pairs, what part of their taps two sums do not have in common.

    Windows at a border lack taps that others have; places that lie in windows have one in common only where these lie
    as far apart.

    Args:
        windows: those along each axis.
        back: whether a sum is over the windows in which a place lies, rather than over the places of a window.
    """
    number = prod(axis.extent if back else axis.windows for axis in windows)
    once, twice = prod(map(pairs, windows)), prod(sum(count**2 for count in _inside(axis)) for axis in windows)
    found = np.zeros(KINDS)
    if number < 2 or not once:
        return found
    found[[APART, OTHER]] = 1 - (twice - once) / (number - 1) / once
    near = []
    for axis in windows:
        extent = axis.extent if back else axis.windows
        if extent > 1:
            both = 0 if back and axis.stride > 1 else sum(max(count - 1, 0) for count in _inside(axis))
            near.append(both / (extent - 1) * extent / (pairs(axis) or 1))
    found[NEAR] = 1 - sum(near) / len(near)
    return found


@lru_cache(maxsize=64)
def _table(axis: Axis) -> Reals | None:
    """Return which place of the input lies in which window, [window, place]; None where that would be too large."""
    if axis.extent * axis.windows > _LARGEST:
        return None
    offsets = np.arange(axis.extent) + axis.pad - np.arange(axis.windows)[:, None] * axis.stride
    inside = (offsets >= 0) & (offsets % axis.dilation == 0) & (offsets < axis.kernel * axis.dilation)
    return np.asarray(inside, float)


def summed(windows: Sequence[Axis], profile: Profile | None, *, back: bool = False) -> tuple[float, Profile | None]:
    """Return how many places a window has, each as its mean square counts, and the profile of the sums.

    Args:
        windows: those along each axis.
        profile: that of the input; of the windows if `back`.
        back: whether to sum over the windows in which a place lies, rather than over the places of a window.
    """
    taps, made = 1.0, []
    last: tuple[Axis, Reals | None] | None = None
    mean, spread = 1.0, None
    for axis, part in zip(windows, profile or (None,) * len(windows), strict=True):
        # Of square images all axes have the same.
        if last is None or last[0] != axis or last[1] is not part:
            mean, spread = _flat(axis, back) if part is None else _weighed(axis, part, back=back)
        last = axis, part
        taps *= mean
        made.append(spread)
    return taps, tuple(made) if any(part is not None for part in made) else None


@lru_cache(maxsize=512)
def _flat(axis: Axis, back: bool) -> tuple[float, Reals | None]:
    table = _table(axis)
    if table is None:
        return pairs(axis) / (axis.extent if back else axis.windows), None
    return _relative(table.sum(0 if back else 1))


def _weighed(axis: Axis, part: Reals, *, back: bool) -> tuple[float, Reals | None]:
    # Blocks that are alike have profiles that are equal.
    function = _kept_weighed if len(part) <= _SHORT else _weighed_by
    return function(axis, part.tobytes(), back)


_SHORT = 1024
"""Places along an axis up to which a profile is kept."""


def _weighed_by(axis: Axis, part: bytes, back: bool) -> tuple[float, Reals | None]:
    table = _table(axis)
    if table is None:
        return pairs(axis) / (axis.extent if back else axis.windows), None
    profile = np.frombuffer(part)
    return _relative(profile.dot(table) if back else table.dot(profile))


_kept_weighed = lru_cache(maxsize=512)(_weighed_by)


def _relative(sums: Reals) -> tuple[float, Reals | None]:
    mean = float(np.add.reduce(sums)) / len(sums) if len(sums) else 0.0
    if not mean or float(np.maximum.reduce(sums) - np.minimum.reduce(sums)) < 1e-9 * mean:
        return mean, None
    return mean, sums / mean


def averaged(windows: Sequence[Axis], profile: Profile | None, *, back: bool = False) -> Profile | None:
    """Return the profile of means over windows; arguments are those of `summed`."""
    if profile is None:
        return None
    made: list[Reals | None] = []
    for axis, part in zip(windows, profile, strict=True):
        table = None if part is None else _table(axis)
        if part is None or table is None:
            made.append(None)
            continue
        sums = table.sum(0 if back else 1)
        means = (part @ table if back else table @ part) / np.maximum(sums, 1)
        made.append(_relative(means)[1])
    return tuple(made)


def scaled(profile: Profile | None, factors: Sequence[Reals]) -> Profile | None:
    """Return a profile times factors along each axis."""
    made = [
        _relative(factor if part is None else part * factor)[1]
        for part, factor in zip(profile or (None,) * len(factors), factors, strict=True)
    ]
    return tuple(made) if any(part is not None for part in made) else None


def occupied(profile: Profile | None) -> float:
    """Return the share of places that have a mean square."""
    return prod(float(np.count_nonzero(part) / max(part.size, 1)) for part in profile or () if part is not None)


def cut(profile: Profile | None, kept: Sequence[range]) -> tuple[float, Profile | None]:
    """Return the mean of a profile over the places that are kept, and the profile of these.

    Args:
        profile: that of all places.
        kept: places along each axis.
    """
    mean, made = 1.0, []
    for part, places in zip(profile or (None,) * len(kept), kept, strict=True):
        level, spread = (1.0, None) if part is None else _relative(part[places.start : places.stop])
        mean *= level
        made.append(spread)
    return mean, tuple(made) if any(part is not None for part in made) else None


def surrounded(profile: Profile | None, kept: Sequence[range], extents: Sequence[int]) -> Profile | None:
    """Return the profile of what is 0 but at the places that are kept; the other way round from `cut`.

    Args:
        profile: that of the places that are kept.
        kept: these, along each axis.
        extents: of all places.
    """
    made: list[Reals | None] = []
    for part, places, extent in zip(profile or (None,) * len(kept), kept, extents, strict=True):
        if len(places) in (0, extent) or extent > _LARGEST:
            made.append(part if len(places) == extent else None)
            continue
        whole = np.zeros(extent)
        whole[places.start : places.stop] = extent / len(places) * (1.0 if part is None else part)
        made.append(whole)
    return tuple(made) if any(part is not None for part in made) else None


def flattened(profile: Profile | None, slope: float) -> Profile | None:
    """Return a profile of which the deviations from 1 are multiplied."""
    return profile and _along(profile, lambda part: None if part is None else 1 + slope * (part - 1))


def _along(profile: Profile, function: Callable[[Reals | None], Reals | None]) -> Profile:
    """Return a function of what each axis has; of square images all axes have the same."""
    first, *rest = profile
    made = function(first)
    return (made, *(made if part is first else function(part) for part in rest))


def met(windows: Sequence[Axis], inputs: Profile | None, outputs: Profile | None) -> float:
    """Return the number of pairs of a window and a place of it, each as the product of the two profiles counts."""
    count = 1.0
    flat = (None,) * len(windows)
    for axis, place, window in zip(windows, inputs or flat, outputs or flat, strict=True):
        table = _table(axis) if place is not None or window is not None else None
        if table is None:
            count *= pairs(axis)
            continue
        left = table.sum(0) if window is None else window @ table
        count *= float(left.sum() if place is None else left @ place)
    return count


def blended(parts: Sequence[tuple[float, Profile | None]]) -> Profile | None:
    """Return the profile of a sum of independent values.

    Args:
        parts: the mean square and the profile of each.
    """
    known = [profile for _, profile in parts if profile is not None]
    total = sum(square for square, _ in parts)
    if not known or not total:
        return None
    shares = [(square / total, profile) for square, profile in parts]
    made: list[Reals | None] = []
    last: list[Reals | None] = []
    for axis in range(len(known[0])):
        spreads = [None if profile is None else profile[axis] for _, profile in shares]
        # Of square images all axes have the same.
        if axis and all(map(is_, spreads, last)):
            made.append(made[-1])
            continue
        last = spreads
        sums: Reals | float = 0.0
        for (share, _), part in zip(shares, spreads, strict=True):
            sums = sums + share * (1.0 if part is None else part)
        made.append(sums if isinstance(sums, np.ndarray) else None)
    return tuple(made)


def whole(windows: Sequence[Axis]) -> int:
    """Return the number of pairs of a window and a place of it, over all axes."""
    return prod(map(pairs, windows))
