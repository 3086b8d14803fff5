"""Pooling and SPP (spatial pyramid pooling)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Unknown, known, text
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import pooling as operations
from filler_server.net.registry import BlobCount, between, exactly, register

_Pair: TypeAlias = tuple[Dim, Dim]

_WINDOW = ("kernel_size", "stride", "pad")
_DEPTH = {"kernel_size": "kernel_depth", "stride": "temporal_stride"}
_FORK_FIELDS = tuple(
    f"pooling_param.{name}" for name in ("ceil_mode", *_WINDOW, *(f"{name}_3d" for name in _WINDOW), *_DEPTH.values())
)


def _pooling_tops(layer: LayerContext) -> BlobCount:
    largest = layer.parameter.pooling_param.pool == caffe_pb2.PoolingParameter.MAX
    return between(1, 2) if largest else exactly(1)


@register("Pooling", bottoms=exactly(1), tops=_pooling_tops, fork_fields=_FORK_FIELDS)
def pooling(layer: LayerContext) -> SetUp:
    """The second top of a MAX pooling holds where each maximum was.

    Forks round down with `ceil_mode: false` (BVLC/caffe pull request 3057), and pool over any number of spatial axes,
    with a list of sizes (yjxiong/caffe, pooling_layer.cpp), a list under another name (intel/caffe, pooling_layer.cpp)
    or the size in time apart (facebookarchive/C3D).
    """
    parameter, bottom = layer.parameter.pooling_param, layer.bottoms[0]
    windows = {name: _sizes(layer, name) for name in _WINDOW}
    if any(windows.values()) or (isinstance(bottom, tuple) and len(bottom) > 4):
        return _pool_any_axes(layer, windows)
    if parameter.global_pooling:
        layer.require(
            not any(map(parameter.HasField, ("kernel_size", "kernel_h", "kernel_w"))),
            "With global_pooling: true the filter size cannot be specified",
            kernel_size=parameter.kernel_size,
        )
        _, _, *extents = layer.legacy(0)
        kernel: _Pair = extents[0], extents[1]
    else:
        kernel = _kernel(layer, parameter)
    pad = _pair(layer, "pad", parameter.pad)
    stride = _pair(layer, "stride", parameter.stride)
    pool = _Pool(_pads(parameter), kernel, pad, stride, _rounds_up(layer))
    if parameter.global_pooling:
        pool.check_global(layer)
    pool.check(layer)
    num, channels, *spatial = layer.four_axes(0)
    outputs = (1, 1) if parameter.global_pooling else pool.over(layer, spatial)
    return SetUp([(num, channels, *outputs)] * layer.num_tops, operation=pool.operation(layer))


@register("SPP", bottoms=exactly(1), tops=exactly(1), keeps_shape_in_place=True)
def spatial_pyramid_pooling(layer: LayerContext) -> SetUp:
    """Poolings into 1 x 1, 2 x 2, 4 x 4, ... bins, each flattened, end to end; a pyramid of one is left as it is."""
    parameter = layer.parameter.spp_param
    num, channels, height, width = layer.four_axes(0)
    layer.require(height != 0 and width != 0, "Input dimensions cannot be zero", shape=layer.bottoms[0])
    levels = parameter.pyramid_height
    layer.require(levels > 0, "pyramid_height must be positive", pyramid_height=levels)
    operation = operations.SPP(levels=levels, method=caffe_pb2.SPPParameter.PoolMethod.Name(parameter.pool).lower())
    if isinstance(height, Unknown) or isinstance(width, Unknown):
        top = (num, channels, 1, 1) if levels == 1 else (num, channels * height * width)
        return SetUp([top], operation=operation)
    pads = parameter.pool != caffe_pb2.SPPParameter.STOCHASTIC
    outputs: list[tuple[Dim, ...]] = []
    for level in range(levels):
        bins = 2**level
        kernel = -(-height // bins), -(-width // bins)
        pad = (kernel[0] * bins - height + 1) // 2, (kernel[1] * bins - width + 1) // 2
        pool = _Pool(pads, kernel, pad, kernel, ceil=True)
        pool.check(layer)
        outputs.append(pool.over(layer, (height, width)))
    if levels == 1:
        return SetUp([(num, channels, *outputs[0])], operation=operation)
    return SetUp([(num, channels * sum(rows * columns for rows, columns in outputs))], operation=operation)


@dataclass(frozen=True, slots=True)
class _Pool:
    """Windows over some spatial axes, each attribute with one entry for each of them."""

    pads: bool
    kernel: tuple[Dim, ...]
    pad: tuple[int, ...]
    stride: tuple[Dim, ...]
    ceil: bool

    def check(self, layer: LayerContext) -> None:
        layer.require(0 not in self.kernel, "Filter dimensions cannot be zero", kernel_size=self.kernel)
        layer.require(0 not in self.stride, "Stride dimensions cannot be zero", stride=self.stride)
        if not any(self.pad):
            return
        layer.require(
            self.pads,
            "Padding implemented only for average and max pooling",
            pad=list(self.pad),
        )
        for kernel, pad in zip(self.kernel, self.pad, strict=True):
            if isinstance(kernel, int) and pad >= kernel:
                layer.refuse("pad must be smaller than the kernel", pad=list(self.pad), kernel_size=self.kernel)

    def check_global(self, layer: LayerContext) -> None:
        layer.require(
            not any(self.pad) and all(stride == 1 for stride in self.stride),
            "With global_pooling: true only pad = 0 and stride = 1",
            pad=list(self.pad),
            stride=self.stride,
        )

    def operation(self, layer: LayerContext) -> operations.Pooling:
        parameter = layer.parameter.pooling_param
        return operations.Pooling(
            method=method(layer),
            kernel=tuple(map(known, self.kernel)),
            stride=tuple(map(known, self.stride)),
            pad=self.pad,
            ceil=self.ceil,
            global_pooling=parameter.global_pooling,
            random=draws(layer),
        )

    def over(self, layer: LayerContext, extents: Sequence[Dim]) -> tuple[Dim, ...]:
        """Return how many windows fit on each axis; with padding, none begins beyond the image and its near pad."""
        padded = any(self.pad)
        result: list[Dim] = []
        for extent, kernel, pad, stride in zip(extents, self.kernel, self.pad, self.stride, strict=True):
            room = extent + 2 * pad - kernel
            if isinstance(room, Unknown) or isinstance(extent, Unknown) or isinstance(stride, Unknown):
                result.append(room + extent)
                continue
            pooled = (-(-room // stride) if self.ceil else room // stride) + 1
            if padded and (pooled - 1) * stride >= extent + pad:
                pooled -= 1
            if padded and (pooled - 1) * stride >= extent + pad:
                layer.refuse("the last window begins beyond the padded input", shape=layer.bottoms[0], stride=stride)
            if pooled < 0:
                layer.refuse(
                    f"the kernel does not fit into the padded input: the output would be {pooled}",
                    shape=layer.bottoms[0],
                    kernel_size=self.kernel,
                    pad=list(self.pad),
                )
            result.append(pooled)
        return tuple(result)


def method(layer: LayerContext) -> str:
    """Return what the pooling of a layer takes of each window."""
    return caffe_pb2.PoolingParameter.PoolMethod.Name(layer.parameter.pooling_param.pool).lower()


def draws(layer: LayerContext) -> bool:
    """Whether the pooling of a layer draws one value of each window at random."""
    return method(layer) == "stochastic" and layer.training


def _pads(parameter: caffe_pb2.PoolingParameter) -> bool:
    return parameter.pool != caffe_pb2.PoolingParameter.STOCHASTIC


def _rounds_up(layer: LayerContext) -> bool:
    bvlc = layer.parameter.pooling_param.round_mode == caffe_pb2.PoolingParameter.CEIL
    return layer.fork.flag("pooling_param.ceil_mode", bvlc)


def _sizes(layer: LayerContext, name: str) -> tuple[int, ...]:
    """Return the sizes that a fork has for a window, one or one for each axis, or none."""
    depth = f"pooling_param.{_DEPTH.get(name, name)}"
    if name in _DEPTH and depth in layer.fork:
        size = getattr(layer.parameter.pooling_param, name)
        return layer.fork.integer(depth, 0), size, size
    return layer.fork.integers(f"pooling_param.{name}") or layer.fork.integers(f"pooling_param.{name}_3d")


def _pool_any_axes(layer: LayerContext, windows: dict[str, tuple[int, ...]]) -> SetUp:
    parameter, bottom = layer.parameter.pooling_param, layer.bottoms[0]
    if isinstance(bottom, Unknown):
        operation = operations.Pooling(
            method=method(layer),
            kernel=None if parameter.global_pooling else _open_sizes(windows["kernel_size"]),
            stride=_open_sizes(windows["stride"]),
            pad=_open_sizes(windows["pad"]),
            ceil=_rounds_up(layer),
            global_pooling=parameter.global_pooling,
            random=draws(layer),
        )
        return SetUp([bottom] * layer.num_tops, operation=operation)
    layer.require(len(bottom) >= 3, "Input must have at least one spatial axis", shape=bottom)
    if not any(windows.values()):
        layer.report(f"BVLC pools over 4 axes only, not over {text(bottom)}: planned as forks do that can")
    num, channels, *extents = bottom
    sides = [f"{name}_{side}" for name in ("kernel", "stride", "pad") for side in "hw"]
    layer.require(
        not any(map(parameter.HasField, sides)),
        "sizes for height and width go with two spatial axes alone",
        shape=bottom,
    )
    if parameter.global_pooling:
        kernel: tuple[Dim, ...] = tuple(extents)
    else:
        kernel = _for_each_axis(layer, "kernel_size", windows["kernel_size"], len(extents))
    pad = _for_each_axis(layer, "pad", windows["pad"], len(extents))
    stride = _for_each_axis(layer, "stride", windows["stride"], len(extents))
    pool = _Pool(_pads(parameter), kernel, pad, stride, _rounds_up(layer))
    if parameter.global_pooling:
        pool.check_global(layer)
    pool.check(layer)
    return SetUp([(num, channels, *pool.over(layer, extents))] * layer.num_tops, operation=pool.operation(layer))


def _open_sizes(sizes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return sizes over axes of which the number is not known: None unless there is one for each of several axes."""
    return sizes if len(sizes) > 1 else None


def _for_each_axis(layer: LayerContext, name: str, sizes: tuple[int, ...], axes: int) -> tuple[int, ...]:
    given = sizes or (getattr(layer.parameter.pooling_param, name),)
    layer.require(
        len(given) in (1, axes),
        f"{name} must be specified once, or once per spatial dimension ({axes})",
        **{name: list(given), "shape": layer.bottoms[0]},
    )
    return given * axes if len(given) == 1 else given


def _kernel(layer: LayerContext, parameter: caffe_pb2.PoolingParameter) -> _Pair:
    square = parameter.HasField("kernel_size")
    sides = parameter.HasField("kernel_h"), parameter.HasField("kernel_w")
    received = {
        field: getattr(parameter, field)
        for field in ("kernel_size", "kernel_h", "kernel_w")
        if parameter.HasField(field)
    }
    layer.require(
        not (square and all(sides)), "Filter size is kernel_size OR kernel_h and kernel_w; not both", **received
    )
    layer.require(
        square or all(sides),
        "For non-square filters both kernel_h and kernel_w are required"
        if any(sides)
        else "Filter size is missing: kernel_size, or kernel_h and kernel_w, or global_pooling",
        **received,
    )
    return (parameter.kernel_size,) * 2 if square else (parameter.kernel_h, parameter.kernel_w)


def _pair(layer: LayerContext, name: str, both: int) -> tuple[int, int]:
    parameter = layer.parameter.pooling_param
    sides = parameter.HasField(f"{name}_h"), parameter.HasField(f"{name}_w")
    if not any(sides):
        return both, both
    pair = getattr(parameter, f"{name}_h"), getattr(parameter, f"{name}_w")
    layer.require(
        all(sides) and not parameter.HasField(name),
        f"{name} is {name} OR {name}_h and {name}_w are required",
        **{f"{name}_h": pair[0], f"{name}_w": pair[1]},
    )
    return pair
