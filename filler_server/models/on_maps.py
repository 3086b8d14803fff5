"""Layers behind inner products that have become convolutions: of vectors they get maps, and work at each place."""

from typing import Any

from caffe_filler.caffe.caffe_pb2 import LayerParameter
from caffe_filler.errors import NetError
from filler_server.net.operations import activations, arrangement, combination, losses, normalization
from filler_server.net.plan import Layer

_BY_VALUE = (
    *activations.BY_VALUE,
    activations.Dropout,
    activations.Insanity,
    activations.Noise,
    activations.PReLU,
    arrangement.Identity,
    arrangement.Split,
    combination.Eltwise,
)
"""Operations that are the same for maps; the slopes of a PReLU are those of axis 1 in any case."""

_BY_CHANNEL = (
    normalization.BatchNorm,
    normalization.BN,
    normalization.NormalizeChannels,
    arrangement.ShuffleChannel,
)
"""Operations that take what axis 1 has at each place."""

_LOSSES_BY_VALUE = (losses.EuclideanLoss, losses.SigmoidCrossEntropyLoss, losses.SmoothL1Loss)

_READERS = (combination.Silence, combination.HDF5Output)

_JUDGES = (
    losses.Accuracy,
    losses.CenterLoss,
    losses.ContrastiveLoss,
    losses.EuclideanLoss,
    losses.HingeLoss,
    losses.InfogainLoss,
    losses.MultinomialLogisticLoss,
    losses.SigmoidCrossEntropyLoss,
    losses.SmoothL1Loss,
    losses.SoftmaxWithLoss,
)
"""Operations that a net for deployment lacks."""

_PARAMETERS: dict[type, str] = {
    activations.Softmax: "softmax_param",
    arrangement.Concat: "concat_param",
    arrangement.Slice: "slice_param",
    arrangement.Tile: "tile_param",
    combination.ArgMax: "argmax_param",
    losses.Accuracy: "accuracy_param",
    losses.InfogainLoss: "infogain_loss_param",
    losses.SoftmaxWithLoss: "softmax_param",
    normalization.Bias: "bias_param",
    normalization.Scale: "scale_param",
}
"""Operations along an axis, with the block that names it."""


def works_on_maps(layer: Layer, definition: LayerParameter, deploy: bool) -> bool:
    """Let a layer work at each place of maps as it did on vectors; return whether its tops are maps then.

    Args:
        layer: the layer as it works on vectors, [N, channels].
        definition: its definition, in which an axis that is counted from the end becomes axis 1.
        deploy: whether losses and accuracies will go.

    Raises:
        NetError: of maps it would compute something else.
    """
    operation = layer.operation
    if isinstance(operation, _READERS) or (deploy and isinstance(operation, _JUDGES)):
        return False
    if isinstance(operation, _BY_VALUE + _BY_CHANNEL + _LOSSES_BY_VALUE):
        return True
    block = _PARAMETERS.get(type(operation))
    if block is not None and _is_along_channels(operation):
        _set_axis(getattr(definition, block))
        return True
    raise NetError(
        f"{layer.type} computes something else of maps than of the vectors that it gets where inner products are none, "
        "and cannot become fully convolutional",
        layer=layer.name,
        line=layer.line,
    )


def _is_along_channels(operation: Any) -> bool:
    """Whether an operation along an axis takes the values of each sample for its channels."""
    if getattr(operation, "from_bottom", False) or getattr(operation, "flatten", False):
        return False
    if isinstance(operation, combination.ArgMax):
        # Along no axis the top would have pairs of indices and values.
        return operation.axis == 1 or (operation.axis is None and not operation.values)
    return bool(operation.axis == 1)


def _set_axis(block: Any) -> None:
    for former in ("concat_dim", "slice_dim"):
        if former in block.DESCRIPTOR.fields_by_name:
            block.ClearField(former)
    block.axis = 1
    if "num_axes" in block.DESCRIPTOR.fields_by_name:
        block.num_axes = 1
