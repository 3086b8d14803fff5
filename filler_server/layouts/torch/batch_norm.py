"""Batch normalization: its statistics, and the scale and bias that it has itself or that a Scale after it has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filler_server.layouts.torch.module import Mismatch, Module, as_blob, as_vector, check_all
from filler_server.net.plan import Layer
from filler_server.tensors import Tensor, combined, constant, renamed

_TORCH_EPS = np.float32(1e-5)
_AFFINE = ("weight", "bias")


class BatchNorm(Module):
    """A BatchNorm or BN with statistics, and the Scale that is folded into it.

    * Caffe keeps sums of means and variances, which it multiplies by 1 / factor, or by 0 where the factor is 0, in the
      arithmetic of the blob's own type (batch_norm_layer.cpp). So are `running_mean` and `running_var`.
    * With five blobs a factor of 0 divides nothing: NVIDIA's fork keeps the means themselves and never reads its fifth
      blob. Intel's divides as BVLC's does.
    * A layer that has gathered no statistics gives those that a module has at its start, 0 and 1: with three blobs one
      whose factor is 0 and whose sums are, with four or five one whose means and variances are all 0.

    `num_batches_tracked` is not written: PyTorch starts it at 0 where a state_dict lacks it, and it counts only with
    `momentum=None`. It is not read either.

    Args:
        name: name of the layer.
        layer: the layer.
        roles: what its blobs are.
        scale: the Scale, if there is one.
        computing: whether statistics that were not gathered are those that Caffe computes with, 0.
    """

    def __init__(
        self,
        name: str,
        layer: Layer,
        roles: Sequence[str],
        scale: tuple[str, Layer] | None,
        *,
        computing: bool = False,
    ) -> None:
        super().__init__(name, [*layer.blobs, *(() if scale is None else scale[1].blobs)])
        self._roles = tuple(roles)
        self._scale = None if scale is None else scale[0]
        self._computing = computing
        self._affine = 0 if scale is None else len(scale[1].blobs)
        eps = np.float32(layer.parameter.batch_norm_param.eps)
        if layer.type == "BatchNorm" and eps != _TORCH_EPS:
            self.notes.append(f"has an eps of its own: BatchNorm2d(..., eps={eps:g})")

    def to_torch(self, blobs: Sequence[Tensor]) -> list[Tensor]:
        """Return weight and bias, where there are some, and the running statistics."""
        own = dict(zip(self._roles, blobs, strict=False))
        learned = [own["scale"], own["bias"]] if "scale" in own else list(blobs[len(self._roles) :])
        state = [
            renamed(as_vector(tensor), f"{self.name}.{name}") for tensor, name in zip(learned, _AFFINE, strict=False)
        ]
        if len(state) == 1:
            state.append(constant(f"{self.name}.bias", state[0].shape, state[0].dtype, 0))
        return [*state, *self._statistics(own)]

    def from_torch(self, state: Mapping[str, Tensor]) -> tuple[list[Tensor], list[str]] | None:
        """Return the statistics as they are with a factor of 1, and weight and bias where their blobs are."""
        statistics = [f"{self.name}.running_mean", f"{self.name}.running_var"]
        learned = [f"{self.name}.{name}" for name in _AFFINE]
        if not any(name in state for name in (*statistics, *learned)):
            return None
        check_all(statistics, state)
        mean, variance = (state[name] for name in statistics)
        own: dict[str, Tensor] = {"mean": mean, "variance": variance, "factor": constant("", (1,), mean.dtype, 1)}
        further, used = self._learned(state)
        own.update(zip(("scale", "bias"), further, strict=False))
        blobs = [own[role] for role in self._roles] + further[: self._affine]
        return [as_blob(tensor, blob) for tensor, blob in zip(blobs, self.blobs, strict=True)], [*statistics, *used]

    def _learned(self, state: Mapping[str, Tensor]) -> tuple[list[Tensor], list[str]]:
        """Return weight and bias as far as there are blobs for them, and the names that were taken."""
        names = [f"{self.name}.{name}" for name in _AFFINE]
        if self._scale is not None and not any(name in state for name in names):
            names = [f"{self._scale}.{name}" for name in _AFFINE]
        places = 2 if "scale" in self._roles else self._affine
        check_all([f"{self.name}.running_mean", *names[:places]], state)
        for name, neutral in zip(names[places:], (1, 0)[places:], strict=True):
            if name in state and any((block != neutral).any() for block in state[name].blocks()):
                where = "a Scale after it" if places == 0 else "a bias_term in its Scale"
                raise Mismatch(f"'{name}' has no place in layer '{self.name}', which would need {where}")
        return [state[name] for name in names[:places]], [name for name in names if name in state]

    def _statistics(self, own: Mapping[str, Tensor]) -> list[Tensor]:
        mean, variance = (
            renamed(as_vector(own[role]), f"{self.name}.{name}")
            for role, name in (("mean", "running_mean"), ("variance", "running_var"))
        )
        with_scale = "scale" in own
        factor = _scalar(own["factor"]) if "factor" in own else 1.0
        if not self._computing and (with_scale or factor == 0) and _is_zero(mean) and _is_zero(variance):
            self.notes.append("has gathered no statistics: running_var is 1, as in a new module")
            return [mean, constant(variance.name, variance.shape, variance.dtype, 1)]
        if "factor" not in own or (with_scale and factor == 0):
            return [mean, variance]
        if factor == 0:
            self.notes.append("has a factor of 0, with which Caffe takes mean and variance as 0")
        return [combined(tensor.name, _divide, tensor, _spread(own["factor"], tensor)) for tensor in (mean, variance)]


def _divide(sums: NDArray[Any], factor: NDArray[Any]) -> NDArray[Any]:
    # Caffe computes in single precision what is stored in half.
    wide = np.promote_types(sums.dtype, np.float32).type
    given = wide(factor[0])
    return np.asarray(sums * (wide(0) if given == 0 else wide(1) / given))


def _spread(factor: Tensor, tensor: Tensor) -> Tensor:
    """Return the one value of a tensor as often as another has values."""
    return constant(factor.name, tensor.shape, factor.dtype, _scalar(factor))


def _scalar(tensor: Tensor) -> float:
    value = np.empty(1, tensor.dtype)
    tensor.read(0, value)
    return float(value[0])


def _is_zero(tensor: Tensor) -> bool:
    return not any(block.any() for block in tensor.blocks())
