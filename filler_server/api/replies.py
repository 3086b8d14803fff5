"""Translation of the library's objects to messages of the wire."""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from google.protobuf import text_format

from caffe_filler import dtypes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerError
from caffe_filler.notes import Note
from caffe_filler.v1 import filler_pb2
from filler_server.engine.computed import ComputedTensor
from filler_server.engine.region import Region
from filler_server.fillers import get_filler, registered
from filler_server.fillers.variance_scaling import fan_in, fan_out
from filler_server.net.plan import Blob, NetPlan, Shape
from filler_server.prototxt.rewrite import Upgraded

_SHORT = 256
"""Characters of a blob's names up to which its header is kept."""


def list_fillers() -> filler_pb2.ListFillersResponse:
    """Return every registered filler with the fields that it reads and their defaults."""
    response = filler_pb2.ListFillersResponse()
    for filler in registered().values():
        entry = response.fillers.add(type=filler.type, description=(filler.__doc__ or "").partition("\n")[0])
        for name in filler.fields:
            entry.fields.add(name=name, default_value=_default(name))
    return response


def plan_reply(plan: NetPlan, draws: Sequence[int] | None = None) -> filler_pb2.PlanNetResponse:
    """Return a plan as its message, with what theory expects of each blob.

    `draws` is what each layer draws from a sequential stream, where that is asked for.
    """
    response = filler_pb2.PlanNetResponse()
    response.CopyFrom(plan.keep("reply", None, lambda: _plan_reply(plan)))
    response.sequential = draws is not None
    for entry, count in zip(response.layers, draws or (), strict=False):
        entry.draws = count
    return response


def _plan_reply(plan: NetPlan) -> filler_pb2.PlanNetResponse:
    response = filler_pb2.PlanNetResponse(name=plan.name, state=plan.state, parameters=plan.parameters)
    for layer in plan.layers:
        entry = response.layers.add(name=layer.name, type=layer.type, bottoms=layer.bottoms, line=layer.line or 0)
        for top in layer.tops:
            entry.tops.add(name=top.name, shape=_partial_shape(top.shape))
        entry.blobs.extend(_blob_plan(blob) for blob in layer.blobs)
    response.warnings.extend(_problem(problem) for problem in plan.warnings)
    for layer in plan.layers:
        for blob in layer.blobs:
            if (error := _cannot_fill(blob)) is not None:
                response.warnings.add(message=f"blob '{blob.name}': {error}", line=layer.line or 0, layer=layer.name)
    return response


def upgrade_reply(upgraded: Upgraded) -> filler_pb2.UpgradeNetResponse:
    """Return an upgraded file as its message."""
    return filler_pb2.UpgradeNetResponse(
        file=upgraded.data,
        kind=upgraded.kind,
        changes=[_problem(change) for change in upgraded.changes],
        warnings=[_problem(problem) for problem in upgraded.problems],
        needs_upgrade=upgraded.needs_upgrade,
    )


def blob_header(tensor: ComputedTensor) -> filler_pb2.BlobHeader:
    """Return what a stream says of a blob before its first piece."""
    header = _header(tensor.name, tensor.blob_shape, tensor.dtype, tensor.owner or "")
    if not tensor.region.is_whole:
        header.bytes = tensor.nbytes
        header.region.CopyFrom(_region(tensor.region))
    return header


def encoded_header(tensor: ComputedTensor) -> bytes:
    """Return the encoded `blob_header`."""
    owner = tensor.owner or ""
    if tensor.region.is_whole and len(tensor.name) + len(owner) <= _SHORT:
        return _encoded_header(tensor.name, tensor.blob_shape, tensor.dtype, owner)
    return blob_header(tensor).SerializeToString()


@lru_cache(maxsize=4096)
def _encoded_header(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], owner: str) -> bytes:
    return _header(name, shape, dtype, owner).SerializeToString()


def _header(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], owner: str) -> filler_pb2.BlobHeader:
    """The header of a whole blob."""
    nbytes = prod(shape) * dtype.itemsize
    header = filler_pb2.BlobHeader(name=name, dtype=dtypes.to_wire(dtype), bytes=nbytes, owner=owner)
    header.shape.dim.extend(shape)
    return header


def _problem(note: Note) -> filler_pb2.Problem:
    return filler_pb2.Problem(
        message=note.message, line=note.line or 0, column=note.column or 0, layer=note.layer or ""
    )


def _blob_plan(blob: Blob) -> filler_pb2.BlobPlan:
    entry = filler_pb2.BlobPlan(
        name=blob.name,
        shape=_partial_shape(blob.shape),
        filler=blob.filler,
        owner=blob.owner or "",
        given=blob.given is not None,
    )
    if blob.shape is None or blob.count is None:
        return entry
    shape = tuple(dim for dim in blob.shape if dim is not None)
    entry.count = blob.count
    if shape:
        entry.fan_in, entry.fan_out = fan_in(shape), fan_out(shape)
    if blob.given is None and _cannot_fill(blob) is None:
        distribution = get_filler(blob.filler).distribution(shape, np.dtype(np.float64))
        entry.mean, entry.std = distribution.mean, distribution.std
    return entry


def _cannot_fill(blob: Blob) -> FillerError | None:
    """Return why a blob of known shape cannot be filled: a plan shows it, filling refuses it."""
    if blob.shape is None or blob.count is None or blob.given is not None:
        return None
    try:
        get_filler(blob.filler).check(tuple(dim for dim in blob.shape if dim is not None))
    except FillerError as error:
        return error
    return None


def _partial_shape(shape: Shape) -> filler_pb2.PartialShape:
    if shape is None:
        return filler_pb2.PartialShape(unknown_rank=True)
    return filler_pb2.PartialShape(dim=[-1 if dim is None else dim for dim in shape])


def _default(name: str) -> str:
    message = FillerParameter()
    setattr(message, name, getattr(message, name))
    return text_format.MessageToString(message, as_one_line=True).split(": ", 1)[1].strip()


def _region(region: Region) -> filler_pb2.Region:
    ranges = [filler_pb2.Range(start=start, stop=stop) for start, stop in region.ranges]
    return filler_pb2.Region(flat=ranges[0]) if region.is_flat else filler_pb2.Region(box=filler_pb2.Box(axes=ranges))
