"""Shapes that the caller declares: of the net's inputs, and of any top."""

import operator
from collections.abc import Collection, Mapping
from itertools import islice

from caffe_filler.errors import NetError, ShapeError
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.net.layer import OpenDims
from filler_server.net.plan import Shape
from filler_server.net.shapes import shape_fault


def declared_shapes(option: str, shapes: Mapping[str, Shape], known: Collection[str], kind: str) -> dict[str, Shape]:
    """Return declared shapes by name, once they are known to make sense.

    Args:
        option: what the caller gave them with, for the message.
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


def _declared(option: str, name: str, shape: Shape, known: Collection[str], kind: str) -> Shape:
    if name not in known:
        hint = did_you_mean(nearest(name, known))
        raise NetError(
            f"{option}: no {kind} of the net has this name{hint}; there are: {_listed(known)}. Received: name='{name}'"
        )
    if shape is None:
        return None
    try:
        dims = tuple(None if dim is None else operator.index(dim) for dim in shape)
    except TypeError as error:
        raise ShapeError(f"{option} {name}: dimensions are integers. Received: shape={shape!r}") from error
    fault = shape_fault(tuple(1 if dim is None else dim for dim in dims))
    if fault is not None:
        raise ShapeError(f"{option} {name}: {fault}. Received: shape={list(dims)}")
    return dims


def _listed(names: Collection[str], most: int = 20) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(f"'{name}'" for name in islice(names, most)) or "none") + rest
