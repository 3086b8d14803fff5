"""Checks of parameters and shapes that several fillers share."""

import math
from collections.abc import Sequence

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, ShapeError


def refuse_sparse(param: FillerParameter) -> None:
    """Make sure that `sparse` is not used, as Caffe does in every filler but gaussian.

    Raises:
        FillerParameterError: `sparse` is set to anything but -1.
    """
    if param.sparse != -1:
        raise FillerParameterError(
            f"sparse is not supported by filler type '{param.type}', only by 'gaussian'. "
            f"Received: sparse={param.sparse}",
            field="sparse",
        )


def finite(param: FillerParameter, field: str) -> float:
    """Return a field that must be finite, for the random fillers.

    Caffe itself fills blobs with inf and NaN, or crashes, when it is not.

    Raises:
        FillerParameterError: the field is infinite or NaN.
    """
    value: float = getattr(param, field)
    if not math.isfinite(value):
        raise FillerParameterError(
            f"{field} of filler type '{param.type}' must be finite. Received: {field}={value}", field=field
        )
    return value


def finite_or(param: FillerParameter, field: str, default: float) -> float:
    """Return a field that must be finite, or `default` where it is not given, whatever the schema's default is.

    Raises:
        FillerParameterError: the field is infinite or NaN.
    """
    return finite(param, field) if param.HasField(field) else default


def refuse_unused(param: FillerParameter, fields: Sequence[str]) -> None:
    """Make sure that no field is set that a filler does not read, `type` aside; at its default it does no harm.

    Caffe's own fillers pass over all of them but `sparse`, as Caffe does.

    Raises:
        FillerParameterError: one is.
    """
    refuse_sparse(param)
    for entry, value in param.ListFields():
        if entry.name not in ("type", *fields) and value != entry.default_value:
            raise FillerParameterError(
                f"{entry.name} is not a field of filler type '{param.type}', which reads {', '.join(fields)}. "
                f"Received: {entry.name}={value}",
                field=entry.name,
            )


def check_axis(shape: tuple[int, ...], reader: str) -> None:
    """Make sure that a shape has a first axis; `reader` says who reads it.

    Raises:
        ShapeError: it has no axes.
    """
    if not shape:
        raise ShapeError(f"{reader} needs a blob with at least one axis. Received: shape=[]")
