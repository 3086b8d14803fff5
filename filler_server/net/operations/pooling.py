"""Poolings over windows that do not depend on data."""

from filler_server.net.operations.base import Extents, Operation


class Pooling(Operation):
    """The largest value of each window, its average, or one at random; a second top tells where the largest was.

    An average divides by the size of the window, cut to the padded input. Sizes have an entry for each spatial axis.

    Attributes:
        method: max, ave or stochastic.
        kernel: extents of the windows; of all the input for a global pooling.
        stride: steps between windows.
        pad: places on both sides that hold nothing.
        ceil: whether a last window that does not fit counts.
        clip: whether, where there is padding, a last window that would begin after the input and its near padding
            does not.
        global_pooling: whether there is one window, whatever the input.
        squeeze: whether spatial axes of extent 1 vanish from the top (NdPooling).
        random: of a stochastic pooling, whether one value is drawn, or their weighted mean taken.
    """

    method: str = "max"
    kernel: Extents | None
    stride: Extents | None
    pad: tuple[int, ...] | None
    ceil: bool = True
    clip: bool = True
    global_pooling: bool = False
    squeeze: bool = False
    random: bool = False


class SPP(Operation):
    """Poolings into 1 x 1, 2 x 2, 4 x 4 ... bins, each flattened, end to end; a single level is left as it is.

    For b bins on an extent n the kernel and the stride are k = ceil(n / b), the padding (k * b - n + 1) / 2.
    """

    levels: int
    method: str = "max"
