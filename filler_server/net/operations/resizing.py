"""Operations that change height and width, to `size`."""

from filler_server.net.operations.base import Extent, Extents, Operation


class Downsample(Operation):
    """Averages over areas, to a given size or to that of bottom[1] (lmb-freiburg/flownet2)."""

    size: Extents


class Interp(Operation):
    """Bilinear interpolation with aligned corners, after a crop (hszhao/PSPNet).

    Attributes:
        size: height and width of the top.
        pad_beg: rows and columns that are cut off before, as a number <= 0.
        pad_end: likewise after.
    """

    size: Extents
    pad_beg: int = 0
    pad_end: int = 0


class Resample(Operation):
    """Resampling to a given size or to that of bottom[1] (lmb-freiburg/flownet2).

    Attributes:
        method: nearest, linear, cubic or area.
    """

    size: Extents
    method: str = "linear"
    antialias: bool = True


class Upsample(Operation):
    """Larger maps.

    With `mask` values go back to where a pooling took them from: bottom[1] holds flat indices into a map of the top's
    size; where two go to one place the last counts (alexgkendall/caffe-segnet). Otherwise each value is repeated
    `scale` times on both axes (eric612/MobileNet-YOLO).
    """

    size: Extents
    mask: bool = False
    scale: Extent = None
