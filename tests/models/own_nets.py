"""The project's own nets with sizes in which they are quick to compute, and weights of a sane size."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_client import FillerClient

_IMAGE: dict[str, Any] = {"inputs": {"data": (1, 3, 224, 224)}}
_SMALL: dict[str, Any] = {"inputs": {"data": (2, 3, 32, 32)}, "deploy": True}

OWN_NETS: dict[str, dict[str, Any]] = {
    "bias": {},
    "char_rnn": {},
    "cifar10_full_train_test": _SMALL,
    "cifar10_quick_train_test": _SMALL,
    "embed": {},
    "in_place": {},
    "inline_blobs": {},
    "lenet": {},
    "lenet_train_test": {"inputs": {"data": (2, 1, 28, 28)}, "deploy": True},
    "mnist_autoencoder": {"inputs": {"data": (2, 1, 28, 28)}},
    "mobilenet_v1": _IMAGE,
    "parameter": {},
    "prelu": {},
    "scale": {},
    "shared_three_ways": {},
    "siamese_mnist": {"inputs": {"pair_data": (2, 2, 28, 28), "sim": (2,)}},
    "squeezenet_v1_0": _IMAGE,
    "squeezenet_v1_1_deploy": _IMAGE,
}
"""Options of each, by its name."""

LARGE_NETS: dict[str, dict[str, Any]] = {
    "alexnet_deploy": {"inputs": {"data": (1, 3, 227, 227)}},
    "caffenet_deploy": {"inputs": {"data": (1, 3, 227, 227)}},
    "crnn_static_lstm": {},
    "fcn8s": {"inputs": {"data": (1, 3, 64, 64)}},
    "googlenet_deploy": _IMAGE,
    "lrcn_caption": {},
    "resnet50": _IMAGE,
    "resnet152": _IMAGE,
    "vgg16_deploy": _IMAGE,
}


def weights_of(net: Path, options: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Random weights for a net, with which values neither vanish nor explode."""
    rng = np.random.default_rng(1)
    found: dict[str, NDArray[np.float32]] = {}
    shapes = dict(options.get("inputs", {}))
    if options.get("deploy"):
        shapes["label"] = next(iter(shapes.values()))[:1]
    for layer in FillerClient.embedded().plan_net(net, phase="TEST", inputs=shapes).layers:
        for index, blob in enumerate(layer.blobs):
            if blob.owner is not None:
                found[blob.name] = found[blob.owner].reshape(blob.known_shape or ())
            elif not blob.given:
                shape = blob.known_shape or ()
                values = rng.standard_normal(shape).astype(np.float32)
                if layer.type == "BatchNorm":
                    values = np.ones(shape) if index == 2 else np.abs(values) + 0.5
                elif layer.type == "Scale":
                    values = values * 0.1 + (index == 0)
                else:
                    values = values * (np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1)
                found[blob.name] = np.asarray(values, np.float32)
    return found
