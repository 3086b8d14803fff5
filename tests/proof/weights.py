"""Weights that look as if a net had been trained: none is constant, and activations keep their size."""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from filler_client import FillerClient, NetLike, NetOptions
from filler_client._models import open_model
from filler_server.models.graph import Node
from filler_server.models.reference.evaluation import compute
from filler_server.models.reference.registry import reason
from filler_server.models.samples import sample_inputs
from filler_server.models.sources import constant_inputs
from filler_server.net.operations.normalization import BN, BatchNorm
from filler_server.tensors import ArrayTensor

Arrays = dict[str, NDArray[Any]]

SEED = 1701
_FACTOR = 999.98
"""The number that Caffe divides stored statistics of a BatchNorm by, after many iterations."""


def typical_weights(net: NetLike, **options: Unpack[NetOptions]) -> Arrays:
    """Return values for all blobs of a net in TEST, by their names; none for a net without learnable blobs.

    They are those of the net's fillers, but that what would be constant is drawn, and normalizations have the
    statistics of what they normalize.

    Args:
        net: the net.
        options: shapes of its inputs, and what else it is planned with.
    """
    client = FillerClient.embedded()
    planned: NetOptions = {**options, "phase": "TEST"}
    arrays = client.init_net(net, seed=SEED, **planned)
    generator = np.random.default_rng(SEED)
    for layer in client.plan_net(net, **planned).layers:
        for index, blob in enumerate(layer.blobs):
            if blob.name not in arrays:
                continue
            if layer.type == "BatchNorm" or (layer.type == "BN" and index > 1):
                arrays[blob.name] = np.full_like(arrays[blob.name], (0, _FACTOR, _FACTOR, 1, 0)[index])
            else:
                arrays[blob.name] = _varied(arrays[blob.name], index, generator)
            if layer.type == "Scale":
                # Normalization and ReLU by turns blow up rounding errors, the less the more of the values pass.
                arrays[blob.name] = np.asarray(np.float32(0.4) * (arrays[blob.name] + np.float32(index)))
    return _normalizing(net, arrays, planned)


def _varied(values: NDArray[Any], index: int, generator: Any) -> NDArray[Any]:
    """Return values, or others in place of a constant."""
    if values.size and np.ptp(values) > 0:
        return values
    drawn = generator.standard_normal(values.shape)
    if index == 0 and values.ndim > 1:
        return np.asarray(drawn * np.sqrt(2 / prod(values.shape[1:])), np.float32)
    return np.asarray(values + 0.1 * drawn, np.float32)


def _normalizing(net: NetLike, arrays: Arrays, options: NetOptions) -> Arrays:
    """Return weights whose normalizations have the statistics of their bottoms, on random inputs."""
    state: Any = {key: value for key, value in options.items() if key not in ("tops", "fillers")}
    with open_model(net, arrays, **state) as model:
        graph = model.graph
        if not any(map(_normalizes, graph.nodes)):
            return arrays
        values = {**sample_inputs(graph, np.random.default_rng(SEED)), **constant_inputs(model.plan)}
        for node in graph.nodes:
            if reason(node) is not None or not all(bottom in values for bottom in node.bottoms):
                continue
            found = _statistics(node, values)
            arrays.update(found)
            tensors = {name: ArrayTensor(name, array) for name, array in found.items()}
            graph = replace(graph, tensors={**graph.tensors, **tensors})
            with np.errstate(all="ignore"):
                made = compute(graph, node, values, np.dtype(np.float32))
            values.update(zip(node.tops, made, strict=False))
    return arrays


def _normalizes(node: Node) -> bool:
    """Whether a layer normalizes by statistics that it has stored."""
    return isinstance(node.operation, BatchNorm) or (
        isinstance(node.operation, BN) and node.operation.statistics == "stored"
    )


def _statistics(node: Node, values: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return what a layer would have stored of its bottom, by the names of its blobs."""
    if not _normalizes(node):
        return {}
    bottom = values[node.bottoms[0]]
    axes = (0, *range(2, bottom.ndim))
    mean, variance = bottom.mean(axes, np.float64), bottom.var(axes, np.float64)
    # Deep in a net, noise is nearly one value; to divide by what it varies by would be to blow up rounding errors.
    variance = variance + 0.1 * mean**2 + 1e-6
    blobs, factor = (node.blobs[2:], 1.0) if isinstance(node.operation, BN) else (node.blobs, _FACTOR)
    found = (mean * factor, variance * factor, np.array([factor]))
    return {name: array.astype(np.float32) for name, array in zip(blobs, found, strict=False)}
