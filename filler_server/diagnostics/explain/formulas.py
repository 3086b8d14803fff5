"""The formula of each filler, in symbols and in numbers, and where it was published."""

from dataclasses import dataclass
from math import prod

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.fillers.distributions import Distribution
from filler_server.fillers.variance_scaling import fan_in, fan_out
from filler_server.frameworks.reverse import number_text

_GLOROT = (
    "Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010, "
    "https://proceedings.mlr.press/v9/glorot10a.html"
)
_HE = (
    "He, Zhang, Ren and Sun, Delving deep into rectifiers: surpassing human-level performance on ImageNet "
    "classification, ICCV 2015, https://arxiv.org/abs/1502.01852"
)
_LECUN = "LeCun, Bottou, Orr and Müller, Efficient BackProp, in Neural Networks: Tricks of the Trade, 1998"
_MARTENS = "Martens, Deep learning via Hessian-free optimization, ICML 2010"

_PAPERS = {
    "xavier": _GLOROT,
    "msra": _HE,
    "bilinear": (
        "Long, Shelhamer and Darrell, Fully convolutional networks for semantic segmentation, CVPR 2015, "
        "https://arxiv.org/abs/1411.4038"
    ),
    "orthogonal": (
        "Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear neural "
        "networks, 2013, https://arxiv.org/abs/1312.6120"
    ),
    "identity": (
        "Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015, "
        "https://arxiv.org/abs/1504.00941"
    ),
    "dirac": (
        "Zagoruyko and Komodakis, DiracNets: training very deep neural networks without skip-connections, 2017, "
        "https://arxiv.org/abs/1706.00388"
    ),
}

_SCALES = {"xavier": 1.0, "msra": 2.0}
_MEANINGS = {
    FillerParameter.FAN_IN: "fan_in",
    FillerParameter.FAN_OUT: "fan_out",
    FillerParameter.AVERAGE: "(fan_in + fan_out) / 2",
}
_KINDS = {
    "xavier": "uniform",
    "msra": "gaussian",
    "variance_scaling_uniform": "uniform",
    "variance_scaling_gaussian": "gaussian",
    "variance_scaling_truncated": "truncated",
}
_BY_FANS = {
    "uniform": "x ~ U[-s, s], s = sqrt({three} / n)",
    "gaussian": "x ~ N(0, s^2), s = sqrt({scale} / n)",
    "truncated": "x ~ N(0, s^2) given |x| <= 2 s, s = sqrt({scale} / n) / 0.879626",
}


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula.

    Attributes:
        symbols: with the names of fields and fans.
        numbers: with their values; None where the shape is not known on which they depend.
    """

    symbols: str
    numbers: str | None


def needs_shape(filler: FillerParameter) -> bool:
    """Return whether the distribution of a filler depends on the shape of its blob, or may do so."""
    if filler.type == "gaussian":
        return filler.sparse >= 0
    return filler.type not in ("constant", "uniform", "truncated_gaussian")


def paper_of(filler: FillerParameter) -> str | None:
    """Return where a filler was published; None where nobody seems to claim it."""
    if filler.type in _PAPERS:
        return _PAPERS[filler.type]
    if filler.type == "gaussian" and filler.sparse >= 0:
        return _MARTENS
    if filler.type.startswith("variance_scaling_"):
        scale = filler.value if filler.HasField("value") else 1.0
        if filler.variance_norm == FillerParameter.AVERAGE:
            return _GLOROT
        return _HE if scale == 2 else _LECUN if scale == 1 else None
    return None


def formula_of(
    filler: FillerParameter, shape: tuple[int, ...] | None, distribution: Distribution | None
) -> Formula | None:
    """Return the formula of a filler, or None of a type of the user's own.

    Args:
        filler: of a type that is registered.
        shape: shape of its blob, which its filler has accepted; None where it is not known.
        distribution: of the values, where that can be known.
    """
    if filler.type in _KINDS:
        return _by_fans(filler, shape, distribution)
    make = _FORMULAS.get(filler.type)
    return None if make is None else make(filler, shape)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else number_text(value)


def _by_fans(filler: FillerParameter, shape: tuple[int, ...] | None, distribution: Distribution | None) -> Formula:
    kind, norm = _KINDS[filler.type], filler.variance_norm
    own = _SCALES.get(filler.type)
    scale = own or (filler.value if filler.HasField("value") else 1.0)
    text = _number(scale) if own else "value"
    three = _number(3 * own) if own else "3 value"
    symbols = f"{_BY_FANS[kind].format(scale=text, three=three)}, n = {_MEANINGS[norm]}"
    if shape is None or distribution is None:
        return Formula(symbols, None)
    fans = {
        FillerParameter.FAN_IN: _number(fan_in(shape)),
        FillerParameter.FAN_OUT: _number(fan_out(shape)),
        FillerParameter.AVERAGE: f"(({fan_in(shape)} + {fan_out(shape)}) / 2)",
    }
    root = f"sqrt({_number(3 * scale if kind == 'uniform' else scale)} / {fans[norm]})"
    if kind == "uniform":
        limit = f"{distribution.maximum:.6g}"
        return Formula(symbols, f"x ~ U[-{limit}, {limit}], {limit} = {root}")
    if kind == "gaussian":
        return Formula(symbols, f"x ~ N(0, {distribution.std:.6g}^2), {distribution.std:.6g} = {root}")
    bound = distribution.maximum
    return Formula(
        symbols, f"x ~ N(0, {bound / 2:.6g}^2) given |x| <= {bound:.6g}, {bound / 2:.6g} = {root} / 0.879626"
    )


def _constant(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    return Formula("x = value", f"x = {_number(filler.value)}")


def _uniform(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    return Formula("x ~ U[min, max]", f"x ~ U[{_number(filler.min)}, {_number(filler.max)}]")


def _gaussian(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    normal = f"x ~ N({_number(filler.mean)}, {_number(filler.std)}^2)"
    if filler.sparse < 0:
        return Formula("x ~ N(mean, std^2)", normal)
    symbols = "x ~ N(mean, std^2) with probability sparse / num_output, else 0"
    if shape is None:
        return Formula(symbols, None)
    share = f"{filler.sparse} / {shape[0]} = {filler.sparse / shape[0]:.4g}"
    return Formula(symbols, f"{normal} with probability {share}, else 0")


def _truncated(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    low = filler.min if filler.HasField("min") else filler.mean - 2 * filler.std
    high = filler.max if filler.HasField("max") else filler.mean + 2 * filler.std
    numbers = f"x ~ N({_number(filler.mean)}, {_number(filler.std)}^2) given {_number(low)} <= x <= {_number(high)}"
    return Formula("x ~ N(mean, std^2) given min <= x <= max", numbers)


def _unitball(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    symbols = "x = u / (the sum of u over its row), u ~ U[0, 1]"
    if shape is None:
        return Formula(symbols, None)
    return Formula(symbols, f"{symbols}, {shape[0]} rows of {prod(shape[1:])} values")


def _bilinear(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    symbols = "x = (1 - |i / f - m|) (1 - |j / f - m|), f = ceil(k / 2), m = (k - 1) / (2 f), k the kernel's width"
    if shape is None:
        return Formula(symbols, None)
    half = -(-shape[3] // 2)
    middle = _number((shape[3] - 1) / (2 * half))
    return Formula(symbols, f"x = (1 - |i / {half} - {middle}|) (1 - |j / {half} - {middle}|), 0 <= i, j < {shape[3]}")


def _orthogonal(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    symbols = "a matrix of orthonormal rows, or columns where they are fewer, times value"
    if shape is None:
        return Formula(symbols, None)
    rows, columns = shape[0], prod(shape[1:])
    gain = _number(filler.value if filler.HasField("value") else 1.0)
    vectors = "rows" if rows <= columns else "columns"
    return Formula(symbols, f"a matrix of {rows} x {columns} with orthonormal {vectors}, times {gain}")


def _identity(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    value = _number(filler.value if filler.HasField("value") else 1.0)
    numbers = None if shape is None else f"x[i, i] = {value} for i < {min(shape[:2])}, else 0"
    return Formula("x[i, j] = value where i = j, else 0", numbers)


def _dirac(filler: FillerParameter, shape: tuple[int, ...] | None) -> Formula:
    symbols = "x[i, i, k / 2, ...] = value in the middle of the kernel, else 0"
    if shape is None:
        return Formula(symbols, None)
    value = _number(filler.value if filler.HasField("value") else 1.0)
    middle = ", ".join(str(dim // 2) for dim in shape[2:])
    return Formula(symbols, f"x[i, i, {middle}] = {value} for i < {min(shape[:2])}, else 0")


_FORMULAS = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "truncated_gaussian": _truncated,
    "positive_unitball": _unitball,
    "bilinear": _bilinear,
    "orthogonal": _orthogonal,
    "identity": _identity,
    "dirac": _dirac,
}
