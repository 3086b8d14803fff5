"""Windows that slide over the spatial axes: what ConvolutionParameter says of them, and how many fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from filler_server.net.dimensions import Dim, quotient
from filler_server.net.layer import LayerContext

_FIELDS = ("kernel", "stride", "pad")
_DEPTH = {"kernel_size": "kernel_depth", "stride": "temporal_stride", "pad": "temporal_pad"}

FORK_FIELDS = tuple(f"convolution_param.{name}" for name in (*_DEPTH.values(), "hole", "hole_h", "hole_w"))
"""Fields of forks that say more of a window: C3D's over time, and the dilation of DeepLab and PSPNet."""


class WindowAttributes(TypedDict):
    """Windows as operations have them; None where the number of spatial axes is not known."""

    kernel: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    pad: tuple[int, ...] | None
    dilation: tuple[int, ...] | None


NO_WINDOWS: WindowAttributes = {"kernel": None, "stride": None, "pad": None, "dilation": None}


@dataclass(frozen=True, slots=True)
class Windows:
    """Extents of the windows, one entry for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    def attributes(self) -> WindowAttributes:
        """Return what an operation says of them."""
        return {"kernel": self.kernel, "stride": self.stride, "pad": self.pad, "dilation": self.dilation}

    def over(self, extents: Sequence[Dim]) -> tuple[Dim, ...]:
        """Return how many windows fit on each axis (Convolution, Im2col)."""
        return tuple(
            quotient(extent + 2 * pad - (dilation * (kernel - 1) + 1), stride) + 1
            for extent, kernel, stride, pad, dilation in zip(
                extents, self.kernel, self.stride, self.pad, self.dilation, strict=True
            )
        )

    def spread(self, extents: Sequence[Dim]) -> tuple[Dim, ...]:
        """Return the extents that give these numbers of windows (Deconvolution)."""
        return tuple(
            stride * (extent - 1) + (dilation * (kernel - 1) + 1) - 2 * pad
            for extent, kernel, stride, pad, dilation in zip(
                extents, self.kernel, self.stride, self.pad, self.dilation, strict=True
            )
        )


def implied_spatial_axes(layer: LayerContext) -> int | None:
    """Return the number of spatial axes that the fields can only mean, or None where they fit any number."""
    parameter = layer.parameter.convolution_param
    if "convolution_param.kernel_depth" in layer.fork:
        return 3
    if any(parameter.HasField(f"{field}_{side}") for field in _FIELDS for side in "hw"):
        return 2
    longest = max(map(len, (parameter.kernel_size, parameter.stride, parameter.pad, parameter.dilation)))
    if longest > 1:
        return longest
    # What they say is for each axis alike, and is read once their number is known.
    layer.fork.disregard(*FORK_FIELDS)
    return None


def read_windows(layer: LayerContext, num_spatial_axes: int) -> Windows:
    """Return the windows of a convolution over this many spatial axes, with the checks of Caffe's `LayerSetUp`.

    Raises:
        NetError: a field given neither once nor once for each axis, in two ways at once, or zero where it must not be.
    """
    parameter = layer.parameter.convolution_param
    kernel = _read(layer, num_spatial_axes, "kernel_size", parameter.kernel_size, "kernel", None)
    layer.require(min(kernel, default=1) > 0, "Filter dimensions must be nonzero", kernel_size=list(kernel))
    stride = _read(layer, num_spatial_axes, "stride", parameter.stride, "stride", 1)
    layer.require(min(stride, default=1) > 0, "Stride dimensions must be nonzero", stride=list(stride))
    pad = _read(layer, num_spatial_axes, "pad", parameter.pad, "pad", 0)
    dilation = _read(layer, num_spatial_axes, "dilation", _dilation(layer), None, 1)
    return Windows(kernel, stride, pad, dilation)


def _dilation(layer: LayerContext) -> Sequence[int]:
    """Return the dilations given, by DeepLab's names for them if by no other (xmyqsh/deeplab-v2, caffe.proto)."""
    given: Sequence[int] = layer.parameter.convolution_param.dilation
    names = [name for name in ("hole", "hole_h", "hole_w") if f"convolution_param.{name}" in layer.fork]
    if given or not names:
        return given
    one = layer.fork.integer("convolution_param.hole", 1)
    if names == ["hole"]:
        return [one]
    return [layer.fork.integer(f"convolution_param.hole_{side}", one) for side in "hw"]


def _read(
    layer: LayerContext, num_spatial_axes: int, name: str, values: Sequence[int], short: str | None, default: int | None
) -> tuple[int, ...]:
    parameter = layer.parameter.convolution_param
    depth = f"convolution_param.{_DEPTH.get(name, name)}"
    if depth in FORK_FIELDS and (depth in layer.fork or "convolution_param.kernel_depth" in layer.fork):
        layer.require(num_spatial_axes == 3, "kernel_depth needs 3 spatial axes", num_spatial_axes=num_spatial_axes)
        layer.require(len(values) <= 1, f"{name} must be specified once beside kernel_depth", **{name: list(values)})
        space = values[0] if values else 0 if default is None else default
        return layer.fork.integer(depth, space if default is None else default), space, space
    if short is not None and (parameter.HasField(f"{short}_h") or parameter.HasField(f"{short}_w")):
        pair: tuple[int, int] = getattr(parameter, f"{short}_h"), getattr(parameter, f"{short}_w")
        if num_spatial_axes != 2:
            layer.refuse(
                f"{short}_h & {short}_w can only be used for 2D convolution",
                num_spatial_axes=num_spatial_axes,
            )
        if values:
            layer.refuse(
                f"Either {name} or {short}_h/w should be specified; not both",
                **{name: list(values), f"{short}_hw": pair},
            )
        return pair
    if not values and default is not None:
        return (default,) * num_spatial_axes
    if len(values) != 1 and len(values) != num_spatial_axes:
        layer.refuse(
            f"{name} must be specified once, or once per spatial dimension "
            f"({name} specified {len(values)} times; {num_spatial_axes} spatial dims)",
            **{name: list(values)},
        )
    return tuple(values) * num_spatial_axes if len(values) == 1 else tuple(values)
