"""Convolutions. Sizes of windows have one entry for each spatial axis: all that come after the channels."""

from filler_server.net.operations.base import Extent, Operation


class _Windows(Operation):
    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    pad: tuple[int, ...] | None
    dilation: tuple[int, ...] | None


class _Convolution(_Windows):
    num_output: Extent
    group: Extent = 1
    axis: int = 1
    bias: bool = True
    squeeze: bool = False


class Convolution(_Convolution):
    """Cross-correlation; a place that the padded input does not cover whole has no output.

    The weight is [num_output, C / group, kernel...], the bias [num_output] (C3D: [1, 1, 1, 1, num_output]).

    Attributes:
        kernel: extents of the windows.
        stride: steps between windows.
        pad: zeros on both sides.
        dilation: distance between the taps of a kernel.
        num_output: channels of the top.
        group: number of groups of channels that do not see each other; that of channels for depthwise types.
        axis: that of the channels; axes before it are batch.
        bias: whether there is a bias.
        squeeze: whether spatial axes of extent 1 vanish from the top (NdConvolution).
    """


class Deconvolution(_Convolution):
    """The transpose of Convolution, with the same attributes.

    The weight is [C, num_output / group, kernel...], the bias [num_output] (C3D: [1, 1, 1, 1, num_output]).
    """


class Im2col(_Windows):
    """Every window laid out along the axis of the channels: channel first, then the place in the kernel."""

    axis: int = 1


class Local(_Windows):
    """A convolution with another kernel at each place (happynear/caffe-windows).

    The weight is [num_output, 1, C * kernel, places], the bias [1, 1, num_output, places].
    """

    num_output: int
    bias: bool = True


class CCCP(Operation):
    """At each place num_output mixtures of each group's channels (stephenyan1231/caffe-public).

    The weight is [1, 1, group * num_output, C / group], the bias [1, 1, 1, group * num_output].
    """

    num_output: int
    group: int = 1
    bias: bool = True
