"""Questions to the caller: the shapes that nothing in a net tells."""

from typing import cast

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Dims, Origin, Unknown, origins
from filler_server.net.layer import OpenDims


def is_source(layer: caffe_pb2.LayerParameter) -> bool:
    """Whether a layer brings data in, so that `--input` declares the shapes of its tops."""
    return not layer.bottom and layer.type != "Parameter"


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
    options = sorted(map(str, frozenset[Origin]().union(*map(origins, shapes))))
    return " ".join(options[:most]) + (f" and {len(options) - most} more" if len(options) > most else "")


def _origin(name: str, example: str, parameter: caffe_pb2.LayerParameter) -> frozenset[Origin]:
    return frozenset([Origin(name, "--input" if is_source(parameter) else "--top", example)])
