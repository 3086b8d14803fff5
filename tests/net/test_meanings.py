"""Bottoms that layers take for more than plain numbers."""

from typing import Any

import pytest

from filler_server.net.operations import activations, combination, inner_product, losses, recurrent, regions
from filler_server.net.operations.meanings import ImageSize, Labels, Marks, Probabilities, Regions, meaning

SOFTMAX = losses.SoftmaxWithLoss(axis=1, normalization="valid")


@pytest.mark.parametrize(
    ("operation", "bottom", "bottoms", "first", "expected"),
    [
        (SOFTMAX, 1, 2, (8, 5), Labels(5)),
        (SOFTMAX, 1, 2, (8, None), Labels(None)),
        (SOFTMAX, 1, 2, None, Labels(None)),
        (SOFTMAX, 0, 2, (8, 5), None),
        (losses.HingeLoss(norm="l1"), 1, 2, (None, 3, 4), Labels(12)),
        (losses.HingeLoss(norm="l1"), 1, 2, (8, 3, None), Labels(None)),
        (losses.HingeLoss(norm="l1"), 1, 2, None, Labels(None)),
        (losses.SigmoidCrossEntropyLoss(normalization="valid"), 1, 2, (8, 3), Probabilities()),
        (losses.ContrastiveLoss(margin=1.0), 2, 3, (8, 3), Labels(2)),
        (combination.Filter(), 2, 3, (8, 3), Labels(2)),
        (combination.Filter(), 1, 3, (8, 3), None),
        (combination.BatchReindex(), 1, 2, (8, 3), Labels(8)),
        (combination.BatchReindex(), 1, 2, None, Labels(None)),
        (inner_product.Embed(num_output=2, input_dim=7, bias=False), 0, 1, (8,), Labels(7)),
        (recurrent.LSTM(num_output=2), 1, 2, (5, 2, 3), Marks()),
        (regions.Proposal(feat_stride=16, nms_thresh=0.7), 2, 3, (1, 18, 4, None), ImageSize(64, None)),
        (regions.Proposal(feat_stride=16, nms_thresh=0.7), 2, 3, None, ImageSize(None, None)),
        (regions.ROIPooling(pooled=(6, 6), spatial_scale=0.5), 1, 2, (1, 3, 4, 4), Regions((1, 3, 4, 4), 0.5)),
        (activations.ReLU(), 0, 1, (8, 3), None),
    ],
)
def test_meanings(operation: Any, bottom: int, bottoms: int, first: Any, expected: Any) -> None:
    assert meaning(operation, bottom, bottoms, first) == expected
