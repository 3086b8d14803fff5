"""Draws of the set-up of a net from Caffe's one random engine, in their order (`Net::Init`).

Layer by layer in file order; within a layer its blobs in order. What is drawn, and how many outputs that takes, is the
fillers' and the engine's to say; how many outputs a layer takes to seed other engines is a trait of its type. Layers of
unknown types that read other layers are taken to draw nothing but the blobs that the plan has for them; of those that
read none, and so may read data, it is not known.
"""

from dataclasses import dataclass
from enum import StrEnum

from caffe_filler.caffe import caffe_pb2
from filler_server.net.plan import Blob, Layer, NetPlan
from filler_server.net.registry import layer_type, no_seeds


class DataDraws(StrEnum):
    """Draws of layers that read data, at set-up: as in a real `caffe train` of Caffe 1.0 or of 1.0 rc3, or none."""

    EMULATE = "emulate"
    RC3 = "rc3"
    NONE = "none"


_READERS_OF_RC3 = {"Data": 1}
"""Outputs that seed the thread of a layer's reader (`DataReader::Body`), which Caffe 1.0 no longer has."""


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


def net_draws(plan: NetPlan, data_draws: DataDraws | int = DataDraws.EMULATE) -> tuple[LayerDraws, ...]:
    """Return what each layer of a plan draws, in the plan's order.

    A number in place of `data_draws` is that of outputs that each layer that reads data draws.
    """
    return tuple(_layer_draws(layer, plan.state, data_draws) for layer in plan.layers)


def _layer_draws(layer: Layer, state: caffe_pb2.NetState, data_draws: DataDraws | int) -> LayerDraws:
    fills = tuple(blob for blob in layer.blobs if not blob.given)
    kind = layer_type(layer.type)
    if kind is not None and kind.refilled:
        shape = layer.tops[0].shape
        steps = shape[0] if shape else None
        return LayerDraws(layer, 0, fills, fills[-kind.refilled :], None if steps is None else steps - 1)
    reads_data = not layer.bottoms if kind is None else kind.seeds is not no_seeds
    if data_draws == DataDraws.NONE or not reads_data:
        return LayerDraws(layer, 0, fills)
    if isinstance(data_draws, int):
        return LayerDraws(layer, data_draws, fills)
    if kind is None:
        return LayerDraws(layer, None, fills)
    parameter = layer.parameter
    phase = parameter.phase if parameter.HasField("phase") else state.phase
    seeds = kind.seeds(parameter, phase)
    if seeds is not None and data_draws == DataDraws.RC3:
        seeds += _READERS_OF_RC3.get(kind.name, 0)
    return LayerDraws(layer, seeds, fills)
