"""Fans as Caffe counts them, by the axes of a blob alone, where those of the layer are others."""

from collections.abc import Iterator
from math import sqrt

from caffe_filler.caffe import caffe_pb2
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net
from filler_server.fillers.variance_scaling import fan_in, fan_out

_SCALED = ("xavier", "msra", "variance_scaling_uniform", "variance_scaling_gaussian", "variance_scaling_truncated")
_MOST = 1.5
"""Factor by which the fans may differ: more than that changes the signal visibly from layer to layer."""

_NORM = caffe_pb2.FillerParameter


@register(
    "FIL013",
    "fan-of-layout",
    "warning",
    why="Caffe takes the fans from the first two axes of the blob, which for a Deconvolution, a transposed "
    "InnerProduct, an Embed or a grouped convolution are not those of the layer.",
    mend="Give the std that the layer's own fan asks for, with a gaussian filler.",
    collapse=True,
)
def fan_of_layout(net: Net) -> Iterator[Hit]:
    """Find fillers that scale by a fan which is not the layer's."""
    for weight in net.weights:
        shape, filler = weight.blob.known_shape, weight.filler
        if weight.blob.given or weight.blob.owner or filler.type not in _SCALED or shape is None or not weight.rate:
            continue
        if weight.inputs is None or weight.outputs is None or len(shape) < 2:
            continue
        counted_in, counted_out = float(fan_in(shape)), float(fan_out(shape))
        if filler.variance_norm == _NORM.FAN_OUT:
            name, counted, own = "FAN_OUT", counted_out, weight.outputs
        elif filler.variance_norm == _NORM.AVERAGE:
            name, counted, own = "AVERAGE", (counted_in + counted_out) / 2, (weight.inputs + weight.outputs) / 2
        else:
            name, counted, own = "FAN_IN", counted_in, weight.inputs
        if not 1 / _MOST <= counted / own <= _MOST:
            layer = net.plan.layers[weight.layer]
            std = sqrt(weight.mean_square or 0)
            message = (
                f"{name} is {counted:g} for the blob {'x'.join(map(str, shape))}, and {own:g} for the {layer.type}: "
                f"the std is {std:.3g} in place of {std * sqrt(counted / own):.3g}"
            )
            mend = f'Take {{ type: "gaussian" std: {std * sqrt(counted / own):.3g} }}.'
            yield Hit(message, net.places[weight.layer], weight.path, mend=mend, short=f"{counted:g} for {own:g}")
