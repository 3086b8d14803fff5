"""The layers of a plan that multiply their input with weights: their fillers, fans and the spread that these give."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.fillers import get_filler
from filler_server.net.operations.convolution import Convolution, Deconvolution
from filler_server.net.operations.inner_product import Embed, InnerProduct
from filler_server.net.plan import Blob, Layer, NetPlan

_DEFAULT = caffe_pb2.FillerParameter()
_TYPES = (Convolution, Deconvolution, InnerProduct, Embed)


@dataclass(frozen=True)
class Weight:
    """The weight of a layer, and its bias.

    Attributes:
        layer: index of the layer in the plan.
        blob: the weight.
        bias: the bias, or None.
        block: name of the field with the layer's parameters, such as `convolution_param`.
        inputs: inputs of each output, as the layer computes them; for a Deconvolution on average. None if unknown.
        outputs: outputs that each input reaches, likewise.
        rate: the lr_mult of the weight.
    """

    layer: int
    blob: Blob
    bias: Blob | None
    block: str
    inputs: float | None
    outputs: float | None
    rate: float

    @property
    def filler(self) -> caffe_pb2.FillerParameter:
        """The filler of the weight."""
        return self.blob.filler

    @property
    def explicit(self) -> bool:
        """Whether the net names its filler."""
        return self.blob.given or self.filler != _DEFAULT

    @property
    def path(self) -> tuple[str, ...]:
        """The path to its filler."""
        return (self.block, "weight_filler")

    @property
    def is_zero(self) -> bool:
        """Whether all values are 0 at first."""
        return not self.blob.given and self.filler.type == "constant" and self.filler.value == 0

    @cached_property
    def moments(self) -> tuple[float, float] | None:
        """Mean and standard deviation of its values that its filler promises; None where they are not known."""
        return moments_of(self.blob)

    @property
    def mean_square(self) -> float | None:
        """The mean of the squares of its values that its filler promises; None where it is not known."""
        return None if self.moments is None else self.moments[0] ** 2 + self.moments[1] ** 2


def moments_of(blob: Blob) -> tuple[float, float] | None:
    """Return mean and standard deviation that the filler of a blob promises; None where it is not known."""
    shape = blob.known_shape
    if shape is None or blob.given:
        return None
    try:
        filler = get_filler(blob.filler)
        filler.check(shape)
        distribution = filler.distribution(shape, np.dtype(np.float64))
    except FillerError:
        return None
    return distribution.mean, distribution.std


def weights_of(plan: NetPlan) -> tuple[Weight, ...]:
    """Return the weights of the convolutions, inner products and tables of a plan, in its order."""
    return tuple(_weights(plan))


def _weights(plan: NetPlan) -> Iterator[Weight]:
    for index, layer in enumerate(plan.layers):
        operation = layer.operation
        if not layer.blobs or not isinstance(operation, _TYPES):
            continue
        if isinstance(operation, InnerProduct) and operation.weight_bottom:
            continue
        specs = layer.parameter.param
        inputs, outputs = _fans(layer)
        yield Weight(
            layer=index,
            blob=layer.blobs[0],
            bias=layer.blobs[1] if len(layer.blobs) > 1 else None,
            block=_block(layer),
            inputs=inputs,
            outputs=outputs,
            rate=specs[0].lr_mult if specs else 1.0,
        )


def _block(layer: Layer) -> str:
    known = {InnerProduct: "inner_product_param", Embed: "embed_param"}
    return known.get(type(layer.operation), "convolution_param")


def _fans(layer: Layer) -> tuple[float | None, float | None]:
    """Return how many inputs each output has, and how many outputs each input."""
    operation, shape = layer.operation, layer.blobs[0].known_shape
    if shape is None or len(shape) < 2:
        return None, None
    if isinstance(operation, InnerProduct):
        return (shape[0], shape[1]) if operation.transpose else (shape[1], shape[0])
    if isinstance(operation, Embed):
        return 1, shape[1]
    if not isinstance(operation, Convolution | Deconvolution) or not operation.group:
        return None, None
    places, steps = prod(shape[2:]), prod(operation.stride or ())
    if isinstance(operation, Deconvolution):
        return shape[0] / operation.group * max(places / steps, 1), shape[1] * places
    return shape[1] * places, shape[0] / operation.group * places


def with_moments(plan: NetPlan) -> NetPlan:
    """Return a plan with mean and standard deviation of each blob, as its own filler promises them."""

    def known(blob: Blob) -> Blob:
        moments = moments_of(blob)
        return blob if moments is None else replace(blob, mean=moments[0], std=moments[1])

    layers = tuple(replace(layer, blobs=tuple(map(known, layer.blobs))) for layer in plan.layers)
    return replace(plan, layers=layers)
