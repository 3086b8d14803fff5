"""InnerProduct and Embed."""

import math

from caffe_filler.caffe import caffe_pb2
from caffe_filler.shapes import MAX_AXES
from filler_server.net.dimensions import Dim, Dims, Unknown, count, known
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import inner_product as operations
from filler_server.net.registry import between, exactly, register, up_to

_NOISE, _SIGMA, _AXES = (f"inner_product_param.{name}" for name in ("enable_noise", "sigma_init", "min_top_axes"))
_SIGMA_INIT = 0.017


@register(
    "InnerProduct",
    bottoms=between(1, 3),
    tops=exactly(1),
    fork_fields=(_NOISE, _SIGMA, _AXES),
    roles=[*up_to("weight", "bias"), ("weight", "bias", "weight_sigma", "bias_sigma")],
    blob_axes=(2, 1),
)
def inner_product(layer: LayerContext) -> SetUp:
    """Weight [num_output, K], or [K, num_output] with transpose; bias [num_output]. K: all axes from `axis` on.

    A second bottom is the weight and a third one the bias (happynear/caffe-windows, inner_product_layer.cpp). With
    enable_noise a sigma like each of them comes after both, filled with sigma_init / sqrt(its last extent), and
    min_top_axes adds axes of 1 to the top (MyCaffe/MyCaffe, InnerProductLayer.cs).
    """
    parameter = layer.parameter.inner_product_param
    bottom = layer.bottoms[0]
    num_output: Dim = parameter.num_output
    if len(layer.bottoms) > 1:
        layer.report("further bottoms of InnerProduct are taken for its weight and bias, as in happynear/caffe-windows")
        num_output = layer.legacy(1)[0]
    inputs: Dim
    top: Dims
    axis = parameter.axis
    if isinstance(bottom, Unknown):
        inputs = bottom
        top = bottom if axis < 0 else (*layer.open_axes(bottom, axis), num_output)
    else:
        axis = layer.axis(bottom, axis)
        inputs = count(bottom, axis)
        top = (*bottom[:axis], num_output)
        if parameter.bias_term:
            layer.require_values(count(bottom, 0, axis), "the batch")
    layer.require(num_output != 0 or bool(layer.given), "num_output must be positive", num_output=num_output)
    fewest = layer.fork.integer(_AXES, 0, least=-1, most=MAX_AXES)
    if isinstance(top, tuple) and len(top) < fewest:
        top = (*top, *(1,) * (fewest - len(top)))
    weight = (inputs, num_output) if parameter.transpose else (num_output, inputs)
    blobs = [LearnedBlob(weight, parameter.weight_filler)] if len(layer.bottoms) == 1 else []
    if parameter.bias_term and len(layer.bottoms) < 3:
        blobs.append(LearnedBlob((num_output,), parameter.bias_filler))
    if layer.fork.flag(_NOISE, False):
        sigma = layer.fork.number(_SIGMA, _SIGMA_INIT)
        blobs += [LearnedBlob(blob.shape, _constant(sigma, blob.shape)) for blob in blobs]
        return SetUp([top], layer.learned(*blobs), layer.custom())
    operation = operations.InnerProduct(
        num_output=known(num_output),
        axis=axis,
        transpose=parameter.transpose,
        bias=parameter.bias_term,
        weight_bottom=len(layer.bottoms) > 1,
        bias_bottom=len(layer.bottoms) > 2,
    )
    return SetUp([top], layer.learned(*blobs), operation)


def _constant(sigma: float, shape: Dims) -> caffe_pb2.FillerParameter:
    """Return what fills a sigma with sigma / sqrt(last extent); without a value while that extent is unknown."""
    filler = caffe_pb2.FillerParameter(type="constant")
    if isinstance(shape, tuple) and isinstance(shape[-1], int) and shape[-1] > 0:
        filler.value = sigma / math.sqrt(shape[-1])
    return filler


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
    top = bottom if isinstance(bottom, Unknown) else (*bottom, num_output)
    operation = operations.Embed(num_output=num_output, input_dim=input_dim, bias=parameter.bias_term)
    return SetUp([top], layer.learned(*blobs), operation)
