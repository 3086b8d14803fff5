from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from caffe_filler.errors import NetError
from filler_server.models.reference import boxes, matching
from tests.models.reference.small import normal, top

Array = NDArray[Any]

PRIORS = np.array([[0.1, 0.1, 0.4, 0.5], [0.15, 0.1, 0.45, 0.5], [0.5, 0.5, 0.9, 0.9], [0.0, 0.6, 0.3, 0.9]])
VARIANCES = np.full((4, 4), 0.5)


def overlap(one: Array, other: Array) -> float:
    """Return the shared area of two boxes by that of both together."""
    sides = [min(one[2 + side], other[2 + side]) - max(one[side], other[side]) for side in (0, 1)]
    if min(sides) <= 0:
        return 0.0
    shared = sides[0] * sides[1]
    own = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return float(shared / (own - shared))


def test_overlaps() -> None:
    many = np.sort(np.random.default_rng(1).random((30, 2, 2)), 1).reshape(30, 4)
    got = boxes.overlaps(many[:, None], many[None])
    want = [[overlap(one, other) for other in many] for one in many]
    np.testing.assert_allclose(got, want, atol=1e-12)
    # Of boxes of whole pixels both ends count; boxes that only touch share a row then.
    assert boxes.overlaps(np.array([0.0, 0, 1, 1]), np.array([[1.0, 0, 2, 1]]), 1)[0] == pytest.approx(2 / 6)
    assert boxes.overlaps(np.array([0.0, 0, 0, 0]), np.array([[0.0, 0, 0, 0]]))[0] == 0


@pytest.mark.parametrize("code", ["corner", "center_size", "corner_size"])
def test_encoding_and_decoding_are_inverse(code: str) -> None:
    found = PRIORS + 0.01 * np.array([1, 2, 3, 4])
    offsets = boxes.encoded(PRIORS, found, code) / VARIANCES
    np.testing.assert_allclose(boxes.decoded(PRIORS, VARIANCES, offsets, code), found)


def test_prior_boxes() -> None:
    fields = """prior_box_param { min_size: 10 min_size: 20.7 max_size: 20 max_size: 40 aspect_ratio: 2 variance: 0.1
      variance: 0.2 variance: 0.3 variance: 0.4 offset: 0.25 }"""
    got = top("PriorBox", fields, x=normal(1, 1, 2, 3), data=normal(1, 3, 60, 90))
    want = []
    for row, column in product(range(2), range(3)):
        x, y = (column + 0.25) * 30, (row + 0.25) * 30
        for smallest, largest in ((10, 20), (20, 40)):
            middle = np.sqrt(smallest * largest)
            ratio = smallest * np.sqrt(2), smallest / np.sqrt(2)
            for width, height in ((smallest, smallest), (middle, middle), ratio, ratio[::-1]):
                corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
                want.append([corner / side for corner, side in zip(corners, (90, 60, 90, 60), strict=True)])
    assert got.shape == (1, 2, len(want) * 4)
    np.testing.assert_allclose(got[0, 0], np.reshape(want, -1), rtol=1e-7)
    np.testing.assert_allclose(got[0, 1].reshape(-1, 4), [[0.1, 0.2, 0.3, 0.4]] * len(want), rtol=1e-7)
    cut = top(
        "PriorBox", fields.replace("offset", "clip: true offset"), x=normal(1, 1, 2, 3), data=normal(1, 3, 60, 90)
    )
    np.testing.assert_allclose(cut[0, 0], np.clip(np.reshape(want, -1), 0, 1), rtol=1e-7)


def test_prior_boxes_of_given_sides() -> None:
    fields = "prior_box_param { width: 10 width: 20 height: 5 height: 30 img_h: 40 img_w: 80 step_h: 16 step_w: 12 }"
    got = top("PriorBoxClustered", fields, x=normal(1, 1, 1, 2))
    want = []
    for column, (width, height) in product(range(2), ((10, 5), (20, 30))):
        x, y = (column + 0.5) * 12, 8
        want += [(x - width / 2) / 80, (y - height / 2) / 40, (x + width / 2) / 80, (y + height / 2) / 40]
    np.testing.assert_allclose(got[0], [want, [0.1] * 16], rtol=1e-7)


def detected(scores: Array, fields: str = "") -> list[list[float]]:
    """Return image, class, score and prior of each detection among boxes that are the priors themselves."""
    images = len(scores)
    rows = top(
        "DetectionOutput",
        f"detection_output_param {{ num_classes: 3 code_type: CORNER {fields} }}",
        offsets=np.zeros((images, 16)),
        scores=scores.reshape(images, -1),
        priors=np.stack([PRIORS.reshape(-1), VARIANCES.reshape(-1)])[None],
    )[0, 0]
    prior = [int(np.abs(PRIORS - row[3:]).sum(1).argmin()) for row in rows]
    return [[*row[:3].tolist(), index] for row, index in zip(rows, prior, strict=True)]


SCORES = np.array([[[0.1, 0.6, 0.3], [0.1, 0.7, 0.2], [0.2, 0.3, 0.5], [0.9, 0.05, 0.05]]])


def test_detections() -> None:
    # The first two priors overlap; of each class the better one is kept.
    assert detected(SCORES, "confidence_threshold: 0.2 nms_param { nms_threshold: 0.5 }") == [
        [0, 1, 0.7, 1],
        [0, 1, 0.3, 2],
        [0, 2, 0.5, 2],
        [0, 2, 0.3, 0],
    ]
    assert len(detected(SCORES, "nms_param { nms_threshold: 0.99 }")) == 8
    kept = detected(SCORES, "keep_top_k: 2 nms_param { nms_threshold: 0.5 }")
    assert kept == [[0, 1, 0.7, 1], [0, 2, 0.5, 2]]
    of_each = detected(SCORES, "nms_param { nms_threshold: 0.99 top_k: 1 }")
    assert of_each == [[0, 1, 0.7, 1], [0, 2, 0.5, 2]]
    without_background = detected(SCORES, "background_label_id: 1 confidence_threshold: 0.5 nms_param { }")
    assert without_background == [[0, 0, 0.9, 3]]


def test_images_without_detections() -> None:
    none = np.zeros((2, 4, 3))
    assert [row[:2] for row in detected(none, "confidence_threshold: 0.5")] == [[0, -1], [1, -1]]
    one = np.concatenate([none, SCORES])
    assert {row[0] for row in detected(one, "confidence_threshold: 0.5")} == {2}


def test_a_threshold_that_adapts() -> None:
    # 0.6 falls to 0.54 once one is kept, below the overlap of the first two.
    assert 0.55 < overlap(PRIORS[0], PRIORS[1]) < 0.75
    scores = np.array([[[0, 0.9, 0], [0, 0.8, 0], [0, 0.7, 0], [0, 0.6, 0]]])
    threshold = "confidence_threshold: 0.5 nms_param { nms_threshold: 0.75"
    assert [row[3] for row in detected(scores, f"{threshold} }}")] == [0, 1, 2, 3]
    assert [row[3] for row in detected(scores, f"{threshold} eta: 0.7 }}")] == [0, 2, 3]


def test_matches() -> None:
    truth = np.array([[0.12, 0.1, 0.42, 0.5], [0.5, 0.55, 0.9, 0.95], [0.95, 0.0, 1.0, 0.1]])
    matched, most = matching.matches(PRIORS, truth, 0.5, bipartite=True)
    assert matched.tolist() == [0, -1, 1, -1]
    assert most.tolist() == pytest.approx([max(overlap(prior, each) for each in truth) for prior in PRIORS])
    matched, _ = matching.matches(PRIORS, truth, 0.5, bipartite=False)
    assert matched.tolist() == [0, 0, 1, -1]
    assert matching.matches(PRIORS, truth[:0], 0.5, bipartite=False)[0].tolist() == [-1] * 4


def test_the_hardest_negatives() -> None:
    losses, matched = np.array([1.0, 5, 3, 4]), np.array([0, -1, -1, -1])
    shared = np.array([0.9, 0.6, 0.1, 0.2])
    assert matching.hardest(losses, matched, shared, 3, 0.5).tolist() == [2, 3]
    assert matching.hardest(losses, matched, shared, 1, 0.7).tolist() == [1]


def test_the_loss_of_ssd() -> None:
    offsets, scores = normal(1, 16), normal(1, 12)
    truth = np.array([[0, 2, 0, 0.12, 0.1, 0.42, 0.5, 0], [-1, 0, 0, 0, 0, 0, 0, 0]])
    got = top(
        "MultiBoxLoss",
        "multibox_loss_param { num_classes: 3 code_type: CORNER overlap_threshold: 0.9 neg_pos_ratio: 1 }",
        o=offsets,
        s=scores,
        p=np.stack([PRIORS.reshape(-1), VARIANCES.reshape(-1)])[None],
        t=truth[None, None],
    )
    far = np.abs(offsets[0, :4] - (truth[0, 3:7] - PRIORS[0]) / 0.5)
    logs = log_softmax(scores.reshape(4, 3), 1)
    # The second prior overlaps too much to be a negative.
    want = np.where(far < 1, far**2 / 2, far - 0.5).sum() - logs[0, 2] + max(-logs[2, 0], -logs[3, 0])
    assert got == pytest.approx(want)


def test_other_losses_of_ssd() -> None:
    with pytest.raises(NetError, match="mining by hard examples or after suppression is not among what is computed"):
        top(
            "MultiBoxLoss",
            "multibox_loss_param { num_classes: 3 mining_type: HARD_EXAMPLE }",
            o=normal(1, 16),
            s=normal(1, 12),
            p=normal(1, 2, 16),
            t=normal(1, 1, 1, 8),
        )


def test_places_and_channels_as_darknet_has_them() -> None:
    x = normal(2, 8, 4, 6)
    got = top("Reorg", "reorg_param { stride: 2 }", x=x)
    assert got.shape == (2, 32, 2, 3)
    # darknet counts through the larger map, which it takes for one of 8 / 4 channels and 8 x 12 places.
    flat, want = x.reshape(2, -1), np.empty((2, x[0].size))
    for channel, row, column in np.ndindex(8, 4, 6):
        block = channel // 2
        place = (channel % 2, row * 2 + block // 2, column * 2 + block % 2)
        want[:, (channel * 4 + row) * 6 + column] = flat[:, (place[0] * 8 + place[1]) * 12 + place[2]]
    assert np.array_equal(got.reshape(2, -1), want)
    back = top("Reorg", "reorg_param { stride: 2 reverse: true }", x=want.reshape(x.shape))
    assert np.array_equal(back.reshape(2, -1), flat)
