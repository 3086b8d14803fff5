"""A plan and a seed to the blobs of a net as tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from caffe_filler.errors import FillerError, FillerParameterError, NetError, ShapeError, UnknownBlob, UnknownFiller
from caffe_filler.interface import filler_option
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.engine.computed import ComputedTensor, FilledBlob, GivenBlob, given_values
from filler_server.engine.region import Region
from filler_server.fillers import get_filler
from filler_server.net.plan import Blob, NetPlan
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import RandomStream, Values

RegionOf = Callable[[tuple[int, ...]], Region]
"""Region to take of a blob, once its shape is known."""


def net_tensors(
    plan: NetPlan, *, seed: int, dtype: np.dtype[Any], selection: Sequence[tuple[str, RegionOf]] | None = None
) -> list[ComputedTensor]:
    """Return the blobs of a net over the philox stream of a seed; `blob_tensors` tells the rest."""

    def stream_of(blob: Blob) -> PhiloxStream:
        return PhiloxStream(seed, blob.name)

    if selection is not None:
        return blob_tensors(plan, stream_of, dtype=dtype, selection=selection)
    # The ranks of a cluster ask for the same net, and its next run for another seed.
    tensors = plan.keep("tensors", dtype, lambda: blob_tensors(plan, stream_of, dtype=dtype))
    return [tensor.of_seed(seed) if isinstance(tensor, FilledBlob) else tensor for tensor in tensors]


def blob_tensors(
    plan: NetPlan,
    stream_of: Callable[[Blob], RandomStream],
    *,
    dtype: np.dtype[Any],
    selection: Sequence[tuple[str, RegionOf]] | None = None,
) -> list[ComputedTensor]:
    """Return the blobs of a net, or those selected, in the order of the plan or of the selection.

    A blob that shares the values of another gives those values under its own name. `stream_of` gives the random
    numbers of a blob that owns its values; it is asked once for each tensor.

    Raises:
        UnknownBlob: the selection names a blob that the plan does not have.
        NetError: a blob is wanted whose shape is not known.
        InvalidArgument: a filler cannot fill its blob, or a region does not lie in its blob.
    """
    blobs = {blob.name: blob for blob in plan.blobs}
    if selection is None:
        selection = [(name, Region.whole) for name in blobs]
    given: dict[str, Values] = {}
    return [_tensor(_find(blobs, name), blobs, given, region, plan, stream_of, dtype) for name, region in selection]


def _tensor(
    blob: Blob,
    blobs: dict[str, Blob],
    given: dict[str, Values],
    region: RegionOf,
    plan: NetPlan,
    stream_of: Callable[[Blob], RandomStream],
    dtype: np.dtype[Any],
) -> ComputedTensor:
    owner = blobs[blob.owner] if blob.owner is not None else blob
    shape = known_shape(blob)
    filled_shape = shape if owner is blob else known_shape(owner)
    if owner.values is not None:
        # However often a blob is selected, its values stand in memory once.
        if owner.name not in given:
            given[owner.name] = given_values(owner.values)
        with Naming(blob):
            return GivenBlob(blob.name, given[owner.name], region(shape), dtype, shape=shape, owner=blob.owner)
    random = stream_of(owner)
    with Naming(blob):
        return FilledBlob(
            blob.name,
            get_filler(owner.filler),
            random,
            region(shape),
            dtype,
            shape=shape,
            filled_shape=filled_shape,
            owner=blob.owner,
        )


class Naming:
    """Says of which blob of the net an error is; a generator would cost as much as a small blob."""

    __slots__ = ("_blob",)

    def __init__(self, blob: Blob) -> None:
        self._blob = blob

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, (UnknownFiller, FillerParameterError, ShapeError)):
            error.advise(f"{filler_option(self._blob.owner or self._blob.name)} names another filler for it")
        if isinstance(error, FillerError):
            error.within(f"blob '{self._blob.name}'", blob=self._blob.name)


def _find(blobs: dict[str, Blob], name: str) -> Blob:
    if name in blobs:
        return blobs[name]
    hint = did_you_mean(nearest(name, blobs))
    raise UnknownBlob(f"the net has no blob of this name{hint}. Received: name='{name}'")


def known_shape(blob: Blob) -> tuple[int, ...]:
    """Return the shape of a blob.

    Raises:
        NetError: it is not known; the message says what would settle it.
    """
    known = tuple(dim for dim in blob.shape or () if dim is not None)
    if blob.shape is not None and len(known) == len(blob.shape):
        return known
    raise NetError(blob.unknown or f"the shape of blob '{blob.name}' is not known")
