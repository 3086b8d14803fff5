"""Losses, each a scalar, and Accuracy.

`normalization` is full (by all places), valid (by those whose label is not ignored), batch_size or none; the divisor
is at least 1.
"""

from filler_server.net.operations.base import Operation


class Accuracy(Operation):
    """Share of inputs whose label is among the top_k classes; a second top holds that for each class.

    Attributes:
        axis: that of the classes.
        ignore_label: places with this label do not count; None: all count.
    """

    top_k: int = 1
    axis: int = 1
    ignore_label: int | None = None


class BoxAnnotatorOHEM(Operation):
    """Labels and weights with only the hardest regions left (daijifeng001/caffe-rfcn)."""

    roi_per_img: int
    ignore_label: int = -1


class CenterLoss(Operation):
    """Half the mean squared distance to the learned center of each class (ydwen/caffe-face).

    Attributes:
        axis: the first axis of the vectors.
        distance_type: L2 (happynear/caffe-windows has others).
    """

    num_output: int
    axis: int = 1
    distance_type: str = "L2"


class ContrastiveLoss(Operation):
    """Mean over pairs of d^2 / 2 if alike, else max(margin - d, 0)^2 / 2; in the old form max(margin - d^2, 0) / 2."""

    margin: float = 1.0
    legacy_version: bool = False


class EuclideanLoss(Operation):
    """Half the mean over items of the squared distance of two bottoms; a third one weighs it (Fast R-CNN's fork)."""


class HingeLoss(Operation):
    """Mean over items of the margins missed, as they are (l1) or squared (l2)."""

    norm: str = "l1"


class InfogainLoss(Operation):
    """Cross entropy of the softmax of bottom[0], weighted by a matrix over pairs of classes.

    Attributes:
        source: path of the matrix, a .binaryproto; None where it is bottom[2].
    """

    axis: int = 1
    source: str | None = None
    normalization: str = "valid"
    ignore_label: int | None = None


class MultinomialLogisticLoss(Operation):
    """Mean over items of -log(max(p, 1e-20)) for the p of the label."""


class SigmoidCrossEntropyLoss(Operation):
    """Cross entropy of the sigmoid of bottom[0] and targets in [0, 1]."""

    normalization: str = "batch_size"
    ignore_label: int | None = None


class SmoothL1Loss(Operation):
    """Sum of smooth L1 distances divided by the number of items.

    The distance is 0.5 * (sigma * d)^2 where |d| < 1 / sigma^2, else |d| - 0.5 / sigma^2. A third bottom weighs the
    differences, a fourth the distances (rbgirshick/caffe-fast-rcnn). With `places` it is that of intel/caffe for
    hard examples, and a second top holds the sum at each place.
    """

    sigma: float = 1.0
    places: bool = False
    normalization: str | None = None


class SoftmaxWithLoss(Operation):
    """-log of the softmax of bottom[0] at the labels bottom[1]; a second top holds the softmax.

    With `places` it is that of intel/caffe for hard examples, and a third top holds the loss of each place.
    """

    axis: int = 1
    normalization: str = "valid"
    ignore_label: int | None = None
    places: bool = False
