"""Spread of the weights against the fan and the nonlinearity: how each layer scales the signal.

The root mean square of what a layer passes on is that of what it gets times sqrt(n E[w^2] f): n inputs of each output,
weights of mean square E[w^2], and f, the part of the mean square that the nonlinearity keeps. f is 1/2 for a ReLU of
values that are symmetric around 0 (He et al. 2015), and 1 for a TanH of small values and where there is none. Weights
with a mean add up what inputs have in common, which the theory of `diagnostics.signal` knows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import exp, log, sqrt

from caffe_filler.caffe import caffe_pb2
from filler_server.diagnostics.lint.flow import Kind
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.signals import values_of
from filler_server.diagnostics.lint.subject import Net
from filler_server.diagnostics.lint.weights import Weight
from filler_server.net.operations.convolution import Convolution
from filler_server.net.operations.inner_product import InnerProduct

_LEAST, _MOST = 0.5, 2.0
_KNOWN: frozenset[Kind] = frozenset(("relu", "tanh", "sigmoid", "weight", "end"))
_VISIBLE = 2**0.5
"""Factor of the mean square from which on a filler by which the signal is to keep its size does not do that."""

_SIGMOID_SQUARE = 0.3
"""About the mean square of a sigmoid's values, which lie around 1/2."""

_SATURATED = 4.0
"""Root mean square of the input of a sigmoid beyond which most of its units are saturated."""

_BLOWN_UP = 100.0
"""Factor of the root mean square beyond which no layer that follows could bring it back, but a normalization."""

_WORDS: Mapping[Kind, str] = {"relu": "before a ReLU", "tanh": "before a TanH", "sigmoid": "before a Sigmoid"}
_MOST_SIGMOIDS = 3
_VANISHED = 0.05


@dataclass(frozen=True, slots=True)
class _Gain:
    """Factor of the root mean square, at least and at most over the ways after a layer, and what these come to."""

    weight: Weight
    least: float
    most: float
    kinds: frozenset[Kind]

    @property
    def words(self) -> str:
        fan = f"{self.weight.inputs:g} inputs" if self.weight.inputs != 1 else "1 input"
        return " ".join([f"over {fan}", *(_WORDS[kind] for kind in sorted(self.kinds) if kind in _WORDS)])


@register(
    "FIL007",
    "std-too-small",
    "warning",
    why="Weights that are small for the fan shrink the signal, and after a few layers neither it nor the gradient is "
    "left.",
    mend='Use { type: "msra" } before a ReLU and { type: "xavier" } elsewhere, or the std that they would have.',
    collapse=True,
)
def too_small(net: Net) -> Iterator[Hit]:
    """Find hidden layers that leave less than half of the root mean square."""
    found = [gain for gain in _gains(net) if gain.most < _LEAST and net.flow.is_hidden(gain.weight.layer)]
    yield from _hits(net, found, [gain.most for gain in found])


@register(
    "FIL008",
    "std-too-large",
    "warning",
    why="Weights that are large for the fan blow the signal up, saturate units, and make the loss huge or NaN.",
    mend='Use { type: "msra" } before a ReLU and { type: "xavier" } elsewhere, or the std that they would have.',
    collapse=True,
)
def too_large(net: Net) -> Iterator[Hit]:
    """Find layers that more than double the root mean square."""
    found = [gain for gain in _gains(net) if gain.least > _MOST]
    yield from _hits(net, found, [gain.least for gain in found])


@register(
    "FIL009",
    "xavier-before-relu",
    "note",
    why="A ReLU drops half of the mean square, which xavier does not make up for.",
    mend='Use { type: "msra" } before a ReLU.',
    collapse=True,
)
def xavier_before_relu(net: Net) -> Iterator[Hit]:
    """Find hidden layers with xavier whose values all come to a ReLU first, which leaves less of the signal."""
    found: dict[int, tuple[Weight, float]] = {}
    for weight in _judged(net, "xavier"):
        whole = _scaled(net, weight, 1.0) if net.flow.after(weight.layer) == {"relu"} else None
        square = None if whole is None else whole * net.flow.kept(weight.layer)[1]
        if square is not None and square * _VISIBLE < 1:
            found[weight.layer] = weight, sqrt(square)
    depth = _depth(net, {layer: log(factor) for layer, (_, factor) in found.items()})
    for layer, (weight, factor) in found.items():
        message = f"xavier before a ReLU leaves {factor:.2g} of the root mean square"
        yield Hit(_with_depth(message, depth), net.places[layer], (*weight.path, "type"))


@register(
    "FIL010",
    "msra-without-relu",
    "note",
    why="msra doubles the variance to make up for a ReLU; without one the signal grows, or saturates a TanH.",
    mend='Use { type: "xavier" } where no ReLU follows.',
    collapse=True,
)
def msra_without_relu(net: Net) -> Iterator[Hit]:
    """Find hidden layers with msra whose values come to a TanH, a Sigmoid or no nonlinearity, so that they grow."""
    found: dict[int, tuple[Weight, float]] = {}
    for weight in _judged(net, "msra"):
        whole = _scaled(net, weight, 2.0) if net.flow.after(weight.layer) <= _KNOWN - {"relu"} else None
        if whole is not None and whole > _VISIBLE:
            found[weight.layer] = weight, sqrt(whole)
    depth = _depth(net, {layer: log(factor) for layer, (_, factor) in found.items()})
    for layer, (weight, factor) in found.items():
        kinds = net.flow.after(layer)
        where = " and ".join(_WORDS[kind] for kind in sorted(kinds) if kind in _WORDS) or "without a nonlinearity"
        message = f"msra {where} makes the root mean square {factor:.3g} times as large"
        yield Hit(_with_depth(message, depth), net.places[layer], (*weight.path, "type"))


@register(
    "FIL047",
    "stack-of-sigmoids",
    "warning",
    why="A sigmoid passes at most a quarter of the gradient, so that little of it reaches the first layers of a stack.",
    mend="Use ReLU or TanH, normalize between the layers, or scale the weights up (Glorot and Bengio 2010).",
    collapse=True,
)
def stack_of_sigmoids(net: Net) -> Iterator[Hit]:
    """Find stacks of layers with sigmoids in which the gradient shrinks to less than a twentieth."""
    logs: dict[int, float] = {}
    for weight in net.weights:
        square, kinds = weight.mean_square, net.flow.after(weight.layer)
        if kinds == {"sigmoid"} and square and weight.outputs and net.flow.is_hidden(weight.layer):
            logs[weight.layer] = log(min(sqrt(weight.outputs * square) / 4, 1.0))
    number, total = _depth(net, logs)
    if number < _MOST_SIGMOIDS or exp(total) > _VANISHED:
        return
    for weight in net.weights:
        if weight.layer in logs:
            message = f"{number} sigmoids in a row leave at most {exp(total):.2g} of the gradient to the first layers"
            yield Hit(message, net.places[weight.layer])


def _gains(net: Net) -> Iterator[_Gain]:
    """Yield how the layers scale the signal, for which that is known: those before a normalization are left out."""
    if net.file.trained:
        return
    for weight in net.weights:
        layer, square = net.plan.layers[weight.layer], weight.mean_square
        kinds = net.flow.after(weight.layer)
        if not square or not weight.inputs or weight.blob.owner or not weight.rate or layer.type == "Embed":
            continue
        if (
            weight.filler.type == "bilinear"
            or net.flow.is_residual(weight.layer)
            or net.flow.is_from_data(layer.producers[0])
        ):
            continue
        low, high, sign = _wholes(net, weight)
        if not kinds <= _KNOWN:
            if "norm" not in kinds and sqrt(low) > _BLOWN_UP:
                yield _Gain(weight, sqrt(low), float("inf"), kinds)
            continue
        least, most = net.flow.kept(weight.layer)
        if "relu" in kinds:
            # Of sums that are mostly of one sign a ReLU keeps nearly all, or nearly nothing.
            least, most = (0.0 if sign in (-1, None) else least), (1.0 if sign in (1, None) else most)
        if "sigmoid" in kinds:
            least, most = min(least, _SIGMOID_SQUARE * (_MOST / _SATURATED) ** 2), float("inf")
        yield _Gain(weight, sqrt(low * least), sqrt(high * most), kinds)


def _wholes(net: Net, weight: Weight) -> tuple[float, float, int | None]:
    """Return the factor of the mean square before a nonlinearity, at least and at most, and the sign of the sums' mean.

    The sign is 0 where they have no mean, and None where it is not known.
    """
    (mean, std), number = weight.moments or (0.0, 0.0), weight.inputs or 0.0
    plain = number * (mean**2 + std**2)
    if not mean:
        return plain, plain, 0
    common = number * max(number - 1, 0.0) * mean**2
    came = values_of(net)[net.plan.layers[weight.layer].producers[0]]
    if came.mean is None or not came.mean_square:
        return plain, plain + common, None
    whole = plain + common * came.mean**2 / came.mean_square
    return whole, whole, 0 if not came.mean else 1 if mean * came.mean > 0 else -1


def _scaled(net: Net, weight: Weight, usual: float) -> float | None:
    """Return the factor of the mean square before a nonlinearity for a filler that scales by a fan; None if unknown.

    Args:
        net: the net.
        weight: the weight.
        usual: the factor by the fan of the inputs, which a weight of unknown shape has, too.
    """
    if weight.mean_square is not None and weight.inputs is not None:
        return weight.inputs * weight.mean_square
    operation = net.plan.layers[weight.layer].operation
    is_plain = isinstance(operation, Convolution) or (isinstance(operation, InnerProduct) and not operation.transpose)
    return usual if is_plain and weight.filler.variance_norm == caffe_pb2.FillerParameter.FAN_IN else None


def _hits(net: Net, found: list[_Gain], factors: list[float]) -> Iterator[Hit]:
    pairs = list(zip(found, factors, strict=True))
    depth = _depth(net, {gain.weight.layer: log(factor) for gain, factor in pairs})
    for gain, factor in pairs:
        weight = gain.weight
        square = weight.mean_square or 0.0
        size, wanted = f"std {sqrt(square):.3g}", sqrt(square) / factor
        mend, short = f"A std of {wanted:.2g} keeps the signal.", f"{factor:.2g} times, std {wanted:.2g}"
        if weight.moments is not None and weight.moments[0]:
            size, mend = "mean {:.3g} and std {:.3g}".format(*weight.moments), "Take weights whose mean is 0."
            short = f"{factor:.2g} times"
        if gain.kinds == {"sigmoid"}:
            inputs = factor * _SATURATED / _MOST
            message = f"{size} {gain.words}: its input has a root mean square of {inputs:.2g}, which saturates it"
        else:
            message = f"{size} {gain.words} makes the root mean square {factor:.2g} times what it was"
        place, path = net.places[weight.layer], weight.path
        yield Hit(_with_depth(message, depth), place, path, mend=mend, short=short)


def _judged(net: Net, kind: str) -> Iterator[Weight]:
    """Yield the hidden weights with a filler of a type by which the signal is to keep its size."""
    for weight in net.weights:
        is_own = weight.blob.owner is None and not weight.blob.given and weight.rate and not net.file.trained
        is_other = net.plan.layers[weight.layer].type == "Embed" or net.flow.is_residual(weight.layer)
        if is_own and weight.filler.type == kind and net.flow.is_hidden(weight.layer) and not is_other:
            yield weight


def _depth(net: Net, logs: Mapping[int, float]) -> tuple[int, float]:
    """Return how many of some layers lie on one way through the net, at most, and the sum of their logarithms."""
    ends: list[tuple[int, float]] = []
    for index, layer in enumerate(net.plan.layers):
        before: Iterable[tuple[int, float]] = (ends[value.layer] for value in layer.producers)
        number, total = max(before, default=(0, 0.0), key=lambda end: end[0])
        ends.append((number + 1, total + logs[index]) if index in logs else (number, total))
    return max(ends, default=(0, 0.0), key=lambda end: end[0])


def _with_depth(message: str, depth: tuple[int, float]) -> str:
    number, total = depth
    if number < 2:
        return message
    return f"{message}, and {number} such layers one after the other together {exp(min(total, 700)):.2g} times"
