"""Signals that vanish or explode on their way through a net, as theory predicts them (`diagnostics.signal`).

Forward it is the mean square of what comes into each layer with weights, from the second on, as only the source of the
data knows how large they are; and not behind the last one, whose scores may be small. Backward it is the square of the
length of the gradient at the tops of these layers, over all elements of a sample.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.diagnostics.lint.weights import with_moments
from filler_server.diagnostics.signal.analysis import signal
from filler_server.net.operations.normalization import BN, BatchNorm
from filler_server.net.plan import Value

_FACTOR = 1e6
"""Ratio of mean squares from which on a signal counts as gone, or as out of hand: 1000 of root mean squares."""

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
    """Find nets in which the signal, or the gradient, falls to less than a millionth in mean square."""
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
    """Find nets in which the signal, or the gradient, grows to more than a million times in mean square."""
    for course in _courses(net):
        if course.factor > _FACTOR:
            yield _hit(net, course, "explodes")


def _hit(net: Net, course: _Course, what: str) -> Hit:
    layer = course.begin()
    message = f"{course.words} {what}: its mean square comes to {course.factor:.1g} of what it was at the start"
    return Hit(message, net.places[layer])


def _courses(net: Net) -> tuple[_Course, ...]:
    learned = sum(bool(layer.blobs) for layer in net.plan.layers)
    if net.plan.phase != "TRAIN" or net.file.trained or net.lacks_fillers or learned < _LEAST_LAYERS:
        return ()
    return net.plan.keep("courses of lint", None, lambda: _worked_out(net))


def _worked_out(net: Net) -> tuple[_Course, ...]:
    plan = with_moments(net.plan)
    report = signal(plan)
    values = {value.value: value for value in report.values}
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
