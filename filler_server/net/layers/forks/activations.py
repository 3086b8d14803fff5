"""Layers of forks that work value by value, or change values only, and have no learnable blobs."""

from filler_server.net.dimensions import Unknown
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.registry import exactly, register_fork


@register_fork("ReLU6", bottoms=exactly(1), tops=exactly(1))
@register_fork("SeLu", bottoms=exactly(1), tops=exactly(1))
@register_fork("SeLuDropout", bottoms=exactly(1), tops=exactly(1))
@register_fork("NegReLU", bottoms=exactly(1), tops=exactly(1))
@register_fork("RReLU", bottoms=exactly(1), tops=exactly(1))
@register_fork("Noise", bottoms=exactly(1), tops=exactly(1))
@register_fork("SpatialDropout", bottoms=exactly(1), tops=exactly(1))
@register_fork("ScaleFilter", bottoms=exactly(1), tops=exactly(1))
@register_fork("SignedSqrt", bottoms=exactly(1), tops=exactly(1))
@register_fork("SignedPower", bottoms=exactly(1), tops=exactly(1))
def neuron(layer: LayerContext) -> SetUp:
    """The shape of the bottom.

    Neuron layers of chuanqi305/ssd, soeaver/caffe-model, lmb-freiburg/flownet2, ducha-aiki/caffe,
    happynear/caffe-windows, intel/caffe, openvinotoolkit/training_toolbox_caffe and cvjena/caffe_pp2.
    """
    return SetUp([layer.bottoms[0]])


@register_fork("Insanity", bottoms=exactly(1), tops=exactly(1))
def insanity(layer: LayerContext) -> SetUp:
    """The shape of the bottom, which needs two axes (happynear/caffe-windows, insanity_layer.cpp)."""
    bottom = layer.bottoms[0]
    if not isinstance(bottom, Unknown):
        layer.require(len(bottom) >= 2, "Number of axes of bottom blob must be >=2", shape=bottom)
    return SetUp([bottom])
