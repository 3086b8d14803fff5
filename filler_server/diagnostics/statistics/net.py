"""The blobs of a net held against their fillers, or the tensors of a file looked at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError
from filler_server.diagnostics.statistics import patterns
from filler_server.diagnostics.statistics.blob import look
from filler_server.diagnostics.statistics.channels import Axes
from filler_server.diagnostics.statistics.judgement import Judge
from filler_server.diagnostics.statistics.promise import judge
from filler_server.diagnostics.statistics.result import CheckedBlob, Seen, State, conclude
from filler_server.engine.computed import given_values
from filler_server.fillers import get_filler
from filler_server.fillers.variance_scaling import fan_in, fan_out
from filler_server.frameworks.translation import filler_text
from filler_server.net.operations.convolution import Deconvolution
from filler_server.net.operations.inner_product import InnerProduct
from filler_server.net.plan import Blob, Layer
from filler_server.tensors import Advance, Tensor

_NONE: Mapping[str, CheckedBlob] = MappingProxyType({})


def check_blobs(
    layers: Sequence[Layer],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    significance: float,
    is_filled: bool,
    missing: Mapping[str, CheckedBlob] = _NONE,
    advance: Advance | None = None,
) -> tuple[CheckedBlob, ...]:
    """Return all blobs of a net with what was found of them; each tensor is read once, in the order given.

    Args:
        layers: those of the net.
        tensors: the values, by the names of blobs. Of blobs that share their values that of the owner, or of the first
            that has them.
        significance: probability of a false alarm, for all blobs together.
        is_filled: whether the values were filled for this net, so that those which the prototxt holds are its own.
        missing: blobs without values that are not of state `missing`, by their names.
        advance: is told the bytes of each block and the name of the tensor.

    Raises:
        FillerError: values cannot be had.
    """
    places = {blob.name: (layer, index) for layer in layers for index, blob in enumerate(layer.blobs)}
    blobs = {blob.name: blob for layer in layers for blob in layer.blobs}
    seen: dict[str, Seen] = {}
    for name, tensor in tensors:
        layer, index = places[name]
        seen[name] = _seen(layer, index, blobs, tensor, is_filled=is_filled, advance=advance)
    entries = []
    for name, blob in blobs.items():
        if name in seen:
            entries.append(seen[name])
        elif name in missing:
            entries.append(Seen(missing[name]))
        else:
            is_shared = blob.owner in seen or blob.owner in missing
            entries.append(Seen(unseen_blob(blob, "shared" if is_shared else "missing")))
    for layer in layers:
        if layer.missing:
            note = f"type '{layer.type}' is not known, and so neither are the blobs that it must have"
            entries.append(Seen(CheckedBlob(f"{layer.name}/?", None, "unknown", notes=(note,))))
    return conclude(entries, significance)


def look_at_tensors(
    tensors: Iterable[Tensor], *, significance: float, advance: Advance | None = None
) -> tuple[CheckedBlob, ...]:
    """Return tensors of which no net tells anything.

    Raises:
        FillerError: values cannot be had.
    """
    seen = []
    for tensor in tensors:
        blob = CheckedBlob(tensor.name, tensor.shape, "measured", dtype=tensor.dtype.name)
        seen.append(Seen(blob, look(tensor, None, None, advance)))
    return conclude(seen, significance)


def unseen_blob(blob: Blob, state: State, *notes: str) -> CheckedBlob:
    """Return a blob of which no value is known."""
    return _described(blob, state, blob.shape, notes)


def _described(
    blob: Blob, state: State, dims: tuple[int | None, ...] | None, notes: tuple[str, ...] = ()
) -> CheckedBlob:
    known = tuple(dim for dim in dims or () if dim is not None)
    # The default of a type is no less a type.
    filler = caffe_pb2.FillerParameter(type=blob.filler.type)
    filler.MergeFrom(blob.filler)
    has_fans = bool(known) and len(known) == len(dims or ()) and all(known)
    return CheckedBlob(
        blob.name,
        dims,
        state,
        filler="" if blob.given else filler_text(filler),
        owner=blob.owner,
        fan_in=fan_in(known) if has_fans else None,
        fan_out=fan_out(known) if has_fans else None,
        notes=notes,
    )


def _seen(
    layer: Layer, index: int, blobs: Mapping[str, Blob], tensor: Tensor, *, is_filled: bool, advance: Advance | None
) -> Seen:
    blob = layer.blobs[index]
    owner = blob if blob.owner is None else blobs[blob.owner]
    filled_shape = tensor.shape if owner is blob else owner.known_shape or tensor.shape
    held: Judge | None = None
    state: State = "measured"
    notes: tuple[str, ...] = ()
    if owner.given and is_filled:
        state = "given"
    else:
        try:
            held = _judge(owner, filled_shape, tensor.dtype)
        except FillerError as error:
            state, notes = "unknown", (str(error),)
        if held is None and not notes:
            state, notes = "unknown", (f"values of {tensor.dtype} cannot be held against this filler",)
    axes = _axes(layer, index, tensor.shape)
    looked = look(tensor, held, axes, advance)
    checked = replace(
        _described(blob, state, tensor.shape, notes),
        dtype=tensor.dtype.name,
        promised=None if held is None else held.promised,
        is_learned=held is not None and not isinstance(held, patterns.Pattern) and _multiplier(layer, index) != 0,
    )
    shares = (1.0, False) if held is None else (held.zero_share, held.is_varied)
    return Seen(checked, looked, *shares, channels=(axes.channels, axes.length))


def _judge(owner: Blob, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Judge | None:
    if owner.values is not None:
        return patterns.given(given_values(owner.values), dtype)
    return judge(get_filler(owner.filler), shape, dtype)


def _axes(layer: Layer, index: int, shape: tuple[int, ...]) -> Axes:
    """Return where the output channels of a blob are."""
    operation = layer.operation
    if index == 0 and len(shape) > 1:
        if isinstance(operation, Deconvolution) and operation.group and shape[0] % operation.group == 0:
            return Axes.second(shape, operation.group)
        if isinstance(operation, InnerProduct) and operation.transpose:
            return Axes.second(shape)
    return Axes.first(shape)


def _multiplier(layer: Layer, index: int) -> float:
    """Return what multiplies the learning rate of a blob."""
    specs = () if layer.definition is None else layer.definition.param
    return specs[index].lr_mult if index < len(specs) else 1.0
