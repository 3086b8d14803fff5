"""Parameters of a model against the rules that should have filled them: what was declared, and what is there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerError
from caffe_filler.printable import shape_text
from filler_server.diagnostics.lint.findings import Finding
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register, rules
from filler_server.diagnostics.lint.selection import Selection
from filler_server.fillers import get_filler
from filler_server.fillers.truncation import TruncatedGaussian

_LEAST = 0.02
"""Relative difference of standard deviations up to which nothing is told, however many values there are."""

_ERRORS = 6.0
"""Standard errors of a standard deviation, or of a mean, that chance is allowed."""

_WIDE = 6.0
"""Standard deviations from which on a bound of a truncated distribution cuts nothing off that would ever be drawn."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A parameter as it is, with what a rule says of it.

    Attributes:
        name: its qualified name in the whole model.
        shape: the shape of the whole tensor.
        held: the shape of the part that was measured.
        rule: the rule, in a few words; empty where none fits.
        filler: the rule's filler; None where none fits, so with the next two.
        expected_mean: mean that theory expects of the whole tensor.
        expected_std: standard deviation, likewise.
        count: number of values that were measured; 0 for a tensor that has none, as on the device meta.
        finite: whether all of them are numbers.
        mean: their mean.
        std: their standard deviation.
        digest: a sum over their bytes, by which equal tensors are known.
        zero_rows: how many rows are zero on purpose.
    """

    name: str
    shape: tuple[int, ...]
    held: tuple[int, ...]
    rule: str = ""
    filler: FillerParameter | None = None
    expected_mean: float | None = None
    expected_std: float | None = None
    count: int = 0
    finite: bool = True
    mean: float = 0.0
    std: float = 0.0
    digest: str = ""
    zero_rows: int = 0


def check_parameters(parameters: Sequence[Measured], selection: Selection, name: str) -> list[Finding]:
    """Return the findings of a model.

    Args:
        parameters: its parameters, each once.
        selection: the rules that count.
        name: what to call the model in findings.
    """
    findings = []
    for rule in rules().values():
        if rule.scope == "parameters" and rule.code in selection.codes:
            for hit in rule.look(parameters):
                mend = hit.mend or rule.mend
                findings.append(Finding(rule.code, rule.severity, name, None, None, hit.name, hit.message, mend))
    places = {measured.name: place for place, measured in enumerate(parameters)}
    return sorted(findings, key=lambda finding: places.get(finding.layer or "", -1))


@register(
    "FIL054",
    "unfilled-parameter",
    "warning",
    why="A parameter that no rule fits, or that nothing has filled, starts as whatever was in memory.",
    mend="Add a rule for it; a rule '*' at the end fits every parameter.",
    scope="parameters",
)
def unfilled(parameters: Sequence[Measured]) -> Iterator[Hit]:
    """Find parameters without a rule, without values, or with values that are no numbers."""
    for one in parameters:
        if one.filler is None:
            yield Hit("no rule fits this parameter", name=one.name)
        elif not one.count and 0 not in one.held:
            yield Hit("it is on the device meta, and nothing has filled it", name=one.name)
        elif not one.finite:
            yield Hit("some of its values are infinite or NaN", name=one.name)


@register(
    "FIL055",
    "unlike-its-rule",
    "warning",
    why="The values are not those that the rule promises: another initializer filled them, a scale was left out, or "
    "the wrong fan was counted.",
    mend="Fill it by its rule (initialize_), or declare what is meant.",
    scope="parameters",
)
def unlike_its_rule(parameters: Sequence[Measured]) -> Iterator[Hit]:
    """Find parameters whose mean or standard deviation is not the one that was declared."""
    for one in parameters:
        if _is_known(one) and not _holds(one, one.expected_std) and not _is_of_shard(one):
            yield Hit(_difference(one), name=one.name)
        elif _is_known(one) and _holds(one, one.expected_std) and not _has_mean(one):
            message = f"{one.rule} promises the mean {one.expected_mean:.4g}; measured: {one.mean:.4g}"
            yield Hit(message, name=one.name)


@register(
    "FIL056",
    "fan-of-shard",
    "warning",
    why="Each rank scaled its values by the fan of its own part, so that they grow with the number of ranks.",
    mend="Scale by the fan of the whole tensor, as initialize_ does in every sharding.",
    scope="parameters",
)
def fan_of_shard(parameters: Sequence[Measured]) -> Iterator[Hit]:
    """Find parts of parameters that have the spread which the filler gives to a tensor of the part's own shape."""
    for one in parameters:
        if _is_known(one) and not _holds(one, one.expected_std) and _is_of_shard(one):
            part, whole = shape_text(one.held), shape_text(one.shape)
            message = f"the std is {one.std:.4g}, as for a tensor of {part}; for {whole} it is {one.expected_std:.4g}"
            yield Hit(message, name=one.name)


@register(
    "FIL057",
    "idle-truncation",
    "warning",
    why="Bounds that lie many standard deviations out cut nothing off: trunc_normal_ of PyTorch takes them as they "
    "are, -2 and 2, and not in units of std.",
    mend="Give bounds in units of std, such as min: -2 std and max: 2 std.",
    scope="parameters",
)
def idle_truncation(parameters: Sequence[Measured]) -> Iterator[Hit]:
    """Find rules with truncated distributions whose bounds never count, once each."""
    told: set[str] = set()
    for one in parameters:
        if one.filler is None or one.rule in told or 0 in one.shape:
            continue
        try:
            found = get_filler(one.filler).distribution(one.shape, np.dtype(np.float64))
        except FillerError:
            continue
        if isinstance(found, TruncatedGaussian) and found.scale > 0:
            nearest = min(found.maximum - found.center, found.center - found.minimum) / found.scale
            if isfinite(nearest) and nearest > _WIDE:
                told.add(one.rule)
                message = f"{one.rule}: its bounds lie {nearest:.3g} standard deviations from the mean"
                yield Hit(message, name=one.name)


@register(
    "FIL058",
    "identical-parameters",
    "warning",
    why="Parameters that are random and yet the same were filled from one seed, or copied: their units do the same.",
    mend="Fill each by its own name or from a stream that goes on; tie them where they are meant to be one.",
    scope="parameters",
)
def identical_parameters(parameters: Sequence[Measured]) -> Iterator[Hit]:
    """Find parameters of more than one value that hold the very same random values."""
    first: dict[tuple[str, tuple[int, ...]], str] = {}
    for one in parameters:
        if one.count < 2 or not one.std or not one.finite or not one.expected_std:
            continue
        other = first.setdefault((one.digest, one.held), one.name)
        if other != one.name:
            yield Hit(f"it holds the very values of '{other}'", name=one.name)


def _is_known(one: Measured) -> bool:
    return bool(one.count) and one.finite and one.expected_std is not None and one.expected_mean is not None


def _holds(one: Measured, std: float | None) -> bool:
    """Whether the standard deviation that was measured may be this one, by chance and by rows that are zero."""
    if std is None:
        return True
    if not std:
        return one.std <= 1e-6 + 0.01 * abs(one.mean)
    allowed = max(_LEAST, _ERRORS / sqrt(2 * one.count)) + one.zero_rows / max(one.shape[:1] or (1,))
    return abs(one.std / std - 1) <= allowed


def _has_mean(one: Measured) -> bool:
    mean, std = one.expected_mean or 0.0, one.expected_std or 0.0
    allowed = _ERRORS * std / sqrt(one.count) + 0.01 * abs(mean) + 1e-6
    return abs(one.mean - mean) <= allowed + abs(mean) * one.zero_rows / max(one.shape[:1] or (1,))


def _is_of_shard(one: Measured) -> bool:
    std = None if one.held == one.shape else _std(one.filler, one.held)
    return bool(std) and _holds(one, std)


def _difference(one: Measured) -> str:
    """Return how the standard deviation differs, and by which mistake it would be explained."""
    expected = one.expected_std or 0.0
    message = f"{one.rule} promises a std of {expected:.4g}; measured: {one.std:.4g}"
    if not one.std:
        return f"{message}, all values are {one.mean:.4g}"
    if not expected:
        return message
    turned = _std(one.filler, (one.shape[1], one.shape[0], *one.shape[2:])) if len(one.shape) > 1 else None
    explained: Iterable[tuple[float | None, str]] = (
        (turned, "as with the fans of input and output interchanged"),
        (expected * sqrt(2), "sqrt(2) times as much, the gain of a ReLU"),
        (expected / sqrt(2), "1 / sqrt(2) of it, without the gain of a ReLU"),
    )
    why = next(
        (words for std, words in explained if std and _holds(one, std)), f"{one.std / expected:.3g} times as much"
    )
    return f"{message}, {why}"


def _std(filler: FillerParameter | None, shape: tuple[int, ...]) -> float | None:
    """Return the standard deviation that a filler gives to a tensor of a shape; None where it cannot fill it."""
    if filler is None or not shape or 0 in shape:
        return None
    try:
        found = get_filler(filler)
        found.check(shape)
    except FillerError:
        return None
    return found.distribution(shape, np.dtype(np.float64)).std
