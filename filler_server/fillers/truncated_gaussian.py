"""`truncated_gaussian`: normal values within bounds."""

from collections.abc import Mapping
from math import isnan
from typing import Any, ClassVar

import numpy as np

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError
from caffe_filler.shapes import check_shape
from filler_server.fillers.base import Filler
from filler_server.fillers.checks import finite, refuse_unused
from filler_server.fillers.truncation import TruncatedGaussian
from filler_server.rng.arguments import FARTHEST_BOUND, NARROWEST


class TruncatedGaussianFiller(Filler):
    """Normal values between min and max; a bound that is not given lies 2 std from the mean.

    x ~ N(mean, std^2) given min <= x <= max, so that its own standard deviation is less than std. Each value is the
    quantile of one uniform value; none is drawn twice. PyTorch: `torch.nn.init.trunc_normal_`; Keras:
    `TruncatedNormal`.
    """

    type = "truncated_gaussian"
    fields = ("mean", "std", "min", "max")
    defaults: ClassVar[Mapping[str, str]] = {"min": "", "max": ""}
    in_caffe = False

    def __init__(self, param: FillerParameter) -> None:
        """Take `mean` and `std` > 0, both finite, and `min` < `max`, either infinite for no bound.

        Where a bound is not given it lies 2 std from the mean.
        """
        refuse_unused(param, self.fields)
        mean, std = finite(param, "mean"), finite(param, "std")
        if std <= 0:
            raise FillerParameterError(
                f"std of filler type '{self.type}' must be above 0. Received: std={std}", field="std"
            )
        low = self._bound(param, "min", mean - 2 * std)
        high = self._bound(param, "max", mean + 2 * std)
        received = f"Received: mean={mean}, std={std}, min={low}, max={high}"
        if not low < high:
            raise FillerParameterError(f"min of filler type '{self.type}' must be below max. {received}", field="min")
        for field, distance in (("min", low - mean), ("max", mean - high)):
            if distance > FARTHEST_BOUND * std:
                raise FillerParameterError(
                    f"{field} of filler type '{self.type}' may lie {FARTHEST_BOUND} std beyond the mean, no further: "
                    f"next to nothing of the distribution is left. {received}",
                    field=field,
                )
        if high - low < NARROWEST * std:
            raise FillerParameterError(
                f"min and max of filler type '{self.type}' must lie at least 2^-20 std apart; between closer ones "
                f'take type: "uniform". {received}',
                field="max",
            )
        self._distribution = TruncatedGaussian(mean, std, low, high)

    def check(self, shape: tuple[int, ...]) -> None:
        """Accept every shape that a blob can have."""
        check_shape(shape)

    def distribution(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> TruncatedGaussian:
        """Return N(mean, std^2) within the bounds."""
        return self._distribution

    def _bound(self, param: FillerParameter, field: str, default: float) -> float:
        value = float(getattr(param, field)) if param.HasField(field) else float(np.float32(default))
        if isnan(value):
            raise FillerParameterError(
                f"{field} of filler type '{self.type}' must be a number. Received: {field}=nan", field=field
            )
        return value
