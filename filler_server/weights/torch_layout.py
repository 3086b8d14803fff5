"""Caffe's blobs as PyTorch's modules have them: other names, and BatchNorm and Scale as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caffe_filler.caffe.caffe_pb2 import LayerParameter, NetParameter
from filler_server.net.names import unique_names
from filler_server.weights.legacy import LEGACY_AXES, modern_shape
from filler_server.weights.names import tensor_name
from filler_server.weights.stored import ArrayTensor, StoredTensor, ViewTensor

_MEAN, _VARIANCE, _FACTOR = range(3)
_TORCH_EPS = np.float32(1e-5)


@dataclass(slots=True)
class TorchLayout:
    """What a state_dict of the same weights holds.

    Attributes:
        tensors: its tensors, in the order of the net.
        notes: what PyTorch's modules must be told besides, such as an eps that is not their default.
    """

    tensors: list[StoredTensor] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def torch_layout(net: NetParameter, tensors: Sequence[StoredTensor]) -> TorchLayout:
    """Return Caffe's blobs as a state_dict has them.

    - `<layer>.weight` and `<layer>.bias`, as `tensor_name` tells; legacy shapes of four axes without the leading 1s.
    - An InnerProduct with `transpose` holds its weight as [inputs, outputs]; it is turned to [outputs, inputs].
    - BatchNorm: mean and variance are sums that Caffe multiplies by 1 / scale factor, or by 0 where the factor is 0,
      in the arithmetic of the blob's own type (batch_norm_layer.cpp). So are `running_mean` and `running_var`; the
      factor itself is gone.
    - A Scale along axis 1 that is the only reader of a BatchNorm's output gives that its `weight` and `bias`, which is
      zeros where the Scale has none. The Scale has no tensors of its own then.

    Tensors of layers that the net does not have, and those that belong to no layer, stay as they are, at the end.

    Args:
        net: the layers in the current format.
        tensors: named `<layer>/<index>`.
    """
    blobs: dict[str, list[StoredTensor]] = {}
    for tensor in tensors:
        if tensor.layer is not None:
            blobs.setdefault(tensor.layer, []).append(tensor)
    names = unique_names(layer.name for layer in net.layer)
    layers = dict(zip(names, net.layer, strict=True))
    counts = {name: len(blobs.get(name, ())) for name in names}
    scales = {norm: scale for norm, scale in _scales(net, names).items() if _fits(blobs, norm, scale)}
    layout = TorchLayout()
    folded = set(scales.values())
    for name, layer in layers.items():
        if name in folded or not counts[name]:
            continue
        own = [modernized(tensor, layer.type) for tensor in blobs[name]]
        if layer.type == "BatchNorm" and len(own) > _FACTOR:
            scale = [modernized(tensor, "Scale") for tensor in blobs[scales[name]]] if name in scales else []
            layout.tensors.extend(_batch_norm(name, own, scale))
            layout.notes.extend(_eps_note(name, layer))
        else:
            layout.tensors.extend(_plain(name, layer, own))
    known = {name for name, count in counts.items() if count}
    layout.tensors.extend(tensor for tensor in tensors if tensor.layer not in known)
    return layout


def modernized(tensor: StoredTensor, layer_type: str) -> StoredTensor:
    """Return a blob in the shape that it has today, as far as the type of its layer tells."""
    if len(tensor.shape) != LEGACY_AXES or tensor.index is None:
        return tensor
    return ViewTensor(tensor, tensor.name, modern_shape(layer_type, tensor.index, tensor.shape))


def _plain(name: str, layer: LayerParameter, own: Sequence[StoredTensor]) -> list[StoredTensor]:
    transposed = layer.type == "InnerProduct" and layer.inner_product_param.transpose
    result: list[StoredTensor] = []
    for index, tensor in enumerate(own):
        new = tensor_name("torch", blob=f"{name}/{index}", layer_type=layer.type, blobs=len(own))
        if transposed and index == 0 and len(tensor.shape) == 2:
            result.append(ArrayTensor(new, tensor.shape[::-1], tensor.dtype, _transposed(tensor)))
        else:
            result.append(ViewTensor(tensor, new, tensor.shape))
    return result


def _transposed(tensor: StoredTensor) -> Any:
    return lambda: tensor.array().T


def _batch_norm(name: str, own: Sequence[StoredTensor], scale: Sequence[StoredTensor]) -> list[StoredTensor]:
    result: list[StoredTensor] = []
    if scale:
        result.append(ViewTensor(scale[0], f"{name}.weight", scale[0].shape))
        if len(scale) > 1:
            result.append(ViewTensor(scale[1], f"{name}.bias", scale[1].shape))
        else:
            zeros = np.zeros(scale[0].shape, scale[0].dtype)
            result.append(ArrayTensor(f"{name}.bias", zeros.shape, zeros.dtype, lambda: zeros))
    for index, statistic in ((_MEAN, "running_mean"), (_VARIANCE, "running_var")):
        tensor = own[index]
        result.append(ArrayTensor(f"{name}.{statistic}", tensor.shape, tensor.dtype, _divided(tensor, own[_FACTOR])))
    # NVIDIA's BatchNorm has the blobs of a Scale behind its own.
    for tensor, learned in zip(own[_FACTOR + 1 :], ("weight", "bias"), strict=False):
        result.append(ViewTensor(tensor, f"{name}.{learned}", tensor.shape))
    return result


def _divided(statistic: StoredTensor, factor: StoredTensor) -> Any:
    def values() -> NDArray[Any]:
        # Caffe computes in single precision what is stored in half.
        wide = np.promote_types(statistic.dtype, np.float32).type
        given = wide(factor.array().reshape(-1)[0])
        reciprocal = wide(0) if given == 0 else wide(1) / given
        return np.asarray(statistic.array() * reciprocal).astype(statistic.dtype, copy=False)

    return values


def _eps_note(name: str, layer: LayerParameter) -> list[str]:
    eps = np.float32(layer.batch_norm_param.eps)
    return [] if eps == _TORCH_EPS else [f"'{name}' has an eps of its own: BatchNorm2d(..., eps={eps:g})"]


def _fits(blobs: Mapping[str, Sequence[StoredTensor]], norm: str, scale: str) -> bool:
    """Whether a Scale has one value for each of the BatchNorm's, and the latter none of its own."""
    statistics, learned = blobs.get(norm, ()), blobs.get(scale, ())
    return (
        len(statistics) == _FACTOR + 1
        and len(learned) in (1, 2)
        and all(blob.shape == statistics[_MEAN].shape for blob in learned)
    )


def _scales(net: NetParameter, names: Sequence[str]) -> dict[str, str]:
    """Return for each BatchNorm whose output only a Scale along axis 1 reads, the name of that Scale."""
    written: dict[str, int] = {}
    readers: dict[tuple[int, str], list[int]] = {}
    for number, layer in enumerate(net.layer):
        for bottom in layer.bottom:
            if bottom in written:
                readers.setdefault((written[bottom], bottom), []).append(number)
        for top in layer.top:
            written[top] = number
    found: dict[str, str] = {}
    for (writer, _), numbers in readers.items():
        reader = net.layer[numbers[0]]
        alone = len(numbers) == 1 and len(reader.bottom) == 1 and len(net.layer[writer].top) == 1
        if net.layer[writer].type == "BatchNorm" and alone and _along_channels(reader):
            found[names[writer]] = names[numbers[0]]
    return found


def _along_channels(layer: LayerParameter) -> bool:
    return layer.type == "Scale" and layer.scale_param.axis == 1 and layer.scale_param.num_axes == 1
