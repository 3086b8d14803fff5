"""Operations that combine or choose values."""

from collections.abc import Sequence

from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import call, literal
from filler_server.models.torch.registry import emits
from filler_server.net.operations import combination as of

_MOST_CHAINED = 50


@emits(of.ArgMax)
def arg_max(layer: Layer, operation: of.ArgMax) -> str:
    """Write ArgMax."""
    named: dict[str, object] = {"axis": operation.axis}
    if operation.top_k != 1:
        named["top_k"] = operation.top_k
    if operation.values:
        named["values"] = True
    if operation.axis is None:
        return f"arg_max_of_item({', '.join([layer.bottoms[0], *_named(named)[1:]])})"
    return f"arg_max({', '.join([layer.bottoms[0], *_named(named)])})"


@emits(of.BatchReindex)
def batch_reindex(layer: Layer, operation: of.BatchReindex) -> str:
    """Write BatchReindex as `index_select`."""
    x, index = layer.bottoms
    return f"{x}.index_select(0, {index}.long())"


@emits(of.Eltwise)
def eltwise(layer: Layer, operation: of.Eltwise) -> str:
    """Write Eltwise; of equal values the maximum passes its gradient on to the one that Caffe chooses."""
    match operation.operation:
        case "prod":
            return _chained(layer.bottoms, " * ", "math.prod")
        case "max":
            return f"eltwise_max({', '.join(layer.bottoms)})"
        case _:
            return _chained(_terms(layer.bottoms, operation.coefficients), " + ", "sum")


@emits(of.Filter)
def filter_(layer: Layer, operation: of.Filter) -> list[str]:
    """Write Filter as a mask."""
    *bottoms, selector = layer.bottoms
    return [f"{x}[{selector}.flatten() != 0]" for x in bottoms]


@emits(of.HDF5Output)
def hdf5_output(layer: Layer, operation: of.HDF5Output) -> list[str]:
    """Write HDF5Output as nothing, as it has no tops."""
    layer.note("writes its bottoms to a file in Caffe, and does nothing here")
    return []


@emits(of.Reduction)
def reduction(layer: Layer, operation: of.Reduction) -> str:
    """Write Reduction over all axes from its axis on."""
    x = layer.bottoms[0]
    reduced = {
        "sum": f"{x}{{}}.sum({{}})",
        "asum": f"{x}.abs(){{}}.sum({{}})",
        "sumsq": f"{x}.square(){{}}.sum({{}})",
        "mean": f"{x}{{}}.mean({{}})",
    }[operation.operation]
    last = layer.axes() - 1
    flat = "" if operation.axis in (0, last) else f".flatten({operation.axis})"
    expression = reduced.format(flat, "" if operation.axis == 0 else "-1")
    return expression if operation.coefficient == 1 else f"{literal(operation.coefficient)} * {expression}"


@emits(of.Silence)
def silence(layer: Layer, operation: of.Silence) -> list[str]:
    """Write Silence as nothing."""
    return []


def _named(named: dict[str, object]) -> list[str]:
    return call("", (), named)[1:-1].split(", ")


def _terms(bottoms: tuple[str, ...], coefficients: tuple[float, ...]) -> list[str]:
    return [
        bottom if coefficient == 1 else f"{literal(coefficient)} * {bottom}"
        for bottom, coefficient in zip(bottoms, coefficients, strict=True)
    ]


def _chained(terms: Sequence[str], operator: str, function: str) -> str:
    """Return terms with an operator between them, or as a list where they are more than Python can nest."""
    return operator.join(terms) if len(terms) <= _MOST_CHAINED else f"{function}([{', '.join(terms)}])"
