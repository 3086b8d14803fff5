from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import NetError
from tests.models.reference.small import normal, top, tops

Array = NDArray[Any]

REGIONS = np.array(
    [
        [0, 0, 0, 15, 15],
        [1, 2, 3, 9, 13],
        [0, 5.5, 4.4, 6.6, 20],
        [1, -5, -7, 40, 50],
        [0, 9, 9, 3, 3],
        [1, 30, 30, 40, 40],
    ]
)
"""Of two images: whole, inside, with halves, over the edges, turned around, and outside."""


def rounded(value: float) -> int:
    """Round half away from zero."""
    return int(np.floor(abs(value) + 0.5) * np.sign(value))


def test_the_largest_value_of_each_bin() -> None:
    x = normal(2, 3, 8, 8)
    got = top("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 }", x=x, rois=REGIONS)
    assert got.shape == (6, 3, 2, 3)
    for index, (image, *corners) in enumerate(REGIONS):
        left, upper, right, lower = (rounded(0.5 * corner) for corner in corners)
        height, width = max(lower - upper + 1, 1) / 2, max(right - left + 1, 1) / 3
        for row, column in np.ndindex(2, 3):
            first, last = upper + np.floor(row * height), upper + np.ceil((row + 1) * height)
            begin, end = left + np.floor(column * width), left + np.ceil((column + 1) * width)
            values = [
                x[int(image), :, i, j] for i in range(8) for j in range(8) if first <= i < last and begin <= j < end
            ]
            want = np.max(values, 0) if values else np.zeros(3)
            assert np.array_equal(got[index, :, row, column], want), (index, row, column)


def test_position_sensitive_averages() -> None:
    x = normal(2, 2 * 4, 8, 8)
    fields = "psroi_pooling_param { output_dim: 2 group_size: 2 spatial_scale: 0.5 }"
    got = top("PSROIPooling", fields, x=x, rois=REGIONS)
    assert got.shape == (6, 2, 2, 2)
    for index, (image, *corners) in enumerate(REGIONS):
        left, upper, right, lower = (0.5 * (rounded(corner) + (place > 1)) for place, corner in enumerate(corners))
        height, width = max(lower - upper, 0.1) / 2, max(right - left, 0.1) / 2
        for row, column in np.ndindex(2, 2):
            rows = [i for i in range(8) if np.floor(upper + row * height) <= i < np.ceil(upper + (row + 1) * height)]
            columns = [
                j for j in range(8) if np.floor(left + column * width) <= j < np.ceil(left + (column + 1) * width)
            ]
            channels = [output * 4 + row * 2 + column for output in range(2)]
            part = x[int(image)][np.ix_(channels, rows, columns)]
            want = part.mean((1, 2)) if part.size else np.zeros(2)
            np.testing.assert_allclose(got[index, :, row, column], want, atol=1e-12)


@pytest.mark.parametrize("image", [2, -1, np.nan])
def test_images_that_are_not_there(image: float) -> None:
    with pytest.raises(NetError, match="layer 'l': the image of a region is 0 to 1"):
        top(
            "ROIPooling",
            "roi_pooling_param { pooled_h: 1 pooled_w: 1 }",
            x=normal(2, 1, 4, 4),
            rois=[[image, 0, 0, 1, 1]],
        )


def test_proposals() -> None:
    # One anchor of 16 x 16 pixels at each of 2 x 2 places, 16 pixels apart.
    scores = np.array([[[0.1, 0.2], [0.3, 0.4]], [[0.9, 0.6], [0.7, 0.8]]])[None]
    offsets = np.zeros((1, 4, 2, 2))
    offsets[0, 0, 0, 1] = -1  # The second moves over the first ...
    offsets[0, 2, 1, 0] = np.log(2)  # ... and the third is twice as wide.
    net = """layer { name: "p" type: "Proposal" bottom: "s" bottom: "o" bottom: "i" top: "rois" top: "scores"
      proposal_param { ratio: 1 scale: 16 base_size: 16 min_size: 4 nms_thresh: 0.5 } }"""
    found = tops(net, s=scores, o=offsets, i=[[32, 30, 1, 1]])
    # Boxes are cut to the image, whose width is 30 pixels.
    assert found["rois"].tolist() == [[0, 0, 0, 16, 16], [0, 16, 16, 29, 31], [0, 0, 16, 24, 31]]
    assert found["scores"].tolist() == [0.9, 0.8, 0.7]
    fewer = tops(net.replace("nms_thresh", "post_nms_topn: 1 nms_thresh"), s=scores, o=offsets, i=[[32, 30, 1, 1]])
    assert fewer["scores"].tolist() == [0.9]
    # What is too small in pixels of the scaled image comes last, with a score of 0.
    small = tops(net.replace("min_size: 4", "min_size: 7"), s=scores, o=offsets, i=[[32, 30, 2, 2.5]])
    assert small["scores"].tolist() == [0.7, 0, 0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("ratio: 1 scale: 8", "its scales are below base_size"),
        ("ratio: 1 scale: 32 score_thresh: 0.1", "what score_thresh does"),
        ("scale: 32", "it has no ratio"),
    ],
)
def test_other_proposals(fields: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        top(
            "Proposal", f"proposal_param {{ {fields} }}", s=normal(1, 2, 2, 2), o=normal(1, 4, 2, 2), i=[[32, 32, 1, 1]]
        )


@pytest.mark.parametrize("info", [np.ones((1, 3)), np.ones(3), np.ones((1, 6))])
def test_proposals_from_another_description_of_the_image(info: Array) -> None:
    with pytest.raises(NetError, match=r"bottom\[2\] must be height, width and two scales of an image"):
        top("Proposal", "proposal_param { ratio: 1 scale: 16 }", s=normal(1, 2, 2, 2), o=normal(1, 4, 2, 2), i=info)
