"""Operations that combine or choose values."""

from collections.abc import Sequence
from functools import reduce

from onnx import TensorProto

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.net.operations import combination

_ELTWISE = {"prod": "Mul", "sum": "Add", "max": "Max"}
_REDUCTIONS = {"sum": "ReduceSum", "asum": "ReduceL1", "sumsq": "ReduceSumSquare", "mean": "ReduceMean"}


@emits(combination.ArgMax)
def arg_max(layer: LayerNodes, operation: combination.ArgMax, x: str) -> str:
    """Say ArgMax: TopK over the axis in reverse order, since of equal values Caffe takes the last first."""
    shape = layer.shape(x)
    axis = 1 if operation.axis is None else operation.axis
    if operation.axis is None:
        x = layer.reshaped(x, [0, -1])
        count = 1
        for dim in layer.known(shape[1:], x):
            count *= dim
    else:
        (count,) = layer.known(shape[axis : axis + 1], x)
    backwards = layer.add("Gather", x, layer.integers(range(count)[::-1], "order"), axis=axis)
    values, places = layer.add_all("TopK", 2, backwards, layer.integers([operation.top_k], "k"), axis=axis)
    indices = layer.floats(layer.add("Sub", layer.integers(count - 1, "last"), places))
    if operation.axis is not None:
        return values if operation.values else indices
    one, both = ((0, amount, operation.top_k, *(1,) * (len(shape) - 3)) for amount in (1, 2))
    if not operation.values:
        return layer.reshaped(indices, one)
    return layer.reshaped(layer.add("Concat", indices, values, axis=1), both)


@emits(combination.BatchReindex)
def batch_reindex(layer: LayerNodes, operation: combination.BatchReindex, x: str, index: str) -> str:
    """Say BatchReindex, which is Gather."""
    return layer.add("Gather", x, layer.whole(index), axis=0)


@emits(combination.Eltwise)
def eltwise(layer: LayerNodes, operation: combination.Eltwise, *bottoms: str) -> str:
    """Say Eltwise; the largest value of NaN and another is NaN, which in Caffe depends on their order."""
    values: Sequence[str] = bottoms
    if operation.operation == "sum":
        coefficients = operation.coefficients or (1.0,) * len(bottoms)
        if coefficients == (1.0, -1.0):
            return layer.add("Sub", *bottoms)
        values = [
            value if factor == 1 else layer.add("Mul", value, layer.constant(factor, "coefficient"))
            for value, factor in zip(bottoms, coefficients, strict=True)
        ]
    operator = _ELTWISE[operation.operation]
    return reduce(lambda one, other: layer.add(operator, one, other), values)


@emits(combination.Filter)
def filter_(layer: LayerNodes, operation: combination.Filter, *bottoms: str) -> list[str]:
    """Say Filter, which is Gather of the items whose selector is not 0."""
    *values, selector = bottoms
    chosen = layer.chosen(layer.add("Cast", selector, to=TensorProto.BOOL))
    return [layer.add("Gather", value, chosen, axis=0) for value in values]


@emits(combination.Reduction)
def reduction(layer: LayerNodes, operation: combination.Reduction, x: str) -> str:
    """Say Reduction."""
    operator = _REDUCTIONS[operation.operation]
    if operation.axis == 0:
        y = layer.add(operator, x, keepdims=0)
    else:
        y = layer.reduced(operator, x, range(operation.axis, len(layer.shape(x))), keep=False)
    if operation.coefficient != 1:
        y = layer.add("Mul", y, layer.constant(operation.coefficient, "coefficient"))
    return y
