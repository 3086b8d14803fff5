"""Inner products with margins, for training on many classes."""

from filler_server.net.dimensions import Dim, Dims, Unknown, count, differ
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import inner_product as operations
from filler_server.net.registry import between, exactly, register_fork, up_to


@register_fork(
    "MarginInnerProduct",
    bottoms=exactly(2),
    tops=between(1, 2),
    fork_fields=["margin_inner_product_param"],
    roles=up_to("weight"),
)
def margin_inner_product(layer: LayerContext) -> SetUp:
    """Weight [num_output, K], K all axes from `axis` on (wy1iu/sphereface, margin_inner_product_layer.cpp)."""
    return _with_margin(layer, "margin_inner_product_param")


@register_fork(
    "LargeMarginInnerProduct",
    bottoms=exactly(2),
    tops=between(1, 2),
    fork_fields=["largemargin_inner_product_param"],
    roles=up_to("weight"),
)
def large_margin_inner_product(layer: LayerContext) -> SetUp:
    """Weight [num_output, K] (wy1iu/LargeMargin_Softmax_Loss, largemargin_inner_product_layer.cpp)."""
    return _with_margin(layer, "largemargin_inner_product_param")


def _with_margin(layer: LayerContext, block: str) -> SetUp:
    data, labels = layer.bottoms
    num_output = layer.fork.integer(f"{block}.num_output", 0)
    layer.require(num_output > 0, "num_output must be positive", num_output=num_output)
    inputs: Dim
    top: Dims
    axis = layer.fork.integer(f"{block}.axis", 1, least=-(1 << 31), most=(1 << 31) - 1)
    if isinstance(data, Unknown):
        inputs = top = data
    else:
        axis = layer.axis(data, axis)
        inputs, top = count(data, axis), (*data[:axis], num_output)
        if isinstance(labels, tuple) and differ(data[0], labels[layer.axis(labels, 0)]):
            layer.refuse("Number of labels must match number of output", data=data, label=labels)
    weight = LearnedBlob((num_output, inputs), layer.fork.filler(f"{block}.weight_filler"))
    annealed: Dims = (1,)
    fork = layer.fork

    def operation() -> operations.MarginInnerProduct:
        return operations.MarginInnerProduct(
            layer_type=layer.type,
            num_output=num_output,
            axis=axis,
            margin=fork.choice(f"{block}.type", ("SINGLE", "DOUBLE", "TRIPLE", "QUADRUPLE")),
            base=fork.number(f"{block}.base", 1),
            gamma=fork.number(f"{block}.gamma", 0),
            power=fork.number(f"{block}.power", 1),
            lambda_min=fork.number(f"{block}.lambda_min", 0),
            iteration=fork.integer(f"{block}.iteration", 0, least=-(1 << 31), most=(1 << 31) - 1),
        )

    return SetUp([top, annealed][: layer.num_tops], layer.learned(weight), layer.operation(operation))
