"""BatchNorm, LRN, MVN."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Unknown, count
from filler_server.net.layer import LayerContext, LearnedBlob, SetUp
from filler_server.net.operations import normalization as operations
from filler_server.net.registry import exactly, register

_ZEROS = caffe_pb2.FillerParameter()


_ONE = caffe_pb2.FillerParameter(type="constant", value=1)
_SCALES = tuple(f"batch_norm_param.{name}" for name in ("scale_bias", "scale_filler", "bias_filler"))


@register(
    "BatchNorm",
    bottoms=exactly(1),
    tops=exactly(1),
    fork_fields=_SCALES,
    roles=[
        ("mean", "variance", "factor"),
        ("mean", "variance", "factor", "scale", "bias"),
        ("scale", "bias", "mean", "variance", "factor"),
    ],
)
def batch_norm(layer: LayerContext) -> SetUp:
    """Mean [C], variance [C] and their common divisor [1], all zero at first.

    With scale_bias, or a filler for one of them, a scale [C] and a bias [C] as well, and the divisor is 1 at first
    (NVIDIA/caffe, batch_norm_layer.cpp). Files of NVIDIA/caffe 0.15 have those two first.
    """
    bottom = layer.bottoms[0]
    channels: Dim = bottom if isinstance(bottom, Unknown) else bottom[layer.axis(bottom, 1)]
    layer.require_values(count(bottom), "the input")
    flag, *fillers = _SCALES
    parameter = layer.parameter.batch_norm_param
    scale_bias = layer.fork.flag(flag, False) or any(filler in layer.fork for filler in fillers)
    operation = operations.BatchNorm(
        eps=parameter.eps,
        use_global_stats=parameter.use_global_stats if parameter.HasField("use_global_stats") else not layer.training,
        moving_average_fraction=parameter.moving_average_fraction,
        scale_bias=scale_bias,
    )
    if scale_bias:
        scale = LearnedBlob((channels,), layer.fork.filler(fillers[0], _ONE))
        bias = LearnedBlob((channels,), layer.fork.filler(fillers[1]))
        statistics = LearnedBlob((channels,), _ZEROS), LearnedBlob((channels,), _ZEROS), LearnedBlob((1,), _ONE)
        return SetUp([bottom], layer.learned(*statistics, scale, bias), operation)
    blobs = layer.learned(LearnedBlob((channels,), _ZEROS), LearnedBlob((channels,), _ZEROS), LearnedBlob((1,), _ZEROS))
    for spec in layer.parameter.param[: len(blobs)]:
        layer.require(
            spec.lr_mult == 0,
            "Cannot configure batch normalization statistics as layer parameters: their lr_mult must be 0",
            lr_mult=spec.lr_mult,
        )
    return SetUp([bottom], blobs, operation)


@register("LRN", bottoms=exactly(1), tops=exactly(1))
def local_response_normalization(layer: LayerContext) -> SetUp:
    """The shape of the bottom, which must have four axes."""
    parameter = layer.parameter.lrn_param
    local_size = parameter.local_size
    layer.require(local_size % 2 == 1, "LRN only supports odd values for local_size", local_size=local_size)
    within = parameter.norm_region == caffe_pb2.LRNParameter.WITHIN_CHANNEL
    operation = operations.LRN(
        local_size=local_size,
        alpha=parameter.alpha,
        beta=parameter.beta,
        k=1.0 if within else parameter.k,
        region="within_channel" if within else "across_channels",
    )
    return SetUp([layer.four_axes(0)], operation=operation)


@register("MVN", bottoms=exactly(1), tops=exactly(1))
def mean_variance_normalization(layer: LayerContext) -> SetUp:
    """Always four axes; those that the bottom lacks are 1."""
    _, channels, height, width = dims = layer.legacy(0)
    parameter = layer.parameter.mvn_param
    across = channels if parameter.across_channels else 1
    layer.require_values(across * height * width, "the input")
    operation = operations.MVN(
        normalize_variance=parameter.normalize_variance, across_channels=parameter.across_channels, eps=parameter.eps
    )
    return SetUp([dims], operation=operation)
