"""Where the set-up of a net draws from Caffe's one random engine, and in which order (`Net::Init`).

Layer by layer in file order; within a layer its blobs in order. What is drawn, and how many outputs that takes, is the
fillers' and the engine's to say. Layers of which nothing is known (Python, types of forks) are taken to draw nothing
but the blobs that the plan has for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from caffe_filler.caffe import caffe_pb2
from filler_server.net.plan import Blob, Layer, NetPlan


class DataDraws(StrEnum):
    """What layers that read data draw at set-up: as in a real `caffe train`, or nothing."""

    EMULATE = "emulate"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LayerDraws:
    """What one layer draws at set-up.

    Attributes:
        layer: the layer.
        seeds: number of outputs that are drawn first, to seed other engines.
        fills: its blobs in the order in which they are then filled, shared ones included: their values are thrown away
            for the owner's. Those that the prototxt holds are not among them.
        refills: those that are filled again at each further timestep of a recurrent layer, all of them in this order at
            each; the values of the first time stay.
        times: how many further timesteps there are; None when the number of timesteps is not known.
    """

    layer: Layer
    seeds: int
    fills: tuple[Blob, ...]
    refills: tuple[Blob, ...] = ()
    times: int | None = 0


def net_draws(plan: NetPlan, data_draws: DataDraws = DataDraws.EMULATE) -> tuple[LayerDraws, ...]:
    """Return what each layer of a plan draws, in the plan's order."""
    return tuple(_layer_draws(layer, plan.state, data_draws) for layer in plan.layers)


def _layer_draws(layer: Layer, state: caffe_pb2.NetState, data_draws: DataDraws) -> LayerDraws:
    fills = tuple(blob for blob in layer.blobs if blob.given is None)
    if layer.type in _UNROLLED:
        shape = layer.tops[0].shape
        steps = shape[0] if shape else None
        return LayerDraws(layer, 0, fills, fills[-_UNROLLED[layer.type] :], None if steps is None else steps - 1)
    seeds = _SEEDS.get(layer.type)
    if seeds is None or data_draws == DataDraws.NONE:
        return LayerDraws(layer, 0, fills)
    parameter = layer.parameter
    phase = parameter.phase if parameter.HasField("phase") else state.phase
    return LayerDraws(layer, seeds(parameter, _transforms_at_random(parameter, phase)), fills)


_UNROLLED = {"LSTM": 1, "RNN": 3}
"""How many blobs, the last ones, are filled at each timestep: the hidden weight; RNN has an output layer as well."""


def _transforms_at_random(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> bool:
    """`DataTransformer::InitRand`: whether the transformer takes an engine of its own."""
    transform = parameter.transform_param
    return transform.mirror or (phase == caffe_pb2.TRAIN and transform.crop_size > 0)


# Each takes the layer and whether its transformer takes an engine of its own. The transformer of a layer that fetches
# ahead is set up twice, and the thread takes an engine, too.


def _data(parameter: caffe_pb2.LayerParameter, transformer: bool) -> int:
    return 2 * transformer + 1


def _image_data(parameter: caffe_pb2.LayerParameter, transformer: bool) -> int:
    image_data = parameter.image_data_param
    return 2 * transformer + image_data.shuffle + (image_data.rand_skip > 0) + 1


def _window_data(parameter: caffe_pb2.LayerParameter, transformer: bool) -> int:
    transform = parameter.transform_param
    return 2 * transformer + (transform.mirror or transform.crop_size > 0) + 1


def _memory_data(parameter: caffe_pb2.LayerParameter, transformer: bool) -> int:
    return int(transformer)


_SEEDS: dict[str, Callable[[caffe_pb2.LayerParameter, bool], int]] = {
    "Data": _data,
    "ImageData": _image_data,
    "WindowData": _window_data,
    "MemoryData": _memory_data,
}
