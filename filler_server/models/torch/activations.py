"""Operations that work value by value, and Softmax."""

from math import e, log

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import literal
from filler_server.models.torch.registry import emits
from filler_server.net.operations import activations as of


@emits(of.AbsVal)
def abs_val(layer: Layer, operation: of.AbsVal) -> str:
    """Write AbsVal as `abs`."""
    return f"{layer.bottoms[0]}.abs()"


@emits(of.BNLL)
def bnll(layer: Layer, operation: of.BNLL) -> str:
    """Write BNLL as Softplus, which is linear only where that makes no difference."""
    return layer.apply("nn.Softplus", threshold=80)


@emits(of.Clip)
def clip(layer: Layer, operation: of.Clip) -> str:
    """Write Clip as `clamp`."""
    return f"{layer.bottoms[0]}.clamp({literal(operation.lower)}, {literal(operation.upper)})"


@emits(of.Dropout)
def dropout(layer: Layer, operation: of.Dropout) -> str:
    """Write Dropout as a module, which drops nothing in eval mode."""
    if operation.random_in_test:
        raise NoCounterpart("it draws random numbers in both phases, and modules of PyTorch in training alone")
    kind = {3: "nn.Dropout1d", 4: "nn.Dropout2d", 5: "nn.Dropout3d"}.get(layer.axes())
    if operation.whole_channels and kind is None:
        raise NoCounterpart(f"PyTorch drops channels of 3 to 5 axes, not of {layer.axes()}")
    y = layer.apply(kind or "nn.Dropout" if operation.whole_channels else "nn.Dropout", operation.ratio)
    return y if operation.scale_train else f"{y} * {literal(1 - operation.ratio)}"


@emits(of.ELU)
def elu(layer: Layer, operation: of.ELU) -> str:
    """Write ELU."""
    return layer.apply("nn.ELU", operation.alpha)


@emits(of.Exp)
def exp(layer: Layer, operation: of.Exp) -> str:
    """Write Exp as `exp` of what the base makes of scale and shift."""
    power = f"torch.exp({_linear(layer.bottoms[0], operation.scale, operation.shift)})"
    if operation.base == e:
        return power
    return f"{literal(operation.base)} ** ({_linear(layer.bottoms[0], operation.scale, operation.shift)})"


@emits(of.Log)
def logarithm(layer: Layer, operation: of.Log) -> str:
    """Write Log, divided by the logarithm of its base."""
    natural = f"torch.log({_linear(layer.bottoms[0], operation.scale, operation.shift)})"
    return natural if operation.base == e else f"{natural} / {log(operation.base)!r}"


@emits(of.NegReLU)
def neg_relu(layer: Layer, operation: of.NegReLU) -> str:
    """Write NegReLU as what a leaky ReLU makes of the negative, turned back."""
    return f"-F.leaky_relu(-{layer.bottoms[0]}, {literal(operation.negative_slope)})"


@emits(of.Power)
def power(layer: Layer, operation: of.Power) -> str:
    """Write Power; where neither the power nor the scale is left it is the same number everywhere, as in Caffe."""
    if operation.power == 0 or operation.scale == 0:
        number = 1.0 if operation.power == 0 else _power(operation.shift, operation.power)
        return f"torch.full_like({layer.bottoms[0]}, {literal(number)})"
    base = _linear(layer.bottoms[0], operation.scale, operation.shift)
    if operation.power == 1:
        return base
    return f"{base if base.isidentifier() else f'({base})'} ** {literal(operation.power)}"


@emits(of.PReLU)
def prelu(layer: Layer, operation: of.PReLU) -> str:
    """Write PReLU."""
    return layer.apply("nn.PReLU", None if operation.channel_shared else layer.state["weight"][0])


@emits(of.ReLU)
def relu(layer: Layer, operation: of.ReLU) -> str:
    """Write ReLU, leaky if it has a slope."""
    if operation.negative_slope == 0:
        return layer.apply("nn.ReLU")
    return layer.apply("nn.LeakyReLU", operation.negative_slope)


@emits(of.ReLU6)
def relu6(layer: Layer, operation: of.ReLU6) -> str:
    """Write ReLU6; one with a slope is a leaky ReLU cut at 6."""
    if operation.negative_slope == 0:
        return layer.apply("nn.ReLU6")
    return f"{layer.apply('nn.LeakyReLU', operation.negative_slope)}.clamp(max=6)"


@emits(of.Sigmoid)
def sigmoid(layer: Layer, operation: of.Sigmoid) -> str:
    """Write Sigmoid."""
    return layer.apply("nn.Sigmoid")


@emits(of.SignedPower)
def signed_power(layer: Layer, operation: of.SignedPower) -> str:
    """Write SignedPower."""
    base = _linear(layer.bottoms[0], operation.scale, operation.shift)
    return f"torch.sign({base}) * torch.abs({base}) ** {literal(operation.power)}"


@emits(of.SignedSqrt)
def signed_sqrt(layer: Layer, operation: of.SignedSqrt) -> str:
    """Write SignedSqrt."""
    return f"{layer.bottoms[0]}.sign() * {layer.bottoms[0]}.abs().sqrt()"


@emits(of.Softmax)
def softmax(layer: Layer, operation: of.Softmax) -> str:
    """Write Softmax."""
    return layer.apply("nn.Softmax", dim=operation.axis)


@emits(of.Swish)
def swish(layer: Layer, operation: of.Swish) -> str:
    """Write Swish; SiLU if beta is 1."""
    if operation.beta == 1:
        return layer.apply("nn.SiLU")
    return f"{layer.bottoms[0]} * torch.sigmoid({literal(operation.beta)} * {layer.bottoms[0]})"


@emits(of.TanH)
def tanh(layer: Layer, operation: of.TanH) -> str:
    """Write TanH."""
    return layer.apply("nn.Tanh")


@emits(of.Threshold)
def threshold(layer: Layer, operation: of.Threshold) -> str:
    """Write Threshold as a comparison, whose result is of the type of the values."""
    return f"({layer.bottoms[0]} > {literal(operation.threshold)}).to({layer.bottoms[0]}.dtype)"


def _linear(variable: str, scale: float, shift: float) -> str:
    scaled = variable if scale == 1 else f"{literal(scale)} * {variable}"
    return scaled if shift == 0 else f"{literal(shift)} + {scaled}"


def _power(base: float, exponent: float) -> float:
    try:
        result = base**exponent
    except (OverflowError, ZeroDivisionError):
        return float("inf")
    return result if isinstance(result, float) else float("nan")
