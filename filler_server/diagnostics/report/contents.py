"""Contents of a report: what is known of a net and of one or two sets of its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from caffe_filler.errors import FillerError
from filler_server.diagnostics.lint.findings import Findings
from filler_server.diagnostics.report import plots
from filler_server.diagnostics.report.plots import Drawing
from filler_server.diagnostics.report.sample import MOST_VALUES, BlobSample
from filler_server.diagnostics.signal.report import SignalReport, ValueSignal
from filler_server.diagnostics.statistics.checked import Checked
from filler_server.fillers import get_filler
from filler_server.fillers.distributions import Distribution
from filler_server.net.plan import Blob, NetPlan

MOST_DRAWN = 300
_ALT = {"filters": "Filters as images", "matrix": "Weights as an image", "bars": "Values as bars"}


@dataclass(frozen=True, slots=True)
class Weights:
    """A set of weights.

    Attributes:
        label: what to call it.
        checked: its blobs held against their fillers.
        samples: samples of those that have values, by name.
    """

    label: str
    checked: Checked
    samples: Mapping[str, BlobSample]


@dataclass(frozen=True, slots=True)
class Contents:
    """Contents of a page.

    Attributes:
        title: name of the net, or of the file.
        weights: the weights, and those that they are compared with.
        plan: the net; None where no net is known, and so with the next two.
        signal: its signal in theory.
        findings: likely mistakes in it.
        source: its text; empty for binary files.
        provenance: seed, stream and the like, as pairs of a name and a text.
        command: command that makes the same weights again, None for weights of files.
    """

    title: str
    weights: Sequence[Weights]
    plan: NetPlan | None = None
    signal: SignalReport | None = None
    findings: Findings | None = None
    source: str = ""
    provenance: Sequence[tuple[str, str]] = ()
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with words.

    Attributes:
        name: of a file, without an ending.
        drawing: the drawing.
        alt: its content in words.
        caption: what it is.
        label: the weights that it shows, where there are several.
    """

    name: str
    drawing: Drawing
    alt: str
    caption: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """Figures of a blob, of all weights."""

    name: str
    figures: list[Figure] = field(default_factory=list)


def signal_figures(report: SignalReport, plan: NetPlan | None) -> list[Figure]:
    """Return plots of the signal forward and backward, losses and inputs on which none depends (labels) left out."""
    found = []
    aside = {value.value for value in report.values if plan is not None and _is_aside(plan, value)}
    for name, title, direction, verdict in (
        ("mean_square", "mean square", "forward", report.verdict.forward),
        ("gradient_mean_square", "mean square of gradient", "backward", report.verdict.backward),
    ):
        sizes = [None if value.value in aside else getattr(value, name) for value in report.values]
        spreads = [None if value.spread is None else value.spread.get(name) for value in report.values]
        drawing = plots.signal_plot(title, sizes, spreads)
        if drawing is not None:
            known = [size for size in sizes if size]
            alt = f"{title} over {len(sizes)} values, between {min(known):.3g} and {max(known):.3g}"
            band = " shaded: the spread over seeds;" if any(spreads) else ""
            shown = f"Signal {direction}, {report.title}, losses and labels aside;{band} dashed: 1."
            caption = f"{shown} Course: {verdict.course}."
            found.append(Figure(f"signal-{direction}", drawing, alt, caption))
    return found


def _is_aside(plan: NetPlan, value: ValueSignal) -> bool:
    """Return whether a value is a loss, or an input on which none depends."""
    layer = plan.layers[value.value.layer]
    is_loss = value.value.top < len(layer.loss_weights) and layer.loss_weights[value.value.top] != 0
    return is_loss or (layer.is_source and value.gradient_mean_square == 0)


def cards(contents: Contents) -> tuple[list[Card], int]:
    """Return the figures of the blobs whose values differ, and how many such blobs are left out beyond 300."""
    blobs = {} if contents.plan is None else {blob.name: blob for blob in contents.plan.blobs}
    names = dict.fromkeys(name for weights in contents.weights for name in weights.samples)
    found: list[Card] = []
    left_out = 0
    for name in names:
        if not any(_is_varied(weights.samples.get(name)) for weights in contents.weights):
            continue
        if len(found) == MOST_DRAWN:
            left_out += 1
            continue
        card = Card(name)
        for number, weights in enumerate(contents.weights, 1):
            sample = weights.samples.get(name)
            if sample is not None:
                card.figures.extend(_figures(number, weights, sample, blobs.get(name)))
        found.append(card)
    return found, left_out


def _is_varied(sample: BlobSample | None) -> bool:
    if sample is None:
        return False
    finite = sample.spread[np.isfinite(sample.spread)]
    return bool(finite.size and finite.min() != finite.max())


def _figures(number: int, weights: Weights, sample: BlobSample, blob: Blob | None) -> list[Figure]:
    found = []
    distribution = None if blob is None else _distribution(blob, sample)
    drawing = plots.histogram(sample.spread, distribution)
    finite = sample.spread[np.isfinite(sample.spread)]
    if drawing is not None:
        low, high = float(finite.min()), float(finite.max())
        drawn = f"{sample.spread.size:,} of {sample.count:,} values"
        caption = f"Histogram of {drawn}" if sample.count > MOST_VALUES else f"Histogram of all {sample.count:,} values"
        caption += "; line: promised." if distribution is not None else "."
        alt = f"Histogram from {low:.3g} to {high:.3g}, mean {finite.mean():.3g}, std {finite.std():.3g}"
        found.append(Figure(f"histogram-{number}", drawing, alt, caption, weights.label))
    shown = _shown(sample)
    if shown is not None and sample.layout is not None:
        colors = " Blue: below 0, red: above." if _has_signs(sample) else ""
        caption = f"{sample.layout.caption.capitalize()}.{colors}"
        found.append(Figure(f"values-{number}", shown, _ALT[sample.layout.kind], caption, weights.label))
    return found


def _has_signs(sample: BlobSample) -> bool:
    layout = sample.layout
    return layout is not None and (
        layout.kind == "matrix" or (layout.kind == "filters" and layout.places.shape[1] == 1)
    )


def _shown(sample: BlobSample) -> Drawing | None:
    draw: Any = {"filters": plots.filters, "matrix": plots.matrix, "bars": plots.bars}
    if sample.layout is None or sample.shown is None:
        return None
    drawing: Drawing | None = draw[sample.layout.kind](sample.shown)
    return drawing


def _distribution(blob: Blob, sample: BlobSample) -> Distribution | None:
    """Return the distribution that a filler promises for a blob, None where it promises none."""
    if blob.given or blob.owner is not None:
        return None
    dtype = np.dtype(np.float64 if sample.dtype == np.float64 else np.float32)
    try:
        filler = get_filler(blob.filler)
        filler.check(sample.shape)
        return filler.distribution(sample.shape, dtype)
    except FillerError:
        return None
