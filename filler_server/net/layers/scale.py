"""Scale and Bias: a blob, learned or given as second bottom, over some axes of the first."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Dims, Unknown, count, differ, refine
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import normalization as operations
from filler_server.net.registry import between, exactly, register, up_to

_ONE = caffe_pb2.FillerParameter(type="constant", value=1)


@register("Scale", bottoms=between(1, 2), tops=exactly(1), roles=up_to("scale", "bias"))
def scale(layer: LayerContext) -> SetUp:
    """The scale unless it is a bottom, bottom.shape[axis : axis + num_axes]; with bias_term a bias like it."""
    parameter = layer.parameter.scale_param
    bottom = layer.bottoms[0]
    blobs = list(layer.given)
    if len(layer.bottoms) == 1 and not blobs:
        filler = parameter.filler if parameter.HasField("filler") else _ONE
        blobs.append(LearnedBlob(_covered(layer, "scale", parameter.axis, parameter.num_axes), filler))
    factor = layer.bottoms[1] if len(layer.bottoms) > 1 else blobs[0].shape
    if parameter.bias_term:
        bias = _bias_of_scale(layer, factor)
        _check_fit(layer, "bias", parameter.axis, bias.shape)
        if len(blobs) + len(layer.bottoms) < 3:
            blobs.append(bias)
    _check_fit(layer, "scale", parameter.axis, factor)
    if isinstance(bottom, tuple) and isinstance(factor, tuple):
        start = _start(layer, parameter.axis, factor)
        outer, inner = count(bottom, 0, start), count(bottom, start + len(factor))
        layer.require(outer != 0 or inner != 0, "the input has no values", shape=bottom)
    operation = operations.Scale(
        axis=_known_start(layer, parameter.axis, factor),
        num_axes=None if isinstance(factor, Unknown) else len(factor),
        bias=parameter.bias_term,
        from_bottom=len(layer.bottoms) > 1,
    )
    return SetUp([bottom], blobs, operation)


@register("Bias", bottoms=between(1, 2), tops=exactly(1), roles=up_to("bias"))
def bias(layer: LayerContext) -> SetUp:
    """The bias unless it is a bottom, bottom.shape[axis : axis + num_axes]."""
    parameter = layer.parameter.bias_param
    blobs = list(layer.given)
    if len(layer.bottoms) == 1 and not blobs:
        blobs.append(LearnedBlob(_covered(layer, "bias", parameter.axis, parameter.num_axes), parameter.filler))
    summand = layer.bottoms[1] if len(layer.bottoms) > 1 else blobs[0].shape
    _check_fit(layer, "bias", parameter.axis, summand)
    operation = operations.Bias(
        axis=_known_start(layer, parameter.axis, summand),
        num_axes=None if isinstance(summand, Unknown) else len(summand),
        from_bottom=len(layer.bottoms) > 1,
    )
    return SetUp([layer.bottoms[0]], blobs, operation)


def _known_start(layer: LayerContext, axis: int, blob: Dims) -> int | None:
    """Return the first axis that a blob covers, None for a bottom that may be a scalar."""
    may_be_scalar = len(layer.bottoms) > 1 and isinstance(blob, Unknown)
    return None if may_be_scalar else _start(layer, axis, blob)


def _start(layer: LayerContext, axis: int, blob: Dims) -> int:
    """Return the first axis that a blob covers: 0 for a scalar, whatever the field says."""
    bottom = layer.bottoms[0]
    if blob == ():
        return 0
    return axis if isinstance(bottom, Unknown) else layer.axis(bottom, axis)


def _bias_of_scale(layer: LayerContext, factor: Dims) -> LearnedBlob:
    """Return the bias that a Scale hands to the Bias layer inside it.

    That layer is built from the same prototxt, inline blobs included, and so takes the first of them for its own.
    """
    parameter = layer.parameter.scale_param
    if layer.given:
        return layer.given[0] if len(layer.given) + len(layer.bottoms) < 3 else layer.given[-1]
    if len(layer.bottoms) == 1:
        return LearnedBlob(factor, parameter.bias_filler)
    num_axes = None if isinstance(factor, Unknown) else len(factor)
    covered = factor if num_axes is None else _covered(layer, "bias", parameter.axis, num_axes)
    return LearnedBlob(refine(covered, factor), parameter.bias_filler)


def _covered(layer: LayerContext, name: str, axis: int, num_axes: int) -> Dims:
    bottom = layer.bottoms[0]
    layer.require(
        num_axes >= -1, "num_axes must be non-negative, or -1 to extend to the end of bottom[0]", num_axes=num_axes
    )
    if isinstance(bottom, Unknown):
        return bottom if num_axes == -1 else layer.open_axes(bottom, num_axes)
    start = layer.axis(bottom, axis)
    if num_axes == -1:
        return bottom[start:]
    layer.require(
        start + num_axes <= len(bottom),
        f"{name} blob's shape extends past bottom[0]'s shape when applied starting with bottom[0] axis = {start}",
        shape=bottom,
        num_axes=num_axes,
    )
    return bottom[start : start + num_axes]


def _check_fit(layer: LayerContext, name: str, axis: int, blob: Dims) -> None:
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown) or isinstance(blob, Unknown):
        return
    start = _start(layer, axis, blob)
    layer.require(
        start + len(blob) <= len(bottom),
        f"{name} blob's shape extends past bottom[0]'s shape when applied starting with bottom[0] axis = {start}",
        shape=bottom,
        blob=blob,
    )
    for index, dim in enumerate(blob):
        if differ(bottom[start + index], dim):
            layer.refuse(
                f"dimension mismatch between bottom[0]->shape({start + index}) and {name}->shape({index})",
                shape=bottom,
                blob=blob,
            )
    if name == "bias":
        inner: Dim = count(bottom, start + len(blob))
        layer.require_values(inner, "each channel")
