"""Plots and images of a report, by Matplotlib.

Static SVG fits the page better than a plotting library in it: a histogram takes some 8 kB and no script, so that
the page stays below 5 MB for CaffeNet and 15 MB for ResNet-152, needs no network, and forbids scripts altogether by its
Content-Security-Policy; the embedded scripts of Plotly alone take 4 MB. Axes are of a gray that can be read on white
and on black, and the background is transparent. No text of a net is in a plot.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave
from numpy.typing import NDArray

from filler_server.fillers.distributions import Distribution

_INK, _FIRST, _SECOND = "#767676", "#3b82c4", "#d9730d"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "filler",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    "grid.color": _INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
_BINS = 60
_GAP = 1
_SMALLEST, _LARGEST = 1e-300, 1e300


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot or image.

    Attributes:
        media: image/svg+xml or image/png, of `data`.
        data: for the page.
        width, height: in pixels of CSS.
        source: the plot, or the image as colors of its pixels.
    """

    media: str
    data: bytes
    width: int
    height: int
    source: Figure | NDArray[np.float64]

    def png(self) -> bytes:
        """Return it as a PNG file of its own, with a white background."""
        file = io.BytesIO()
        if isinstance(self.source, Figure):
            with mpl.rc_context(_STYLE):
                self.source.savefig(file, format="png", dpi=150, facecolor="white", metadata={"Software": ""})
        else:
            scale = self.width // self.source.shape[1]
            imsave(file, self.source.repeat(scale, 0).repeat(scale, 1), format="png", metadata={"Software": ""})
        return file.getvalue()


def signal_plot(title: str, sizes: Sequence[float | None], spreads: Sequence[float | None]) -> Drawing | None:
    """Return mean squares over the numbers of the values, from 1, on a logarithmic axis; None if none is positive.

    Args:
        title: of the axis.
        sizes: the mean squares.
        spreads: the standard deviation of each over seeds, which is shown as a band.
    """
    points = np.array([np.nan if size is None or not _SMALLEST < size < _LARGEST else size for size in sizes])
    factors = 1 + np.array([spread or 0.0 for spread in spreads]) / points
    if np.isnan(points).all():
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, 2.6))
        axes = figure.subplots()
        axes.semilogy(np.arange(1, len(points) + 1), points, color=_FIRST, marker="o", markersize=2.5, linewidth=1.2)
        if (factors > 1).any():
            numbers = np.arange(1, len(points) + 1)
            axes.fill_between(numbers, points / factors, points * factors, color=_FIRST, alpha=0.2, linewidth=0)
        axes.axhline(1, color=_SECOND, linewidth=0.8, linestyle="--")
        axes.set(xlabel="number of the value in the table", ylabel=title)
        axes.grid(axis="y")
        return _drawing(figure)


def histogram(values: NDArray[np.float64], distribution: Distribution | None) -> Drawing | None:
    """Return shares of finite values in 60 intervals, with those that a distribution has there as a line.

    None if all values are the same, or too far from each other.
    """
    finite = values[np.isfinite(values)]
    if not finite.size or not 0 < (high := float(finite.max())) - (low := float(finite.min())) < _LARGEST:
        return None
    edges = np.linspace(low, high, _BINS + 1)
    if (np.diff(edges) <= 0).any():
        return None
    shares = np.histogram(finite, edges)[0] / finite.size
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4, 2.2))
        axes = figure.subplots()
        axes.stairs(shares, edges, fill=True, color=_FIRST, alpha=0.55, label="values")
        if distribution is not None:
            promised = expected_shares(distribution, edges)
            axes.plot((edges[1:] + edges[:-1]) / 2, promised, color=_SECOND, linewidth=1.5, label="promised")
            # Beside each other above the bars, which go up to the top for a uniform distribution.
            axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=2)
        axes.locator_params(axis="x", nbins=5)
        axes.set(xlabel="value", ylabel="share", ylim=(0, None))
        return _drawing(figure)


def expected_shares(distribution: Distribution, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of each interval, the first one with its lower end."""
    below = np.array(distribution.cdf(edges), np.float64)
    below[0] -= float(distribution.mass(edges[0]))
    return np.diff(below)


def bars(values: NDArray[np.float64]) -> Drawing | None:
    """Return finite values as bars, in their order; None if all are the same."""
    finite = np.where(np.abs(values) < _LARGEST, values, np.nan)
    known = finite[~np.isnan(finite)]
    if not known.size or known.min() == known.max():
        return None
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4, 2.2))
        axes = figure.subplots()
        axes.stairs(finite, np.arange(finite.size + 1) - 0.5, fill=True, color=_FIRST)
        axes.axhline(0, color=_INK, linewidth=0.6)
        axes.set(xlabel="number", ylabel="value")
        return _drawing(figure)


def matrix(values: NDArray[np.float64]) -> Drawing:
    """Return a matrix as an image: blue below 0, red above, gray for what is not finite."""
    return _image(_colored(values, _largest(values)))


def filters(values: NDArray[np.float64]) -> Drawing:
    """Return filters, [filters, channels, rows, columns], side by side: colors of 3 channels, else as of a matrix."""
    limit = _largest(values)
    number, channels, height, width = values.shape
    across = math.isqrt(number - 1) + 1
    down = math.ceil(number / across)
    sheet = np.zeros((down * (height + _GAP) - _GAP, across * (width + _GAP) - _GAP, 4))
    for index in range(number):
        if channels == 3:
            image = np.ones((height, width, 4))
            image[..., :3] = np.nan_to_num(0.5 + np.moveaxis(values[index], 0, -1) / (2 * limit), nan=0.5).clip(0, 1)
        else:
            image = _colored(values[index, 0], limit)
        top, left = index // across * (height + _GAP), index % across * (width + _GAP)
        sheet[top : top + height, left : left + width] = image
    return _image(sheet)


def _largest(values: NDArray[np.float64]) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return min(float(finite.max(initial=0.0)), _LARGEST) or 1.0


def _colored(values: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    scaled = np.where(np.isfinite(values), (values / limit + 1) / 2, np.nan)
    colors = np.array(mpl.colormaps["RdBu_r"](np.ma.masked_invalid(scaled)), np.float64)
    colors[~np.isfinite(values)] = (0.5, 0.5, 0.5, 1.0)
    return colors


def _image(colors: NDArray[np.float64]) -> Drawing:
    scale = max(1, 384 // colors.shape[1])
    file = io.BytesIO()
    imsave(file, colors, format="png", metadata={"Software": ""})
    return Drawing("image/png", file.getvalue(), colors.shape[1] * scale, colors.shape[0] * scale, colors)


def _drawing(figure: Figure) -> Drawing:
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    width, height = figure.get_size_inches() * 96
    return Drawing("image/svg+xml", file.getvalue(), round(width), round(height), figure)
