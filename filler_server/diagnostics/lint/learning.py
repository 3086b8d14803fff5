"""Rates of learning that leave weights at their random start."""

from collections.abc import Iterator

from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net

_MEANT_TO_STAY = ("bilinear", "identity", "dirac", "orthogonal")


@register(
    "FIL027",
    "frozen-at-random",
    "warning",
    why="With lr_mult 0 the weights stay what the filler made them, unless trained ones are loaded.",
    mend="Start from trained weights, which the solver or the caller names, or remove lr_mult: 0.",
    collapse=True,
)
def frozen_at_random(net: Net) -> Iterator[Hit]:
    """Find layers with random weights, or zeros, that are not trained, in a net that is."""
    if not net.training or net.lacks_fillers or net.file.trained:
        return
    # Where layers that are trained lack their fillers as well, the net is meant for trained weights: FIL003 tells that.
    lacking = any(weight.is_zero and weight.rate and net.flow.is_hidden(weight.layer) for weight in net.weights)
    for weight in net.weights:
        filler = weight.filler
        if weight.rate or weight.blob.given or weight.blob.owner or filler.type in _MEANT_TO_STAY:
            continue
        if (filler.type == "constant" and filler.value) or (weight.is_zero and lacking):
            continue
        start = "zeros" if weight.is_zero else f"what its filler of type '{filler.type}' makes"
        yield Hit(f"lr_mult is 0: the weights stay {start}", net.places[weight.layer], ("param", "lr_mult"))
