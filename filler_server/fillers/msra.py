"""`msra`: normal values that keep the variance of signals through ReLU layers."""

from typing import Any

import numpy as np

from filler_server.fillers.distributions import Gaussian
from filler_server.fillers.variance_scaling import VarianceScaling


class MSRAFiller(VarianceScaling):
    """Normal values of variance 2 / n, n being fan_in, fan_out or their average.

    x ~ N(0, std^2), std = sqrt(2 / n). He, Zhang, Ren and Sun, "Delving deep into rectifiers: surpassing human-level
    performance on ImageNet classification", 2015. Caffe: `MSRAFiller` in `include/caffe/filler.hpp`.
    """

    type = "msra"

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Gaussian:
        """Return N(0, std^2)."""
        return Gaussian(0.0, self.scale(2, shape, dtype))
