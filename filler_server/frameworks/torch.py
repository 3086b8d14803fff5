"""`torch.nn.init`: each function with PyTorch's own parameters and defaults, the tensor left out."""

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, InvalidArgument
from filler_server.frameworks import fillers
from filler_server.frameworks.fillers import Kind

_PLAIN = ("linear", "sigmoid", *(f"conv{part}{n}d" for part in ("", "_transpose") for n in (1, 2, 3)))
_SQUARES = {**dict.fromkeys(_PLAIN, 1.0), "tanh": 25 / 9, "relu": 2.0, "selu": 9 / 16}


def square_of_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the square of `torch.nn.init.calculate_gain`.

    Raises:
        InvalidArgument: PyTorch has no gain for it.
        FillerParameterError: the slope of a leaky ReLU is so large that its gain is 0.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        square = 2 / (1 + slope * slope)
        if not square:
            raise FillerParameterError(f"a slope so large leaves no gain. Received: {slope!r}", field="value")
        return square
    if nonlinearity not in _SQUARES:
        known = ", ".join([*_SQUARES, "leaky_relu"])
        raise InvalidArgument(f"nonlinearity is one of {known}. Received: nonlinearity={nonlinearity!r}")
    return _SQUARES[nonlinearity]


def uniform_(a: float = 0.0, b: float = 1.0) -> FillerParameter:
    """Return uniform values of [a, b]."""
    return fillers.uniform(a, b)


def normal_(mean: float = 0.0, std: float = 1.0) -> FillerParameter:
    """Return normal values."""
    return fillers.gaussian(mean, std)


def trunc_normal_(mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> FillerParameter:
    """Return normal values between a and b."""
    return fillers.truncated(mean, std, a, b)


def constant_(val: float) -> FillerParameter:
    """Return one value."""
    return fillers.constant(val)


def zeros_() -> FillerParameter:
    """Return zeros."""
    return fillers.constant(0.0)


def ones_() -> FillerParameter:
    """Return ones."""
    return fillers.constant(1.0)


def eye_() -> FillerParameter:
    """Return ones on the diagonal."""
    return fillers.with_value("identity", 1.0)


def dirac_(groups: int = 1) -> FillerParameter:
    """Return ones in the middle of kernels.

    Raises:
        InvalidArgument: there are several groups.
    """
    if groups != 1:
        raise InvalidArgument(f"filler type 'dirac' is that of one group. Received: groups={groups!r}")
    return fillers.with_value("dirac", 1.0)


def xavier_uniform_(gain: float = 1.0) -> FillerParameter:
    """Return uniform values by the average of the fans."""
    return fillers.scaled("uniform", _square(gain), "fan_avg")


def xavier_normal_(gain: float = 1.0) -> FillerParameter:
    """Return normal values by the average of the fans."""
    return fillers.scaled("gaussian", _square(gain), "fan_avg")


def kaiming_uniform_(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> FillerParameter:
    """Return uniform values by one of the fans."""
    return _kaiming("uniform", a, mode, nonlinearity)


def kaiming_normal_(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> FillerParameter:
    """Return normal values by one of the fans."""
    return _kaiming("gaussian", a, mode, nonlinearity)


def orthogonal_(gain: float = 1.0) -> FillerParameter:
    """Return an orthogonal matrix."""
    return fillers.with_value("orthogonal", gain)


def _square(gain: float) -> float:
    """Return the square of a gain.

    Raises:
        InvalidArgument: it is negative, and PyTorch refuses it.
    """
    if gain < 0:
        raise InvalidArgument(f"gain of PyTorch's xavier is 0 or more. Received: gain={gain!r}")
    return gain * gain


def _kaiming(kind: Kind, a: float, mode: str, nonlinearity: str) -> FillerParameter:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise InvalidArgument(f"mode of PyTorch's kaiming is fan_in or fan_out. Received: mode={mode!r}")
    return fillers.scaled(kind, square_of_gain(nonlinearity, a), mode.lower())
