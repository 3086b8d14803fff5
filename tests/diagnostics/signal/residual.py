"""A net of residual blocks, with a gate for each channel or without: as prototxt, and run in NumPy, both ways."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

BATCH, CHANNELS, SIDE, CLASSES, DEPTH = 32, 16, 8, 10, 3

Array: TypeAlias = NDArray[np.float32]
Squares: TypeAlias = dict[str, float]

_BATCH_AND_PLACES = (0, 2, 3)
_PLACES = (2, 3)

_INPUTS = f"""
layer {{ name: "data" type: "Input" top: "data"
  input_param {{ shape {{ dim: [{BATCH}, {CHANNELS}, {SIDE}, {SIDE}] }} }} }}
layer {{ name: "label" type: "Input" top: "label" input_param {{ shape {{ dim: {BATCH} }} }} }}
"""


def _layer(kind: str, name: str, bottoms: str, fields: str = "") -> str:
    listed = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {listed} top: "{name}" {fields} }}\n'


def _sums(name: str, bottom: str, outputs: int) -> str:
    return _layer(
        "InnerProduct",
        name,
        bottom,
        f'inner_product_param {{ num_output: {outputs} bias_term: false weight_filler {{ type: "msra" }} }}',
    )


def _normalized(name: str, bottom: str) -> str:
    fields = f"num_output: {CHANNELS} kernel_size: 3 pad: 1 bias_term: false"
    return (
        _layer("Convolution", name, bottom, f'convolution_param {{ {fields} weight_filler {{ type: "msra" }} }}')
        + _layer("BatchNorm", f"{name}_norm", name)
        + _layer("Scale", f"{name}_scale", f"{name}_norm", "scale_param { bias_term: true }")
    )


_MEAN = "pooling_param { pool: AVE global_pooling: true }"


def net(gate: str | None) -> str:
    """Return the net; `gate` is the type of the layer that applies the gates, Scale or Axpy."""
    text, bottom = _INPUTS, "data"
    for number in range(1, DEPTH + 1):
        text += _normalized(f"a{number}", bottom) + _layer("ReLU", f"ra{number}", f"a{number}_scale")
        text += _normalized(f"b{number}", f"ra{number}")
        branch = f"b{number}_scale"
        if gate:
            text += _layer("Pooling", f"mean{number}", branch, _MEAN)
            text += _sums(f"down{number}", f"mean{number}", CHANNELS // 4)
            text += _layer("ReLU", f"rdown{number}", f"down{number}")
            text += _sums(f"up{number}", f"rdown{number}", CHANNELS)
            text += _layer("Sigmoid", f"gate{number}", f"up{number}")
        if gate == "Scale":
            text += _layer("Scale", f"gated{number}", f"{branch} gate{number}", "scale_param { axis: 0 }")
            branch = f"gated{number}"
        if gate == "Axpy":
            text += _layer("Axpy", f"sum{number}", f"gate{number} {branch} {bottom}")
        else:
            text += _layer("Eltwise", f"sum{number}", f"{bottom} {branch}")
        bottom = f"r{number}"
        text += _layer("ReLU", bottom, f"sum{number}")
    text += _layer("Pooling", "pool", bottom, _MEAN) + _sums("out", "pool", CLASSES)
    return text + _layer("SoftmaxWithLoss", "loss", "out label")


def run(seed: int, *, gated: bool) -> tuple[Squares, Squares, Squares]:
    """Return the mean squares of some values, of their gradients and of those of the blobs, by name."""
    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    gradients: dict[str, Array] = {}
    blobs: dict[str, Array] = {}

    def weights(fan_in: int, *shape: int) -> Array:
        return np.float32((2 / fan_in) ** 0.5) * rng.standard_normal(shape, np.float32)

    def normalized(name: str, bottom: Array) -> tuple[Array, Callable[[Array], Array]]:
        kernels, columns = weights(9 * CHANNELS, CHANNELS, CHANNELS, 9), _columns(bottom)
        sums = np.einsum("bckhw,ock->bohw", columns, kernels, optimize=True)
        deviations = sums - sums.mean(_BATCH_AND_PLACES, keepdims=True)
        scale = 1 / np.sqrt(deviations.var(_BATCH_AND_PLACES, keepdims=True) + 1e-5)
        top = deviations * scale

        def back(gradient: Array) -> Array:
            blobs[f"{name}_scale/0"] = (gradient * top).sum(_BATCH_AND_PLACES)
            blobs[f"{name}_scale/1"] = gradient.sum(_BATCH_AND_PLACES)
            common = gradient.mean(_BATCH_AND_PLACES, keepdims=True)
            along = (gradient * top).mean(_BATCH_AND_PLACES, keepdims=True)
            gradients[name] = before = scale * (gradient - common - top * along)
            blobs[f"{name}/0"] = np.einsum("bohw,bckhw->ock", before, columns, optimize=True)
            return np.einsum("bokhw,ock->bchw", _columns(before), kernels[:, :, ::-1], optimize=True)

        return top, back

    def gates(number: int, branch: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Return the branch with gates, and what leads its gradient back."""
        down, up = weights(CHANNELS, CHANNELS, CHANNELS // 4), weights(CHANNELS // 4, CHANNELS // 4, CHANNELS)
        mean = branch.mean(_PLACES)
        rectified = np.maximum(mean @ down, 0)
        values[f"up{number}"] = rectified @ up
        gate = 1 / (1 + np.exp(-values[f"up{number}"]))

        def back(gradient: Array) -> Array:
            gradients[f"gate{number}"] = (gradient * branch).sum(_PLACES)
            gradients[f"up{number}"] = before = gradients[f"gate{number}"] * gate * (1 - gate)
            blobs[f"up{number}/0"] = rectified.T @ before
            before = (before @ up.T) * (rectified > 0)
            blobs[f"down{number}/0"] = mean.T @ before
            spread = (before @ down.T) / SIDE**2
            return gradient * gate[:, :, None, None] + spread[:, :, None, None]

        return branch * gate[:, :, None, None], back

    def block(number: int, bottom: Array) -> tuple[Array, Callable[[Array], Array]]:
        first, first_back = normalized(f"a{number}", bottom)
        branch, branch_back = normalized(f"b{number}", np.maximum(first, 0))
        gate_back: Callable[[Array], Array] = lambda gradient: gradient  # noqa: E731
        if gated:
            branch, gate_back = gates(number, branch)
        values[f"sum{number}"] = sums = bottom + branch

        def back(gradient: Array) -> Array:
            gradients[f"r{number}"] = gradient
            gradients[f"sum{number}"] = gradient = gradient * (sums > 0)
            return gradient + first_back(branch_back(gate_back(gradient)) * (first > 0))

        return np.maximum(sums, 0), back

    value = rng.standard_normal((BATCH, CHANNELS, SIDE, SIDE), np.float32)
    backs = []
    for number in range(1, DEPTH + 1):
        value, back = block(number, value)
        values[f"r{number}"] = value
        backs.append(back)
    values["pool"], last = value.mean(_PLACES), weights(CHANNELS, CHANNELS, CLASSES)
    values["out"] = scores = values["pool"] @ last
    chances = np.exp(scores - scores.max(1, keepdims=True))
    labels = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, BATCH)]
    gradients["out"] = gradient = (chances / chances.sum(1, keepdims=True) - labels) / BATCH
    blobs["out/0"] = values["pool"].T @ gradient
    gradient = np.broadcast_to((gradient @ last.T)[:, :, None, None] / np.float32(SIDE**2), value.shape)
    for back in reversed(backs):
        gradient = back(gradient)
    gradients["data"] = gradient
    return _squares(values), _squares(gradients), _squares(blobs)


def _columns(value: Array) -> Array:
    """Return the places of each window of 3 x 3: [sample, channel, tap, row, column]."""
    padded = np.pad(value, ((0, 0), (0, 0), (1, 1), (1, 1)))
    taps = [padded[:, :, row : row + SIDE, column : column + SIDE] for row in range(3) for column in range(3)]
    return np.stack(taps, 2)


def _squares(arrays: dict[str, Array]) -> Squares:
    return {name: float(np.square(array, dtype=np.float64).mean()) for name, array in arrays.items()}
