"""From a filler to the calls of other frameworks that give the same distribution."""

from collections.abc import Callable
from math import isclose, sqrt

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter

_SCALED = {
    "xavier": ("uniform", 1.0),
    "msra": ("gaussian", 2.0),
    "variance_scaling_uniform": ("uniform", None),
    "variance_scaling_gaussian": ("gaussian", None),
    "variance_scaling_truncated": ("truncated", None),
}
_MODES = {0: "fan_in", 1: "fan_out", 2: "fan_avg"}
_KERAS = {"uniform": "uniform", "gaussian": "untruncated_normal", "truncated": "truncated_normal"}
_JAX = {"uniform": "uniform", "gaussian": "normal", "truncated": "truncated_normal"}
_NAMED = {
    ("uniform", 1.0, 0): "lecun_uniform",
    ("truncated", 1.0, 0): "lecun_normal",
    ("uniform", 2.0, 0): "he_uniform",
    ("truncated", 2.0, 0): "he_normal",
    ("uniform", 1.0, 2): "glorot_uniform",
    ("truncated", 1.0, 2): "glorot_normal",
}
_SQUARES = {"linear": 1.0, "tanh": 25 / 9, "selu": 9 / 16}
"""Squares of `torch.nn.init.calculate_gain`, by the nonlinearity; that of a ReLU is the default."""

_TORCH, _KERAS_, _JAX_ = "torch.nn.init.", "keras.initializers.", "jax.nn.initializers."


def calls(filler: FillerParameter) -> dict[str, str | None]:
    """Return the call of each framework, or None where it has no initializer of the same distribution.

    Args:
        filler: of a type that is registered, with its own fields.
    """
    if filler.type in _SCALED:
        return _scaled(filler)
    makers = {
        "constant": _constant,
        "uniform": _uniform,
        "gaussian": _gaussian,
        "truncated_gaussian": _truncated,
        "orthogonal": _orthogonal,
        "identity": _identity,
        "dirac": _dirac,
    }
    torch, keras, jax = makers[filler.type](filler) if filler.type in makers else (None, None, None)
    return {"torch": torch, "keras": keras, "jax": jax}


_Calls = tuple[str | None, str | None, str | None]


def number_text(value: float) -> str:
    """Return a number in the fewest digits that mean its float32."""
    return str(np.float32(value)).removesuffix(".0")


def _same(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=3e-8)


def _constant(filler: FillerParameter) -> _Calls:
    value = number_text(filler.value)
    if filler.value in (0, 1):
        name = "ones" if filler.value else "zeros"
        return f"{_TORCH}{name}_(w)", f"{_KERAS_}{name.title()}()", f"{_JAX_}{name}"
    return f"{_TORCH}constant_(w, {value})", f"{_KERAS_}Constant({value})", f"{_JAX_}constant({value})"


def _uniform(filler: FillerParameter) -> _Calls:
    low, high = number_text(filler.min), number_text(filler.max)
    jax = f"{_JAX_}uniform({high})" if filler.min == 0 else None
    return f"{_TORCH}uniform_(w, {low}, {high})", f"{_KERAS_}RandomUniform({low}, {high})", jax


def _gaussian(filler: FillerParameter) -> _Calls:
    if filler.sparse >= 0:
        return None, None, None
    mean, std = number_text(filler.mean), number_text(filler.std)
    jax = f"{_JAX_}normal({std})" if filler.mean == 0 else None
    return f"{_TORCH}normal_(w, {mean}, {std})", f"{_KERAS_}RandomNormal({mean}, {std})", jax


def _truncated(filler: FillerParameter) -> _Calls:
    mean, std = filler.mean, filler.std
    low = filler.min if filler.HasField("min") else mean - 2 * std
    high = filler.max if filler.HasField("max") else mean + 2 * std
    texts = [number_text(value) for value in (mean, std, low, high)]
    is_two = isclose(low, mean - 2 * std, rel_tol=1e-6) and isclose(high, mean + 2 * std, rel_tol=1e-6)
    bounds = "" if is_two else f", lower={number_text(low / std)}, upper={number_text(high / std)}"
    keras = f"{_KERAS_}TruncatedNormal({texts[0]}, {texts[1]})" if is_two else None
    jax = f"{_JAX_}truncated_normal({texts[1]}{bounds})" if mean == 0 else None
    return f"{_TORCH}trunc_normal_(w, {', '.join(texts)})", keras, jax


def _orthogonal(filler: FillerParameter) -> _Calls:
    gain = number_text(filler.value) if filler.HasField("value") else "1"
    inner = "" if gain == "1" else gain
    torch = f"{_TORCH}orthogonal_(w{', ' + inner if inner else ''})"
    return torch, f"{_KERAS_}Orthogonal({inner})", f"{_JAX_}orthogonal({inner})"


def _identity(filler: FillerParameter) -> _Calls:
    gain = number_text(filler.value) if filler.HasField("value") else "1"
    return (
        (f"{_TORCH}eye_(w)", f"{_KERAS_}Identity()", None)
        if gain == "1"
        else (None, f"{_KERAS_}Identity({gain})", None)
    )


def _dirac(filler: FillerParameter) -> _Calls:
    return (f"{_TORCH}dirac_(w)" if not filler.HasField("value") or filler.value == 1 else None), None, None


def _scaled(filler: FillerParameter) -> dict[str, str | None]:
    kind, own = _SCALED[filler.type]
    scale = own or (filler.value if filler.HasField("value") else 1.0)
    norm = filler.variance_norm
    name = _NAMED.get((kind, scale, norm))
    keras = f"{_KERAS_}VarianceScaling({number_text(scale)}, '{_MODES[norm]}', '{_KERAS[kind]}')"
    jax = f"{_JAX_}variance_scaling({number_text(scale)}, '{_MODES[norm]}', '{_JAX[kind]}')"
    if name is not None:
        keras, jax = f"{_KERAS_}{name.title().replace('_', '')}()", f"{_JAX_}{name}()"
    return {"torch": _torch_scaled(kind, scale, norm), "keras": keras, "jax": jax}


def _torch_scaled(kind: str, scale: float, norm: int) -> str | None:
    if kind == "truncated":
        return None
    suffix = "normal_" if kind == "gaussian" else "uniform_"
    if norm == FillerParameter.AVERAGE:
        gain = _shortest(sqrt(scale), scale, lambda gain: gain * gain)
        return f"{_TORCH}xavier_{suffix}(w{'' if scale == 1 else f', gain={gain}'})"
    mode = ", mode='fan_out'" if norm == FillerParameter.FAN_OUT else ""
    if _same(scale, 2.0):
        return f"{_TORCH}kaiming_{suffix}(w{mode})"
    for name, square in _SQUARES.items():
        if _same(scale, float(np.float32(square))):
            return f"{_TORCH}kaiming_{suffix}(w{mode}, nonlinearity='{name}')"
    if scale < 2:
        slope = _shortest(sqrt(2 / scale - 1), scale, lambda slope: 2 / (1 + slope * slope))
        return f"{_TORCH}kaiming_{suffix}(w, a={slope}{mode})"
    # No slope has a gain above sqrt(2).
    return None


def _shortest(value: float, scale: float, scale_of: Callable[[float], float]) -> str:
    """Return a number in the fewest digits from which the float32 of a scale follows."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next((text for text in texts if np.float32(scale_of(float(text))) == np.float32(scale)), number_text(value))
