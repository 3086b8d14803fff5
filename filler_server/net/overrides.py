"""Shapes that the caller declares: of the net's inputs, and of any top."""

from collections.abc import Collection, Mapping

from caffe_filler.errors import NetError, ShapeError
from filler_server.net.hints import did_you_mean, nearest
from filler_server.net.plan import Shape
from filler_server.net.shapes import shape_fault


def check_shapes(option: str, shapes: Mapping[str, Shape], known: Collection[str], kind: str) -> None:
    """Refuse declared shapes that nothing in the net has or that no blob can have.

    Args:
        option: what the caller gave them with, for the message.
        shapes: the shapes by name; None, or None for a dimension, leaves it open.
        known: the names that may be declared so.
        kind: what these names are.

    Raises:
        NetError: a name that is not known.
        ShapeError: a shape that no blob can have.
    """
    for name, shape in shapes.items():
        if name not in known:
            hint = did_you_mean(nearest(name, known))
            raise NetError(
                f"{option}: no {kind} of the net has this name{hint} (there are: {_listed(known)}). "
                f"Received: name='{name}'"
            )
        if shape is None:
            continue
        fault = shape_fault(tuple(1 if dim is None else dim for dim in shape))
        if fault is not None:
            raise ShapeError(f"{option} {name}: {fault}. Received: shape={list(shape)}")


def _listed(names: Collection[str], most: int = 20) -> str:
    unique = list(dict.fromkeys(names))
    rest = f" and {len(unique) - most} more" if len(unique) > most else ""
    return (", ".join(f"'{name}'" for name in unique[:most]) or "none") + rest
