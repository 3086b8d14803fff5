"""A plan as plain values, which JSON can hold."""

from math import isfinite
from typing import Any

from google.protobuf import text_format

from filler_server.net.operations.base import Operation, shortest
from filler_server.net.planned import Blob, Layer, PlannedNet

_STATISTICS = ("count", "fan_in", "fan_out", "mean", "std")


def plan_dict(plan: PlannedNet) -> dict[str, Any]:
    """Return a plan as plain values.

    Unknown dimensions are None. A value is [layer, top], both from 0; `edges` has them with the layer that reads them
    and as which bottom. Numbers of operations have the digits that a 32-bit float needs, those that are not finite are
    strings.
    """
    return {
        "name": plan.name,
        "phase": plan.phase,
        "level": plan.state.level,
        "stages": list(plan.state.stage),
        "layers": [_layer(layer, draws=plan.sequential) for layer in plan.layers],
        "edges": [{"value": list(edge.value), "reader": edge.reader, "bottom": edge.bottom} for edge in plan.edges],
        "inputs": [list(value) for value in plan.inputs],
        "outputs": [list(value) for value in plan.outputs],
        "warnings": [
            {
                "message": warning.message,
                "line": warning.line,
                "column": warning.column,
                "layer": warning.layer,
            }
            for warning in plan.warnings
        ],
        "parameters": plan.parameters,
        **({"sequential": True} if plan.sequential else {}),
    }


def _layer(layer: Layer, *, draws: bool) -> dict[str, Any]:
    return {
        "name": layer.name,
        "type": layer.type,
        "bottoms": list(layer.bottoms),
        "tops": [{"name": top.name, "shape": _plain(top.shape)} for top in layer.tops],
        "blobs": [_blob(blob) for blob in layer.blobs],
        "loss_weights": list(map(_plain, layer.loss_weights)),
        "operation": _operation(layer.operation),
        **({"draws": layer.draws} if draws else {}),
    }


def _blob(blob: Blob) -> dict[str, Any]:
    return {
        "name": blob.name,
        "shape": _plain(blob.shape),
        "filler": None if blob.given else text_format.MessageToString(blob.filler, as_one_line=True).strip(),
        "given": blob.given,
        "owner": blob.owner,
        **{name: getattr(blob, name) for name in _STATISTICS},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    attributes = {name: _plain(value) for name, value in operation.attributes().items()}
    return {"type": type(operation).__name__, **attributes}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(map(_plain, value))
    if isinstance(value, Operation):
        return _operation(value)
    if isinstance(value, float):
        return shortest(value) if isfinite(value) else str(value)
    return value
