"""Inner products and tables."""

from filler_server.models.onnx.layer import LayerNodes
from filler_server.models.onnx.registry import emits
from filler_server.models.refusal import NoCounterpart
from filler_server.net.operations import inner_product


@emits(inner_product.InnerProduct)
def multiply(layer: LayerNodes, operation: inner_product.InnerProduct, x: str, *further: str) -> str:
    """Say InnerProduct, which is Gemm over the inputs as a matrix."""
    shape = layer.shape(x)
    if operation.weight_bottom:
        weight = further[0]
        matrix = layer.shape(weight)
        if len(matrix) != 2:
            weight = layer.reshaped(weight, [*layer.known(matrix[:1], weight), -1])
    else:
        rows, columns = layer.blob_shape(0)[-2:]
        weight = layer.weight(0, (rows, columns))
    parameters = [weight]
    if operation.bias_bottom:
        parameters.append(layer.reshaped(further[-1], [-1]))
    elif operation.bias:
        parameters.append(layer.weight(len(layer.node.blobs) - 1, (_outputs(operation),)))
    if operation.axis == 1 and len(shape) != 2:
        x = layer.add("Flatten", x, axis=1)
    elif operation.axis != 1:
        inputs = 1
        for dim in layer.known(shape[operation.axis :], x):
            inputs *= dim
        x = layer.reshaped(x, [-1, inputs])
    y = layer.add("Gemm", x, *parameters, transB=int(not operation.transpose))
    return y if operation.axis == 1 else layer.as_top(y)


@emits(inner_product.Embed)
def embed(layer: LayerNodes, operation: inner_product.Embed, x: str) -> str:
    """Say Embed, which is Gather."""
    y = layer.add("Gather", layer.weight(0), layer.whole(x), axis=0)
    return layer.add("Add", y, layer.weight(1, (operation.num_output,))) if operation.bias else y


def _outputs(operation: inner_product.InnerProduct) -> int:
    if operation.num_output is None:
        raise NoCounterpart("its number of outputs is not known")
    return operation.num_output
