"""`variance_scaling_uniform`, `_gaussian` and `_truncated`: a variance of scale / n, whatever the distribution."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError
from filler_server.fillers.checks import finite_or, refuse_unused
from filler_server.fillers.distributions import Gaussian, Uniform
from filler_server.fillers.truncation import STD_WITHIN_2, TruncatedGaussian
from filler_server.fillers.variance_scaling import VarianceScaling


class _Scaled(VarianceScaling):
    """A filler of variance scale / n, n being fan_in, fan_out or their average."""

    fields = ("value", "variance_norm")
    defaults: ClassVar[Mapping[str, str]] = {"value": "1.0"}
    in_caffe = False

    def __init__(self, param: FillerParameter) -> None:
        """Take the scale in `value` > 0, finite, 1 where it is not given, and `variance_norm`."""
        super().__init__(param)
        refuse_unused(param, self.fields)
        self._scale = finite_or(param, "value", 1.0)
        if self._scale <= 0:
            raise FillerParameterError(
                f"value, the scale of filler type '{self.type}', must be above 0. Received: value={self._scale}",
                field="value",
            )


class VarianceScalingUniformFiller(_Scaled):
    """Uniform values of variance value / n, n being fan_in, fan_out or their average.

    x ~ U[-limit, limit], limit = sqrt(3 value / n); with value 1 it is `xavier`. Keras and JAX: `variance_scaling` of
    the distribution "uniform"; PyTorch: `kaiming_uniform_` of gain sqrt(value).
    """

    type = "variance_scaling_uniform"

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Uniform:
        """Return U[-limit, limit], each step computed in `dtype`."""
        real = np.dtype(dtype).type
        limit = self.scale(float(real(3) * real(self._scale)), shape, dtype)
        return Uniform(-limit, limit)


class VarianceScalingGaussianFiller(_Scaled):
    """Normal values of variance value / n, n being fan_in, fan_out or their average.

    x ~ N(0, std^2), std = sqrt(value / n); with value 2 it is `msra`. Keras: `VarianceScaling` of the distribution
    "untruncated_normal"; JAX: `variance_scaling` of "normal"; PyTorch: `kaiming_normal_` of gain sqrt(value).
    """

    type = "variance_scaling_gaussian"

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Gaussian:
        """Return N(0, std^2)."""
        return Gaussian(0.0, self.scale(self._scale, shape, dtype))


class VarianceScalingTruncatedFiller(_Scaled):
    """Normal values within two standard deviations, of variance value / n after they are truncated.

    x ~ N(0, s^2) given |x| <= 2 s, s = sqrt(value / n) / 0.87962566103423978, n being fan_in, fan_out or their average.
    Keras and JAX: `variance_scaling` of the distribution "truncated_normal", which `he_normal`, `glorot_normal` and
    `lecun_normal` are.
    """

    type = "variance_scaling_truncated"

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> TruncatedGaussian:
        """Return N(0, s^2) within [-2 s, 2 s], each step computed in `dtype`."""
        real = np.dtype(dtype).type
        scale = real(self.scale(self._scale, shape, dtype)) / real(STD_WITHIN_2)
        bound = float(real(2) * scale)
        return TruncatedGaussian(0.0, float(scale), -bound, bound)
