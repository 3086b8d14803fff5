"""Requests about nets to what the library knows of them; needs no Numba, so that a light client answers them too."""

from collections.abc import Iterable

from caffe_filler.errors import NetError, ShapeError
from caffe_filler.v1 import filler_pb2
from filler_server.net.plan import NetPlan, Shape
from filler_server.net.planner import plan_net
from filler_server.prototxt.reader import read_net
from filler_server.prototxt.rewrite import Upgraded, upgrade_text
from filler_server.service.limits import Limits


def plan(request: filler_pb2.PlanNetRequest, limits: Limits) -> NetPlan:
    """Return the plan that a PlanNet asks for.

    Raises:
        FillerError: the net cannot be read or set up, or is over a limit.
    """
    limits.check("net_bytes", len(request.net))
    document = read_net(request.net, strict=request.strict)
    state = request.state
    planned = plan_net(
        document,
        phase=state.phase if state.HasField("phase") else None,
        level=state.level if state.HasField("level") else None,
        stages=state.stage,
        inputs=_shapes(request.inputs),
        tops=_shapes(request.tops),
    )
    if request.strict and planned.warnings:
        first = planned.warnings[0]
        raise NetError(first.message, layer=first.layer, line=first.line)
    return planned


def upgrade(request: filler_pb2.UpgradeNetRequest, limits: Limits) -> Upgraded:
    """Return the file of an UpgradeNet in the current format.

    Raises:
        FillerError: the file cannot be read, or is over a limit.
    """
    limits.check("net_bytes", len(request.file))
    return upgrade_text(request.file, strict=request.strict)


def _shapes(named: Iterable[filler_pb2.NamedShape]) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    for entry in named:
        if any(dim < -1 for dim in entry.shape.dim):
            raise ShapeError(f"a dimension is -1 (unknown) or more. Received: {entry.name}={list(entry.shape.dim)}")
        known = tuple(None if dim == -1 else dim for dim in entry.shape.dim)
        shapes[entry.name] = None if entry.shape.unknown_rank else known
    return shapes
