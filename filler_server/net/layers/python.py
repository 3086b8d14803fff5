"""Python layers: only their code knows what they produce."""

from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations.base import Operation, Python
from filler_server.net.registry import at_least, register


@register("Python", bottoms=at_least(0), tops=at_least(0), open_blobs=True)
def python(layer: LayerContext) -> SetUp:
    """Nothing is known of the tops but of one in place, which has the shape that it had."""
    parameter = layer.parameter.python_param
    return unknown_tops(layer, Python(module=parameter.module, layer=parameter.layer, param_str=parameter.param_str))


def unknown_tops(layer: LayerContext, operation: Operation) -> SetUp:
    """Return tops of which nothing is known, but for one in place."""
    first = [layer.bottoms[0] if layer.in_place else None][: layer.num_tops]
    return SetUp([*first, *[None] * (layer.num_tops - len(first))], operation=operation)
