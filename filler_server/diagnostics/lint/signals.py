"""Signals that vanish or explode on their way through a net, as theory predicts them (`diagnostics.signal`).

Forward it is the mean square of what comes into each layer with weights, from the second on, as only the source of the
data knows how large they are; and not behind the last one, whose scores may be small. Backward it is the square of the
length of the gradient at the tops of these layers, over all elements of a sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.diagnostics.lint.weights import with_moments
from filler_server.diagnostics.signal.analysis import signal
from filler_server.diagnostics.signal.report import ValueSignal
from filler_server.net.operations.normalization import BN, BatchNorm
from filler_server.net.plan import Value

_FACTOR = 4e5
"""Ratio of mean squares from which on a signal counts as gone, or as out of hand: about 600 of root mean squares.

Twenty layers that each halve or double the mean square come to it, though the first of them is not counted.
"""

_LEAST_LAYERS = 3
"""Layers with weights over which a signal can have a course: from the second one on, and not behind the last."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Size of a signal at a layer, by the index of the layer in the plan."""

    layer: int
    size: float


@dataclass(frozen=True, slots=True)
class _Course:
    """A signal in the order in which it goes through the layers."""

    words: str
    steps: Sequence[_Step]

    @property
    def factor(self) -> float:
        """The last size divided by the first; 1 where nothing is known."""
        return self.steps[-1].size / self.steps[0].size if len(self.steps) > 1 and self.steps[0].size else 1.0

    def begin(self) -> int:
        """Return the layer from which on every size is more than half of the way, in powers, to the last one."""
        half = self.factor**0.5
        for at, step in enumerate(self.steps):
            ratios = [later.size / self.steps[0].size for later in self.steps[at:]]
            if all(ratio <= half if half < 1 else ratio >= half for ratio in ratios):
                return step.layer
        return self.steps[-1].layer


@register(
    "FIL011",
    "vanishing-signal",
    "warning",
    why="A net whose signal or gradient vanishes on its way does not learn in its first layers, or at all.",
    mend="Scale the weights of each layer by its fan (msra, xavier, orthogonal), or normalize between the layers.",
)
def vanishing(net: Net) -> Iterator[Hit]:
    """Find nets in which the signal, or the gradient, falls to a 400,000th in mean square, or to nothing."""
    for dead, reader in _deaths(net).items():
        message = f"forward, the signal ends: layer '{net.plan.layers[reader].name}' gets nothing but zeros"
        yield Hit(message, net.places[dead], mend="Let the layer make values other than 0 at the start.")
    for course in _courses(net):
        if 0 < course.factor < 1 / _FACTOR:
            yield _hit(net, course, "vanishes")


@register(
    "FIL012",
    "exploding-signal",
    "warning",
    why="A signal that grows from layer to layer saturates units, or ends in a loss that is huge or NaN.",
    mend="Scale the weights of each layer by its fan (msra, xavier, orthogonal), or normalize between the layers.",
)
def exploding(net: Net) -> Iterator[Hit]:
    """Find nets in which the signal, or the gradient, grows to 400,000 times in mean square."""
    for course in _courses(net):
        if course.factor > _FACTOR:
            yield _hit(net, course, "explodes")


def _hit(net: Net, course: _Course, what: str) -> Hit:
    layer = course.begin()
    message = f"{course.words} {what}: its mean square comes to {course.factor:.1g} of what it was at the start"
    return Hit(message, net.places[layer])


def _starts(net: Net) -> bool:
    """Whether the net is trained from what its fillers make."""
    return net.plan.phase == "TRAIN" and not net.file.trained and not net.lacks_fillers


def values_of(net: Net) -> Mapping[Value, ValueSignal]:
    """Return the signal of each value of a net, with weights as their own fillers make them."""

    def worked_out() -> Mapping[Value, ValueSignal]:
        return {value.value: value for value in signal(with_moments(net.plan)).values}

    return net.plan.keep("signal of lint", None, worked_out)


def _deaths(net: Net) -> dict[int, int]:
    """Return the layers that make zeros of a signal, each with the first layer with weights that gets these.

    Residual branches may begin with zeros, and of weights that are 0 another rule tells.
    """
    if not _starts(net) or not any(weight.mean_square for weight in net.weights):
        return {}
    values, origins, found = values_of(net), dict[Value, int](), dict[int, int]()
    unfilled = {weight.layer for weight in net.weights if weight.is_zero}
    readers = {weight.layer for weight in net.weights if not net.flow.is_residual(weight.layer)}
    for index, layer in enumerate(net.plan.layers):
        dead = next((origins[value] for value in layer.producers if value in origins), index)
        for top in range(len(layer.tops)):
            if values[Value(index, top)].mean_square == 0:
                origins[Value(index, top)] = dead
        is_told = dead in unfilled or net.plan.layers[dead].is_source
        if index in readers and layer.producers[0] in origins and not is_told:
            found.setdefault(dead, index)
    return found


def _courses(net: Net) -> tuple[_Course, ...]:
    learned = sum(bool(layer.blobs) for layer in net.plan.layers)
    if not _starts(net) or learned < _LEAST_LAYERS:
        return ()
    return net.plan.keep("courses of lint", None, lambda: _worked_out(net))


def _worked_out(net: Net) -> tuple[_Course, ...]:
    plan, values = net.plan, values_of(net)
    forward, backward = [], []
    for index, layer in enumerate(plan.layers):
        if not layer.blobs or len(layer.blobs[0].shape or ()) < 2 or not layer.producers:
            continue
        came, gradient = values[layer.producers[0]].mean_square, values[Value(index, 0)].gradient_mean_square
        if came is not None:
            forward.append(_Step(index, came))
        if gradient is not None:
            backward.append(_Step(index, gradient * prod(dim or 1 for dim in (layer.tops[0].shape or ())[1:])))
    if any(isinstance(layer.operation, BatchNorm | BN) for layer in plan.layers):
        # Gradients grow from one to the next (Yang et al. 2019), and weights in front of them are as good at any size.
        backward = []
    # The last layer gets the gradient of the loss itself.
    return (
        _Course("forward, the signal", forward[1:]),
        _Course("backward, the gradient", backward[-2::-1]),
    )
