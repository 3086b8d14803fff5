"""Requests over the streams of Caffe: nets after those that draw before them, and what layers draw."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from caffe_filler import dtypes
from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2
from filler_server.api.limits import Limits
from filler_server.api.planning import Plan, plan
from filler_server.engine.caffe_net import CaffeNet
from filler_server.net.draws import DataDraws, net_draws
from filler_server.net.plan import NetPlan
from filler_server.rng.caffe.boost import Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream

_REFILL = 8192
"""Values that cost as much as filling a blob once more, however small it is: some tens of microseconds."""

PROFILES: Mapping[int, Profile] = {
    filler_pb2.CAFFE: Profile.CAFFE,
    filler_pb2.CAFFE_1_56: Profile.CAFFE_1_56,
    filler_pb2.CAFFE_1_55: Profile.CAFFE_1_55,
}
"""Caffe's streams, by their numbers in `RandomStream` of the service."""


def blob_stream(request: filler_pb2.FillRequest, spec: filler_pb2.BlobSpec) -> CaffeStream:
    """Return the random numbers of one of the blobs of a request, each of which starts at the request's seed.

    Raises:
        InvalidArgument: the stream is none of Caffe's, or the seed is not one.
    """
    dtype = np.dtype(np.float64 if request.dtype == filler_pb2.FLOAT64 else np.float32)
    return CaffeStream(EngineState.seeded(request.seed), prod(spec.shape.dim), dtype, _profile(request.stream))


def layer_draws(planned: NetPlan, draws: filler_pb2.Draws, limits: Limits, plan: Plan) -> list[int | None]:
    """Return for each layer of a plan what it draws, by drawing it.

    Raises:
        FillerError: the request is wrong or over a limit.
    """
    dtype = dtypes.from_wire(draws.dtype)
    limits.check("request_bytes", planned.parameters * dtype.itemsize)
    limits.check("request_elements", planned.parameters)
    net, _ = caffe_net(planned, draws, dtype, limits, plan=plan)
    return [count for _, count in net.layer_draws()]


def caffe_net(
    planned: NetPlan,
    draws: filler_pb2.FillNetRequest | filler_pb2.Draws,
    dtype: np.dtype[Any],
    limits: Limits,
    *,
    plan: Plan = plan,
) -> tuple[CaffeNet, int]:
    """Return a net over the Caffe stream that a request describes, after the nets that draw before it.

    The number is that of the values that all these nets fill, or that cost as much.

    Raises:
        FillerError: the request is wrong or over a limit.
    """
    limits.check("request_nets", len(draws.before))
    profile, data_draws = _profile(draws.stream), _data_draws(draws)
    elements = _drawn(planned, data_draws)
    limits.check("sequential_elements", elements)
    start: EngineState | Callable[[], EngineState] = EngineState.seeded(draws.seed)
    for request in draws.before:
        earlier = plan(request, limits)
        elements += _drawn(earlier, data_draws)
        limits.check("sequential_elements", elements)
        start = CaffeNet(earlier, start, dtype=dtype, profile=profile, data_draws=data_draws).end_state
    return CaffeNet(planned, start, dtype=dtype, profile=profile, data_draws=data_draws), elements


def _drawn(planned: NetPlan, data_draws: DataDraws | int) -> int:
    """Values that the set-up of a net fills, those of every timestep included, or that cost as much."""
    return sum(
        sum(blob.count or 0 for blob in layer.fills)
        + (layer.times or 0) * sum((blob.count or 0) + _REFILL for blob in layer.refills)
        for layer in net_draws(planned, data_draws)
    )


def _profile(stream: int) -> Profile:
    if stream not in PROFILES:
        name = filler_pb2.RandomStream.Name(filler_pb2.RandomStream.ValueType(stream))
        raise InvalidArgument(f"draws are counted of a Caffe stream. Received: stream={name}", field="stream")
    return PROFILES[stream]


def _data_draws(draws: filler_pb2.FillNetRequest | filler_pb2.Draws) -> DataDraws | int:
    if draws.HasField("data_draw_count"):
        return draws.data_draw_count
    value = draws.data_draws
    if value not in filler_pb2.DataDraws.values():
        raise InvalidArgument(
            f"there are {', '.join(filler_pb2.DataDraws.keys())}. Received: data_draws={value}", field="data_draws"
        )
    return DataDraws[filler_pb2.DataDraws.Name(value)]
