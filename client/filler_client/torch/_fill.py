"""One tensor, and flat partitions of many."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex, TypeAlias

import torch

from caffe_filler.axes import FanAxes
from caffe_filler.errors import InvalidArgument
from filler_client import _requests
from filler_client._client import FillerClient
from filler_client._many import BlobSpec
from filler_client._requests import FillerLike, FillOptions, Flat
from filler_client._rules import RulesLike, rules_of
from filler_client.torch._filling import check_padding
from filler_client.torch._placement import parts_of, with_memory
from filler_client.torch._targets import Target, fill_targets
from filler_client.torch._views import can_hold_a_blob

FlatParameters: TypeAlias = Iterable[tuple[str | None, Sequence[int]]] | Mapping[str, Sequence[int]]
"""Names and shapes of parameters in their order; None in place of a name stands for padding between them."""


def fill_(
    tensor: torch.Tensor,
    filler: FillerLike,
    *,
    name: str | None = None,
    seed: int = 0,
    axes: FanAxes | None = None,
    layout: str | None = None,
    client: FillerClient | None = None,
) -> torch.Tensor:
    """Fill a tensor in place, or the part of a DTensor that this process holds, and return it.

    The values are those of `client.fill(filler, tensor.shape, name=name, seed=seed)`, whatever part of them is held
    here: the fan is that of the whole tensor.

    Args:
        tensor: float32, float64, float16 or bfloat16, of any strides, on any device but meta; or a DTensor of any
            placements but Partial.
        filler: a FillerParameter, its prototxt, or the name of a type.
        name: selects the random numbers; tensors of one seed and shape need names of their own.
        seed: 0 to 2**64 - 1.
        axes: which axes of the whole tensor are inputs, outputs and stacks, where it is not [out, in, kernel...].
        layout: the same in words, such as `in,out` or `stack,in,out`.
        client: who computes; this process by default.

    Raises:
        InvalidArgument: the tensor cannot hold a blob, or is on the device meta; or it does not have these axes.
        FillerError: one of the tree in `caffe_filler.errors`.
    """
    options: FillOptions = {} if name is None else {"name": name}
    _requests.warn_of_equal_blobs(options, filler, stacklevel=3)
    _check(tensor, name or "")
    param, shape = _requests.filler_parameter(filler), tuple(tensor.shape)
    meaning = _requests.fan_axes(shape, axes, layout)
    targets = [Target(BlobSpec(param, shape, name or "", part.box, meaning), part.tensor) for part in parts_of(tensor)]
    fill_targets(targets, _requests.check_seed(seed), client)
    return tensor


def fill_flat_(
    partition: torch.Tensor,
    parameters: FlatParameters,
    rules: RulesLike,
    *,
    start: SupportsIndex,
    seed: int = 0,
    client: FillerClient | None = None,
) -> torch.Tensor:
    """Fill a range of many parameters laid end to end, as FSDP1 and DeepSpeed's ZeRO hold it, and return it.

    What the partition holds beyond the last parameter, or between parameters, is padding and becomes 0. The values are
    those that `initialize_` gives whole parameters of these names. As there is no module, rules that ask for one fit
    nothing.

    Args:
        partition: one axis of float32, float64, float16 or bfloat16.
        parameters: names and whole shapes of all parameters in the order in which they lie, each in C order; None with
            a shape for padding between them.
        rules: what `initialize_` takes.
        start: index of the partition's first value in the row of all parameters: the rank times the length of a
            partition, where they are equal.
        seed: 0 to 2**64 - 1.
        client: who computes; this process by default.

    Raises:
        InvalidArgument: the partition has several axes, begins before the first parameter, or is on the device meta; or
            no rule fits a parameter, or one with `zero_padding`, which only a module can tell.
        FillerError: one of the tree in `caffe_filler.errors`.

    Example:
        # FSDP1, in PyTorch 2.7 to 2.13; with use_orig_params there is padding between parameters.
        flat = model._handle.flat_param
        named = iter(zip(flat._fqns, flat._shapes))
        lengths = zip(flat._numels_with_padding, flat._is_padding_mask)
        parameters = [(None, (length,)) if is_padding else next(named) for length, is_padding in lengths]
        fill_flat_(flat.data, parameters, rules, start=rank * flat.numel(), seed=1701)
    """
    from filler_server.rules import parameters_of

    _check(partition, "partition")
    flat, offset = with_memory(partition.detach()), _count(start)
    if partition.dim() != 1 or offset is None:
        raise InvalidArgument(
            "a partition has one axis and starts at an index of 0 or more. "
            f"Received: shape={list(partition.shape)}, start={start!r}"
        )
    listed = _listed(parameters)
    checked = rules_of(rules, [name for name, _ in listed if name is not None], is_whole=False)
    named = parameters_of({name: shape for name, shape in listed if name is not None})
    stop, at = offset + partition.numel(), 0
    targets: list[Target] = []
    padding: list[torch.Tensor] = []
    for name, shape in listed:
        first, at = at, at + torch.Size(shape).numel()
        begin, end = max(first, offset), min(at, stop)
        if begin >= end:
            continue
        held = flat[begin - offset : end - offset]
        if name is None:
            padding.append(held)
            continue
        found = checked.assign(named[name])
        if found is None:
            raise InvalidArgument(f"no rule fits parameter '{name}' of shape {list(shape)}; a rule '*' fits all others")
        check_padding(name, found, "initialize_ fills a module before it is wrapped")
        region = Flat(begin - first, end - first)
        targets.append(Target(BlobSpec(found.filler, shape, found.stream, region, found.axes), held))
    if at < stop:
        padding.append(flat[max(at - offset, 0) :])
    fill_targets(targets, _requests.check_seed(seed), client)
    for held in padding:
        held.zero_()
    return partition


def _listed(parameters: FlatParameters) -> list[tuple[str | None, tuple[int, ...]]]:
    """Return the names and shapes of parameters that lie end to end.

    Raises:
        InvalidArgument: a name is not text or there twice, or a shape is not one.
    """
    given: Any = parameters.items() if isinstance(parameters, Mapping) else parameters
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidArgument(f"parameters are a sequence of (name, shape). Received: {given!r}")
    listed: list[tuple[str | None, tuple[int, ...]]] = []
    names: set[str] = set()
    for entry in given:
        if not isinstance(entry, tuple | list) or len(entry) != 2 or not isinstance(entry[0], str | None):
            raise InvalidArgument(f"parameters are (name, shape), or (None, shape) for padding. Received: {entry!r}")
        name, shape = entry
        if not isinstance(shape, Iterable):
            raise InvalidArgument(f"a shape is a sequence of integers. Received: '{name}', shape={shape!r}")
        whole = list(shape)
        dims = [_count(dim) for dim in whole]
        if None in dims:
            raise InvalidArgument(f"a dimension is an integer, 0 or more. Received: '{name}', shape={whole}")
        if name is not None:
            if name in names:
                raise InvalidArgument(f"every parameter has a name of its own. Received: '{name}' twice")
            names.add(name)
        listed.append((name, tuple(dim for dim in dims if dim is not None)))
    return listed


def _count(value: Any) -> int | None:
    """Return an integer of any library; None for what is none or below 0."""
    try:
        number = operator.index(value)
    except TypeError:
        return None
    return None if number < 0 or isinstance(value, bool) else number


def _check(tensor: torch.Tensor, name: str) -> None:
    """Make sure that a tensor can hold a blob.

    Raises:
        InvalidArgument: it cannot; `name` is called there.
    """
    if not isinstance(tensor, torch.Tensor):
        raise InvalidArgument(f"a tensor of PyTorch is filled. Received: {type(tensor).__name__}")
    if not can_hold_a_blob(tensor.dtype) or tensor.layout != torch.strided or tensor.is_nested:
        raise InvalidArgument(
            f"'{name}' is no dense tensor of float32, float64, float16 or bfloat16. "
            f"Received: dtype={tensor.dtype}, layout={tensor.layout}"
        )
    if tensor.is_neg():
        # Its memory holds the negative values, and NumPy cannot have a view of it.
        raise InvalidArgument(
            f"'{name}' is a negated view, as the imaginary part of a conjugate; resolve_neg() copies it"
        )
    if tensor.is_meta:
        raise InvalidArgument(f"'{name}' is on the device meta, where nothing can be filled; to_empty moves it")
