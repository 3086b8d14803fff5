"""InnerProduct and Embed."""

from filler_server.net.dimensions import Dim, Dims, Unknown, count
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.registry import between, exactly, register, up_to


@register("InnerProduct", bottoms=between(1, 3), tops=exactly(1), roles=up_to("weight", "bias"), blob_axes=(2, 1))
def inner_product(layer: LayerContext) -> SetUp:
    """Weight [num_output, K], or [K, num_output] with transpose; bias [num_output]. K: all axes from `axis` on.

    A second bottom is the weight and a third one the bias (happynear/caffe-windows, inner_product_layer.cpp).
    """
    parameter = layer.parameter.inner_product_param
    bottom = layer.bottoms[0]
    num_output: Dim = parameter.num_output
    if len(layer.bottoms) > 1:
        layer.report("further bottoms of InnerProduct are taken for its weight and bias, as in happynear/caffe-windows")
        num_output = layer.legacy(1)[0]
    inputs: Dim
    top: Dims
    if isinstance(bottom, Unknown):
        inputs = bottom
        top = bottom if parameter.axis < 0 else (*layer.open_axes(bottom, parameter.axis), num_output)
    else:
        axis = layer.axis(bottom, parameter.axis)
        inputs = count(bottom, axis)
        top = (*bottom[:axis], num_output)
        if parameter.bias_term:
            layer.require_values(count(bottom, 0, axis), "the batch")
    layer.require(num_output != 0 or bool(layer.given), "num_output must be positive", num_output=num_output)
    weight = (inputs, num_output) if parameter.transpose else (num_output, inputs)
    blobs = [LearnedBlob(weight, parameter.weight_filler)] if len(layer.bottoms) == 1 else []
    if parameter.bias_term and len(layer.bottoms) < 3:
        blobs.append(LearnedBlob((num_output,), parameter.bias_filler))
    return SetUp([top], layer.learned(*blobs))


@register("Embed", bottoms=exactly(1), tops=exactly(1), roles=up_to("weight", "bias"), blob_axes=(2, 1))
def embed(layer: LayerContext) -> SetUp:
    """Weight [input_dim, num_output], bias [num_output]."""
    parameter = layer.parameter.embed_param
    bottom, num_output, input_dim = layer.bottoms[0], parameter.num_output, parameter.input_dim
    layer.require(num_output > 0, "EmbedLayer num_output must be positive", num_output=num_output)
    layer.require(input_dim > 0, "EmbedLayer input_dim must be positive", input_dim=input_dim)
    blobs = [LearnedBlob((input_dim, num_output), parameter.weight_filler)]
    if parameter.bias_term:
        blobs.append(LearnedBlob((num_output,), parameter.bias_filler))
        layer.require_values(count(bottom), "the input")
    return SetUp([bottom if isinstance(bottom, Unknown) else (*bottom, num_output)], layer.learned(*blobs))
