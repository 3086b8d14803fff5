"""Operations that arrange values anew."""

from filler_server.net.operations.base import Extent, Extents, Operation


class Axpy(Operation):
    """y = a * x + z over bottoms a, x, z, where a is [N, C] or [N, C, 1, 1] (hujie-frank/SENet)."""


class BroadcastMul(Operation):
    """The bottom of more values times the other, which has one factor for each item and channel (EfficientNets)."""


class Concat(Operation):
    """The bottoms end to end along the axis.

    Attributes:
        flatten: whether the axes after it go into it first, and stay with an extent of 1 (forks of weiliu89/caffe).
    """

    axis: int = 1
    flatten: bool = False


class Crop(Operation):
    """bottom[0] cut to the extents of bottom[1], on the axis and all after it.

    Attributes:
        axis: the first axis that is cut.
        offsets: where each of these axes begins; one for all of them where their number is not known, none for 0.
    """

    axis: int = 2
    offsets: tuple[int, ...] = ()


class Flatten(Operation):
    """The axes from `axis` to `end_axis`, both included, as one."""

    axis: int = 1
    end_axis: int = -1


class Flip(Operation):
    """Values in reverse order along width and height (happynear/caffe-windows)."""

    width: bool = True
    height: bool = False


class Identity(Operation):
    """Each top is the bottom of its index: Gather and Scatter with one process (yjxiong/caffe)."""


class Permute(Operation):
    """The axes in another order; where their number is not known, those not named follow in theirs."""

    order: tuple[int, ...]


class Reshape(Operation):
    """`num_axes` axes from `axis` on give way to `dims`, in which 0 keeps an extent and one -1 is worked out.

    Attributes:
        dims: new extents; 0 copies that of the axis at the same distance from `axis`.
        axis: the first axis that is replaced.
        num_axes: how many are replaced; None where the number of axes is not known and all from `axis` on are.
    """

    dims: tuple[int, ...]
    axis: int = 0
    num_axes: Extent = None


class Reverse(Operation):
    """Values in reverse order along the axis (tianzhi0549/CTPN)."""

    axis: int = 0


class ShuffleChannel(Operation):
    """Channel g * (C / group) + i goes to i * group + g (farmingyard/ShuffleNet)."""

    group: int = 1


class Slice(Operation):
    """Pieces of the bottom along the axis, cut before each point: one point fewer than tops."""

    axis: int = 1
    points: Extents


class SpatialTransformer(Operation):
    """bottom[0] sampled along the grid that bottom[1] transforms (cvjena/caffe_pp2).

    Attributes:
        size: height and width of the top.
        transform_type: affine is the only one.
        sampler_type: bilinear is the only one.
        theta: entries of the 2 x 3 matrix by rows; those not fixed come from bottom[1], in this order.
    """

    size: Extents
    transform_type: str = "affine"
    sampler_type: str = "bilinear"
    theta: tuple[float | None, ...] = (None,) * 6


class Split(Operation):
    """Each top is the bottom."""


class Tile(Operation):
    """The bottom `tiles` times, end to end along the axis."""

    axis: int = 1
    tiles: int
