"""Operations that work value by value, and Softmax."""

from math import e

from filler_server.net.operations.base import Operation


class AbsVal(Operation):
    """y = |x|."""


class BNLL(Operation):
    """y = log(1 + exp(x)), computed as x + log(1 + exp(-x)) for x > 0."""


class Clip(Operation):
    """y = min(max(x, lower), upper)."""

    lower: float
    upper: float


class Dropout(Operation):
    """With `random` y = 0 with probability `ratio`, else x / (1 - ratio); otherwise y = x.

    SpatialDropout (intel/caffe) does so to whole channels. Without `scale_train` (rbgirshick/caffe-fast-rcnn) y is that
    times 1 - ratio. With `random_in_test` it is random in both phases.
    """

    ratio: float = 0.5
    random: bool = False
    whole_channels: bool = False
    scale_train: bool = True
    random_in_test: bool = False


class ELU(Operation):
    """y = x for x > 0, else alpha * (exp(x) - 1)."""

    alpha: float = 1.0


class Exp(Operation):
    """y = base ^ (shift + scale * x)."""

    base: float = e
    scale: float = 1.0
    shift: float = 0.0


class Insanity(Operation):
    """y = max(x, 0) + min(x, 0) / s (happynear/caffe-windows).

    With `random` each s is uniform in [lower, upper], otherwise (upper - lower) / log(|upper| / |lower|).
    """

    lower: float = 5.0
    upper: float = 10.0
    random: bool = False


class Log(Operation):
    """y = log(shift + scale * x) to the base."""

    base: float = e
    scale: float = 1.0
    shift: float = 0.0


class NegReLU(Operation):
    """y = min(x, 0) + negative_slope * max(x, 0) (lmb-freiburg/flownet2)."""

    negative_slope: float = 0.0


class Noise(Operation):
    """With `random` adds noise around `bias`, otherwise nothing (happynear/caffe-windows).

    Its standard deviation is `gaussian_std`, or else it is uniform within `uniform_range` to both sides; the former in
    units of the root mean square of all values.
    """

    gaussian_std: float | None = None
    uniform_range: float | None = None
    bias: float = 0.0
    random: bool = False


class Power(Operation):
    """y = (shift + scale * x) ^ power."""

    power: float = 1.0
    scale: float = 1.0
    shift: float = 0.0


class PReLU(Operation):
    """y = max(x, 0) + a * min(x, 0), where a is learned, for each channel (axis 1) or for all."""

    channel_shared: bool = False


class ReLU(Operation):
    """y = max(x, 0) + negative_slope * min(x, 0)."""

    negative_slope: float = 0.0


class ReLU6(Operation):
    """y = min(max(x, 0) + negative_slope * min(x, 0), 6) (eric612/MobileNet-YOLO)."""

    negative_slope: float = 0.0


class Sigmoid(Operation):
    """y = 1 / (1 + exp(-x))."""


class SignedPower(Operation):
    """y = sign(z) * |z| ^ power, z = shift + scale * x (cvjena/caffe_pp2)."""

    power: float = 1.0
    scale: float = 1.0
    shift: float = 0.0


class SignedSqrt(Operation):
    """y = sign(x) * sqrt(|x|) (cvjena/caffe_pp2)."""


class Softmax(Operation):
    """y = exp(x) / sum of exp(x) along the axis."""

    axis: int = 1


class Swish(Operation):
    """y = x / (1 + exp(-beta * x))."""

    beta: float = 1.0


class TanH(Operation):
    """y = tanh(x)."""


class Threshold(Operation):
    """y = 1 where x > threshold, else 0."""

    threshold: float = 0.0


BY_VALUE: tuple[type[Operation], ...] = (
    AbsVal,
    BNLL,
    Clip,
    ELU,
    Exp,
    Log,
    NegReLU,
    Power,
    ReLU,
    ReLU6,
    Sigmoid,
    SignedPower,
    SignedSqrt,
    Swish,
    TanH,
    Threshold,
)
"""Operations of which each element of the top is one function of the same element of the bottom."""
