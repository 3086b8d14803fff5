"""Expectations of theory for the blobs of a plan, and its objections to their fillers.

Nets know no random number and fillers no net; here a plan learns what its fillers will do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from caffe_filler.errors import FillerError, advised
from caffe_filler.interface import filler_option
from filler_server.fillers import get_filler
from filler_server.fillers.variance_scaling import fan_in, fan_out
from filler_server.net.plan import Blob, Layer, NetPlan
from filler_server.prototxt.report import Problem

_Key: TypeAlias = tuple[bytes, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Expectation:
    """Mean and standard deviation of the values of a blob, or why its filler cannot fill it; or nothing is known."""

    mean: float | None = None
    std: float | None = None
    fault: str | None = None


_NOTHING = _Expectation()


def expected(plan: NetPlan) -> NetPlan:
    """Return a plan with fans, mean and standard deviation of each blob, and a warning for each that cannot be filled.

    Values that are shared are those of their owner. Where nothing is filled, since the prototxt holds the values or
    the filler cannot fill the blob, nothing is expected.
    """
    return plan.keep("expected", None, lambda: _expected(plan))


def _expected(plan: NetPlan) -> NetPlan:
    known: dict[_Key, _Expectation] = {}
    found = {blob.name: _expectation(blob, known) for blob in plan.blobs}
    faults = [
        Problem(
            f"blob '{blob.name}': {advised(fault, f'{filler_option(blob.name)} names another filler for it')}",
            line=layer.line,
            layer=layer.name or None,
        )
        for layer in plan.layers
        for blob in layer.blobs
        if (fault := found[blob.name].fault) is not None
    ]
    layers = tuple(_layer(layer, found) for layer in plan.layers)
    return replace(plan, layers=layers, warnings=(*plan.warnings, *faults))


def _layer(layer: Layer, found: Mapping[str, _Expectation]) -> Layer:
    if not layer.blobs:
        return layer
    return replace(layer, blobs=tuple(_blob(blob, found[blob.owner or blob.name]) for blob in layer.blobs))


def _blob(blob: Blob, values: _Expectation) -> Blob:
    shape = blob.known_shape
    if not shape:
        return replace(blob, mean=values.mean, std=values.std)
    return replace(blob, fan_in=fan_in(shape), fan_out=fan_out(shape), mean=values.mean, std=values.std)


def _expectation(blob: Blob, known: dict[_Key, _Expectation]) -> _Expectation:
    """Return what is expected of a blob by its own filler; blobs of one filler and shape have it in common."""
    shape = blob.known_shape
    if shape is None or blob.given:
        return _NOTHING
    key = blob.filler.SerializeToString(), shape
    if key not in known:
        try:
            filler = get_filler(blob.filler)
            filler.check(shape)
        except FillerError as error:
            known[key] = _Expectation(fault=str(error))
        else:
            distribution = filler.distribution(shape, np.dtype(np.float64))
            known[key] = _Expectation(distribution.mean, distribution.std)
    return known[key]
