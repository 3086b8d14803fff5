"""The meaning of bottoms that an operation takes for more than plain numbers, such as labels and indices."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from filler_server.net.operations import arrangement, combination, inner_product, losses, recurrent, regions, resizing

REARRANGES = (
    arrangement.Concat,
    arrangement.Flatten,
    arrangement.Identity,
    arrangement.Permute,
    arrangement.Reshape,
    arrangement.Slice,
    arrangement.Split,
    arrangement.Tile,
)
"""Operations whose tops hold the values of their bottoms."""

Extents: TypeAlias = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Labels:
    """Whole numbers from 0 on, below a number; None where it is not known."""

    below: int | None


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Numbers from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Marks:
    """1 where a sequence goes on, 0 where it begins."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Rows (image, x1, y1, x2, y2) in pixels of images, of which the features have these extents at a scale."""

    features: tuple[int | None, ...] | None
    scale: float


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Height, width and scales of an image; None where they are not known."""

    height: int | None
    width: int | None


Meaning: TypeAlias = Labels | Probabilities | Marks | Regions | ImageSize


def meaning(operation: Any, bottom: int, bottoms: int, first: Extents | None) -> Meaning | None:
    """Return what a bottom of an operation means, None for plain numbers.

    Args:
        operation: the operation.
        bottom: index of the bottom.
        bottoms: how many the layer has.
        first: extents of its first bottom, as far as they are known.
    """
    match operation, bottom:
        case ((losses.SoftmaxWithLoss() | losses.Accuracy() | losses.InfogainLoss()), 1):
            return Labels(None if first is None else first[operation.axis])
        case ((losses.HingeLoss() | losses.MultinomialLogisticLoss()), 1):
            classes = [dim for dim in (first or ())[1:] if dim is not None]
            return Labels(prod(classes) if first is not None and len(classes) == len(first) - 1 else None)
        case losses.SigmoidCrossEntropyLoss(), 1:
            return Probabilities()
        case losses.ContrastiveLoss(), 2:
            return Labels(2)
        case inner_product.Embed(input_dim=number), 0:
            return Labels(number)
        case combination.BatchReindex(), 1:
            return Labels(first[0] if first else None)
        case combination.Filter(), _ if bottom == bottoms - 1:
            return Labels(2)
        case ((recurrent.LSTM() | recurrent.RNN()), 1):
            return Marks()
        case recurrent.LSTMUnit(), 2:
            return Labels(2)
        case resizing.Upsample(mask=True, size=(int(height), int(width))), 1:
            return Labels(height * width)
        case ((regions.ROIPooling() | regions.PSROIPooling()), 1):
            return Regions(None if first is None else tuple(first), operation.spatial_scale)
        case regions.Proposal(feat_stride=stride), 2:
            places = first[2:4] if first is not None and len(first) > 3 else (None, None)
            return ImageSize(*(None if dim is None else dim * stride for dim in places))
    return None
