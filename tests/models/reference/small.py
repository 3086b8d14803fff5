"""Small nets, run in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_client import run
from tests.models.nets import inputs

Array = NDArray[Any]


def tops(layers: str, weights: dict[str, Any] | None = None, *, phase: str = "TEST", **arrays: Any) -> dict[str, Array]:
    """Return the outputs of layers over inputs of these values."""
    values = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    net = inputs(**{name: array.shape for name, array in values.items()}) + layers
    blobs = None if weights is None else {name: np.asarray(array, np.float64) for name, array in weights.items()}
    return run(net, blobs, values, phase=phase, dtype="f64")  # type: ignore[arg-type]


def top(kind: str, fields: str = "", weights: list[Any] | None = None, *, phase: str = "TEST", **arrays: Any) -> Array:
    """Return the top of one layer over inputs of these values, its bottoms in this order."""
    bottoms = " ".join(f'bottom: "{name}"' for name in arrays)
    layer = f'layer {{ name: "l" type: "{kind}" {bottoms} top: "y" {fields} }}'
    blobs = None if weights is None else {f"l/{index}": blob for index, blob in enumerate(weights)}
    return tops(layer, blobs, phase=phase, **arrays)["y"]


def normal(*shape: int, seed: int = 0) -> Array:
    """Return standard normal values."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)
