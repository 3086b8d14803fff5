"""Draws of the set-up of a net from Caffe's one random engine, in their order (`Net::Init`).

Layer by layer in file order; within a layer its blobs in order. What is drawn, and how many outputs that takes, is the
fillers' and the engine's to say; how many outputs a layer takes to seed other engines is a trait of its type. Layers of
unknown types are taken to draw nothing but the blobs that the plan has for them.
"""

from dataclasses import dataclass
from enum import StrEnum

from caffe_filler.caffe import caffe_pb2
from filler_server.net.plan import Blob, Layer, NetPlan
from filler_server.net.registry import layer_type


class DataDraws(StrEnum):
    """Draws at set-up of layers that read data: as in a real `caffe train`, or none."""

    EMULATE = "emulate"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LayerDraws:
    """Draws of one layer at set-up.

    Attributes:
        layer: the layer.
        seeds: number of outputs that are drawn first, to seed other engines; None when it is not known.
        fills: its blobs in the order in which they are then filled, shared ones included: their values are thrown away
            for the owner's. Those that the prototxt holds are not among them.
        refills: those that are filled again at each further timestep of a recurrent layer, all of them in this order at
            each; the values of the first time stay.
        times: how many further timesteps there are; None when the number of timesteps is not known.
    """

    layer: Layer
    seeds: int | None
    fills: tuple[Blob, ...]
    refills: tuple[Blob, ...] = ()
    times: int | None = 0


def net_draws(plan: NetPlan, data_draws: DataDraws = DataDraws.EMULATE) -> tuple[LayerDraws, ...]:
    """Return what each layer of a plan draws, in the plan's order."""
    return tuple(_layer_draws(layer, plan.state, data_draws) for layer in plan.layers)


def _layer_draws(layer: Layer, state: caffe_pb2.NetState, data_draws: DataDraws) -> LayerDraws:
    fills = tuple(blob for blob in layer.blobs if not blob.given)
    kind = layer_type(layer.type)
    if kind is None:
        return LayerDraws(layer, 0, fills)
    if kind.refilled:
        shape = layer.tops[0].shape
        steps = shape[0] if shape else None
        return LayerDraws(layer, 0, fills, fills[-kind.refilled :], None if steps is None else steps - 1)
    if data_draws == DataDraws.NONE:
        return LayerDraws(layer, 0, fills)
    parameter = layer.parameter
    phase = parameter.phase if parameter.HasField("phase") else state.phase
    return LayerDraws(layer, kind.seeds(parameter, phase), fills)
