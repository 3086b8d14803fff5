from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from caffe_filler.errors import NetError
from filler_client import save_weights
from tests.models.reference.small import normal, top, tops

LABELS = np.array([[[0, 2, 255], [1, 1, 2]], [[255, 0, 0], [2, 1, 0]]])
"""Of two images of 2 x 3 places; 255 does not count."""


@pytest.mark.parametrize(("normalization", "divisor"), [("FULL", 12), ("VALID", 10), ("BATCH_SIZE", 2), ("NONE", 1)])
def test_softmax_with_loss(normalization: str, divisor: int) -> None:
    x = normal(2, 3, 2, 3)
    fields = f"loss_param {{ ignore_label: 255 normalization: {normalization} }}"
    logs = np.log(special.softmax(x, 1))
    total = -sum(
        logs[item, LABELS[item, row, column], row, column]
        for item, row, column in np.ndindex(2, 2, 3)
        if LABELS[item, row, column] != 255
    )
    for labels in (LABELS, LABELS[:, None]):
        np.testing.assert_allclose(top("SoftmaxWithLoss", fields, x=x, labels=labels), total / divisor)
    old = fields.replace(f"normalization: {normalization}", "normalize: false")
    np.testing.assert_allclose(top("SoftmaxWithLoss", old, x=x, labels=LABELS), total / 2)


def test_softmax_with_loss_over_another_axis() -> None:
    x = normal(2, 3, 4)
    got = top("SoftmaxWithLoss", "softmax_param { axis: -1 }", x=x, labels=[[0, 1, 2], [3, 3, 0]])
    logs = np.log(special.softmax(x, 2))
    want = -np.mean([logs[0, 0, 0], logs[0, 1, 1], logs[0, 2, 2], logs[1, 0, 3], logs[1, 1, 3], logs[1, 2, 0]])
    assert got == pytest.approx(want)


def test_no_label_counts() -> None:
    fields = "loss_param { ignore_label: 9 }"
    assert top("SoftmaxWithLoss", fields, x=normal(2, 3), labels=[9, 9]) == 0
    assert top("Accuracy", "accuracy_param { ignore_label: 9 }", x=normal(2, 3), labels=[9, 9]) == 0


def test_infogain() -> None:
    x, matrix = normal(3, 4), np.abs(normal(4, 4))
    fields = "infogain_loss_param { axis: 1 } loss_param { ignore_label: 7 }"
    got = top("InfogainLoss", fields, x=x, labels=[3, 7, 0], matrix=matrix[None, None])
    logs = np.log(special.softmax(x, 1))
    assert got == pytest.approx(-(matrix[3] @ logs[0] + matrix[0] @ logs[2]) / 2)


def test_a_matrix_in_a_file(tmp_path: Path) -> None:
    x, matrix = normal(3, 4), np.abs(normal(4, 4)).astype(np.float32)
    path = tmp_path / "matrix.binaryproto"
    save_weights({"matrix": matrix}, path)
    fields = f"infogain_loss_param {{ source: '{path}' }}"
    logs = np.log(special.softmax(x, 1))
    want = -np.mean([matrix[label] @ row for label, row in zip((0, 3, 1), logs, strict=True)])
    assert top("InfogainLoss", fields, x=x, labels=[0, 3, 1]) == pytest.approx(want)
    with pytest.raises(NetError, match=r"the matrix is one of 3 classes. Received: 16 values"):
        top("InfogainLoss", fields, x=x[:, :3], labels=[0, 2, 1])
    with pytest.raises(NetError, match="the matrix is a file of at most"):
        top("InfogainLoss", f"infogain_loss_param {{ source: '{tmp_path}' }}", x=x, labels=[0, 2, 1])
    path.write_bytes(b"\xff")
    with pytest.raises(NetError, match=r"the matrix is a .binaryproto"):
        top("InfogainLoss", fields, x=x, labels=[0, 2, 1])
    path.unlink()
    with pytest.raises(FileNotFoundError):
        top("InfogainLoss", fields, x=x, labels=[0, 2, 1])


@pytest.mark.parametrize(("normalization", "divisor"), [("FULL", 6), ("VALID", 5), ("BATCH_SIZE", 3), ("NONE", 1)])
def test_sigmoid_cross_entropy(normalization: str, divisor: int) -> None:
    x, targets = 50 * normal(3, 2), np.array([[0, 1], [0.25, -1], [1, 0]])
    fields = f"loss_param {{ ignore_label: -1 normalization: {normalization} }}"
    losses = -targets * special.log_expit(x) - (1 - targets) * special.log_expit(-x)
    want = losses[targets != -1].sum() / divisor
    assert top("SigmoidCrossEntropyLoss", fields, x=x, targets=targets) == pytest.approx(want)
    plain = top("SigmoidCrossEntropyLoss", x=x, targets=np.abs(targets))
    assert plain == pytest.approx((np.logaddexp(0, x) - x * np.abs(targets)).sum() / 3)


def test_distances() -> None:
    a, b = normal(3, 2, 2), normal(3, 2, 2, seed=1)
    assert top("EuclideanLoss", a=a, b=b) == pytest.approx(((a - b) ** 2).sum() / 6)
    distance = np.abs(a - b) * 3
    want = np.where(distance < 1, distance**2 / 2, distance - 0.5).sum() / 3
    assert top("SmoothL1Loss", a=3 * a, b=3 * b) == pytest.approx(want)


def test_smooth_distances_with_weights() -> None:
    a, b, inside, outside = (normal(3, 2, 2, 2, seed=seed) for seed in range(4))
    fields = "smooth_l1_loss_param { sigma: 2 }"
    total = 0.0
    for place in np.ndindex(a.shape):
        d = abs(inside[place] * (a[place] - b[place]))
        total += outside[place] * (0.5 * (2 * d) ** 2 if d < 0.25 else d - 0.125)
    got = top("SmoothL1Loss", fields, a=a, b=b, inside=inside, outside=outside)
    assert got == pytest.approx(total / 3)


@pytest.mark.parametrize(("norm", "power"), [("L1", 1), ("L2", 2)])
def test_hinge(norm: str, power: int) -> None:
    x, labels = normal(4, 3), [0, 2, 1, 1]
    missed = [max(0, 1 + (-1 if labels[i] == j else 1) * x[i, j]) for i, j in np.ndindex(4, 3)]
    want = sum(each**power for each in missed) / 4
    assert top("HingeLoss", f"hinge_loss_param {{ norm: {norm} }}", x=x, labels=labels) == pytest.approx(want)


def test_logistic_of_probabilities() -> None:
    p = np.array([[0.5, 0.5], [1, 0], [0.2, 0.8]])
    want = -(np.log(0.5) + np.log(1e-20) + np.log(0.8)) / 3
    assert top("MultinomialLogisticLoss", p=p, labels=[0, 1, 1]) == pytest.approx(want)


@pytest.mark.parametrize("legacy", [False, True])
def test_contrast(legacy: bool) -> None:
    a, b, alike = normal(5, 3), normal(5, 3, seed=1), [1, 0, 0, 1, 0]
    total = 0.0
    for one, other, same in zip(a, b, alike, strict=True):
        squared = ((one - other) ** 2).sum()
        far = max(4 - squared, 0) if legacy else max(4 - np.sqrt(squared), 0) ** 2
        total += squared if same else far
    fields = f"contrastive_loss_param {{ margin: 4 legacy_version: {str(legacy).lower()} }}"
    assert top("ContrastiveLoss", fields, a=a, b=b, alike=alike) == pytest.approx(total / 10)


def accuracies(fields: str, x: NDArray[Any], labels: Any) -> dict[str, NDArray[Any]]:
    layer = f'layer {{ name: "a" type: "Accuracy" bottom: "x" bottom: "n" top: "all" top: "each" {fields} }}'
    return tops(layer, x=x, n=labels)


def test_accuracy() -> None:
    x = np.array([[3, 2, 1], [1, 2, 3], [2, 3, 1], [2, 2, 1]])
    # A tie counts against the label.
    found = accuracies("", x, [0, 0, 1, 0])
    assert found["all"] == 0.5
    assert found["each"].tolist() == [pytest.approx(1 / 3), 1, 0]
    found = accuracies("accuracy_param { top_k: 2 }", x, [1, 0, 0, 1])
    assert found["all"] == 0.75
    assert found["each"].tolist() == [0.5, 1, 0]
    ignored = accuracies("accuracy_param { ignore_label: 0 }", x, [0, 2, 1, 0])
    assert ignored["all"] == 1


def test_accuracy_over_places() -> None:
    x = normal(2, 3, 2, 3)
    labels = x.argmax(1)
    labels[0, 0, 0] = (labels[0, 0, 0] + 1) % 3
    assert top("Accuracy", x=x, labels=labels[:, None]) == pytest.approx(11 / 12)


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "Accuracy", "HingeLoss", "MultinomialLogisticLoss"])
@pytest.mark.parametrize("label", [3, -1, np.nan, np.inf])
def test_labels_of_no_class(kind: str, label: float) -> None:
    with pytest.raises(NetError, match="layer 'l': a label is 0 to 2"):
        top(kind, x=normal(2, 3), labels=[0, label])
