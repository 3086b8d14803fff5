"""Normalizations, and Scale and Bias, which often follow them."""

from filler_server.net.operations.base import Extent, Operation


class BatchNorm(Operation):
    """y = (x - mean) / sqrt(variance + eps), by channel (axis 1).

    Stored mean and variance are sums: both are divided by the factor, or are 0 where that is 0.

    Attributes:
        eps: what keeps the root from 0.
        use_global_stats: whether by the stored statistics, or by those of the batch (with the biased variance), which
            then go into the stored ones (with the unbiased one).
        moving_average_fraction: what each pass leaves of the stored sums.
        scale_bias: whether y is then multiplied by a scale and a bias is added (NVIDIA/caffe).
    """

    eps: float
    use_global_stats: bool
    moving_average_fraction: float
    scale_bias: bool = False


class BN(Operation):
    """y = scale * (x - mean) / sqrt(variance + eps) + bias, by channel, of the forks for segmentation.

    Attributes:
        statistics: stored, as they are; batch, those of the batch; none: y = scale * x + bias.
        eps: what keeps the root from 0.
        momentum: what each pass leaves of the stored ones; None where nothing is stored.
    """

    statistics: str
    eps: float
    momentum: float | None = None


class LRN(Operation):
    """y = x / (k + alpha / n * sum of x^2) ^ beta.

    The sum is over n = local_size neighboring channels (across_channels), or over n = local_size^2 neighboring pixels
    (within_channel), where k is 1.
    """

    local_size: int = 5
    alpha: float = 1.0
    beta: float
    k: float = 1.0
    region: str = "across_channels"


class MVN(Operation):
    """y = x - mean, divided by the standard deviation + eps with `normalize_variance`.

    Over each channel of each item, or over all channels together.
    """

    normalize_variance: bool = True
    across_channels: bool = False
    eps: float


class Normalize(Operation):
    """y = scale * x / sqrt(sum of x^2 + eps), over all values of an item or at each place (weiliu89/caffe, ssd).

    Attributes:
        across_spatial: whether over all values.
        channel_shared: whether there is one scale for all channels.
    """

    across_spatial: bool = True
    channel_shared: bool = True
    eps: float


class NormalizeChannels(Operation):
    """x divided at each place by a norm over channels, which a second top holds (happynear/caffe-windows).

    Attributes:
        norm: l2, the root of the sum of squares + 1e-6; or l1, the sum of absolute values + 1e-6.
    """

    norm: str = "l2"


class Bias(Operation):
    """y = x + b, b over `num_axes` axes of bottom[0] from `axis` on.

    Attributes:
        axis: the first of these; None where it is not known whether bottom[1] has any.
        from_bottom: whether b is bottom[1], not a blob.
    """

    axis: Extent = 1
    num_axes: Extent = 1
    from_bottom: bool = False


class Scale(Operation):
    """y = a * x, or a * x + b, a and b over `num_axes` axes of bottom[0] from `axis` on.

    Attributes:
        axis: the first of these; None where it is not known whether bottom[1] has any.
        bias: whether there is b, a blob.
        from_bottom: whether a is bottom[1], not a blob.
    """

    axis: Extent = 1
    num_axes: Extent = 1
    bias: bool = False
    from_bottom: bool = False
