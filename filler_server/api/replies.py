"""Translation of the library's objects to messages of the wire."""

import inspect
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from google.protobuf import text_format

from caffe_filler import dtypes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.v1 import filler_pb2
from filler_server.api.plan_wire import note_to_wire
from filler_server.engine.computed import ComputedTensor
from filler_server.engine.region import Region
from filler_server.fillers import registered
from filler_server.frameworks.fillers import MODES
from filler_server.frameworks.names import NAMES, fields_of
from filler_server.prototxt.rewrite import Upgraded

_SHORT = 256
"""Characters of a blob's names up to which its header is kept."""


def list_fillers() -> filler_pb2.ListFillersResponse:
    """Return every registered filler with the fields that it reads and their defaults."""
    response = filler_pb2.ListFillersResponse()
    for filler in registered().values():
        entry = response.fillers.add(type=filler.type, description=(filler.__doc__ or "").partition("\n")[0])
        for name in filler.fields:
            entry.fields.add(name=name, default_value=filler.defaults.get(name, _default(name)))
    for name, function in NAMES.items():
        described = (function.__doc__ or "").partition("\n")[0].removeprefix("Return ").capitalize()
        entry = response.fillers.add(type=name, description=described)
        parameters = inspect.signature(function).parameters
        for field, parameter in fields_of(name).items():
            value = parameters[parameter].default
            entry.fields.add(name=field, default_value=_in_prototxt(field, value))
    return response


def upgrade_reply(upgraded: Upgraded) -> filler_pb2.UpgradeNetResponse:
    """Return an upgraded file as its message."""
    return filler_pb2.UpgradeNetResponse(
        file=upgraded.data,
        kind=upgraded.kind,
        changes=[note_to_wire(change) for change in upgraded.changes],
        warnings=[note_to_wire(problem) for problem in upgraded.problems],
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


def _default(name: str) -> str:
    message = FillerParameter()
    setattr(message, name, getattr(message, name))
    return text_format.MessageToString(message, as_one_line=True).split(": ", 1)[1].strip()


def _in_prototxt(field: str, value: Any) -> str:
    """The default of an initializer; empty where it has none."""
    if value is inspect.Parameter.empty:
        return ""
    return FillerParameter.VarianceNorm.Name(MODES[value]) if field == "variance_norm" else str(value)


def _region(region: Region) -> filler_pb2.Region:
    ranges = [filler_pb2.Range(start=start, stop=stop) for start, stop in region.ranges]
    return filler_pb2.Region(flat=ranges[0]) if region.is_flat else filler_pb2.Region(box=filler_pb2.Box(axes=ranges))
