"""Published nets: lint finds what is questionable in them, each looked at, and nothing else."""

from pathlib import Path

import pytest

from tests.diagnostics.lint.looking import look

FINDINGS = {
    # Gaussian weights of std 0.01, small for fans of 576 to 4608: the known plateau at the start of training.
    "alexnet.prototxt": ["FIL007"],
    "caffenet.prototxt": ["FIL007"],
    "cifar10_full_train_test.prototxt": ["FIL007"],
    "cifar10_quick_train_test.prototxt": ["FIL007"],
    "fcn32s.prototxt": ["FIL007"],
    "fcn8s.prototxt": ["FIL007"],
    # The authors themselves could not train it from these weights.
    "vgg16_train_val.prototxt": ["FIL007", "FIL011"],
    # xavier in front of ReLUs, a note.
    "googlenet_deploy.prototxt": ["FIL009"],
    "googlenet_train_val.prototxt": ["FIL009"],
    "lenet.prototxt": ["FIL009"],
    "lenet_train_test.prototxt": ["FIL009"],
    "siamese_mnist.prototxt": ["FIL009"],
    "squeezenet_v1_0.prototxt": ["FIL009"],
    "squeezenet_v1_1_deploy.prototxt": ["FIL009"],
    "squeezenet_v1_1_train_val.prototxt": ["FIL009"],
    # Half of 250 inputs with a std of 1 make the code, and both losses have one name.
    "mnist_autoencoder.prototxt": ["FIL008", "FIL028"],
}
OWN = {
    "embed.prototxt": ["FIL013"],
    "in_place.prototxt": ["FIL009"],
    "parameter.prototxt": ["FIL019"],
    "rules.prototxt": ["FIL039"],
    "shared_three_ways.prototxt": ["FIL019"],
}
"""Nets that were made here to be odd."""

NETS = sorted((Path(__file__).parents[2] / "nets").glob("*.prototxt"))


@pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
def test_what_is_found(path: Path) -> None:
    found = sorted({finding.code for finding in look(path.read_bytes())})
    assert found == {**FINDINGS, **OWN}.get(path.name, [])
