"""Shapes that the caller declares, of the net's inputs and of any top, and those that the caller is asked for."""

import operator
from collections.abc import Collection, Mapping
from itertools import islice
from typing import cast

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import NetError, ShapeError
from caffe_filler.interface import option_name, shape_options
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.net.blobs import shape_fault
from filler_server.net.dimensions import Dim, Dims, Origin, Unknown, origins
from filler_server.net.layer import OpenDims
from filler_server.net.plan import Shape, is_source


def declared_shapes(option: str, shapes: Mapping[str, Shape], known: Collection[str], kind: str) -> dict[str, Shape]:
    """Return declared shapes by name, once they are known to make sense.

    Args:
        option: name of the option with which the caller gave them.
        shapes: the shapes by name; None, or None for a dimension, leaves it open.
        known: the names that may be declared so.
        kind: what these names are.

    Raises:
        NetError: a name that is not known.
        ShapeError: a shape that no blob can have.
    """
    by_name = dict.fromkeys(known)
    return {name: _declared(option, name, shape, by_name, kind) for name, shape in shapes.items()}


def declared_over(declared: Shape, own: OpenDims) -> OpenDims:
    """Return a declared shape, with what its layer says where the declaration is open."""
    if declared is None:
        return own
    if not isinstance(own, tuple) or len(own) != len(declared):
        return declared
    return tuple(mine if dim is None else dim for dim, mine in zip(declared, own, strict=True))


def with_origin(name: str, dims: OpenDims, parameter: caffe_pb2.LayerParameter) -> Dims:
    """Return the shape of a top with itself as the origin of what its layer leaves open."""
    if isinstance(dims, Unknown):
        return dims
    if dims is None:
        return Unknown(_origin(name, "D,D,..", parameter))
    if None not in dims:
        # The very same, so that a shape of many tops stands in memory once.
        return cast(tuple[Dim, ...], dims)
    letters = "NCHW" if len(dims) == 4 else "D" * len(dims)
    example = ",".join(str(dim) if isinstance(dim, int) else letter for dim, letter in zip(dims, letters, strict=True))
    here = Unknown(_origin(name, example, parameter))
    return tuple(here if dim is None else dim for dim in dims)


def options_for(*shapes: Dims, most: int = 8) -> str:
    """Return the options that would settle the unknown dimensions of some shapes, or an empty string."""
    found = sorted(frozenset[Origin]().union(*map(origins, shapes)), key=lambda origin: (origin.option, origin.top))
    shown = found[:most]
    parts = [
        shape_options(option, [(origin.top, origin.example) for origin in shown if origin.option == option])
        for option in dict.fromkeys(origin.option for origin in shown)
    ]
    return " ".join(parts) + (f" and {len(found) - most} more" if len(found) > most else "")


def _declared(option: str, name: str, shape: Shape, known: Collection[str], kind: str) -> Shape:
    if name not in known:
        hint = did_you_mean(nearest(name, known))
        raise NetError(
            f"{option_name(option)}: no {kind} of the net has this name{hint}; there are: {_listed(known)}. "
            f"Received: name='{name}'"
        )
    if shape is None:
        return None
    try:
        dims = tuple(None if dim is None else operator.index(dim) for dim in shape)
    except TypeError as error:
        raise ShapeError(f"{option_name(option)} {name}: dimensions are integers. Received: shape={shape!r}") from error
    fault = shape_fault(tuple(1 if dim is None else dim for dim in dims))
    if fault is not None:
        raise ShapeError(f"{option_name(option)} {name}: {fault}. Received: shape={list(dims)}")
    return dims


def _listed(names: Collection[str], most: int = 20) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(f"'{name}'" for name in islice(names, most)) or "none") + rest


def _origin(name: str, example: str, parameter: caffe_pb2.LayerParameter) -> frozenset[Origin]:
    return frozenset([Origin(name, "inputs" if is_source(parameter.type, parameter.bottom) else "tops", example)])
