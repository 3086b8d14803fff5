"""`xavier`: uniform values that keep the variance of signals from layer to layer."""

from typing import Any

import numpy as np

from filler_server.fillers.distributions import Uniform
from filler_server.fillers.variance_scaling import VarianceScaling


class XavierFiller(VarianceScaling):
    """Uniform values of variance 1 / n, n being fan_in, fan_out or their average.

    x ~ U[-scale, scale], scale = sqrt(3 / n). Glorot and Bengio, "Understanding the difficulty of training deep
    feedforward neural networks", 2010. Caffe: `XavierFiller` in `include/caffe/filler.hpp`.
    """

    type = "xavier"

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Uniform:
        """Return U[-scale, scale]."""
        scale = self.scale(3, shape, dtype)
        return Uniform(-scale, scale)
