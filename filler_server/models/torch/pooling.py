"""Poolings over windows that do not depend on data."""

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.convolution import sizes
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.registry import Written, emits
from filler_server.net.operations import pooling as of

_MODULES = {"max": "nn.MaxPool", "ave": "nn.AvgPool"}


@emits(of.Pooling)
def pooling(layer: Layer, operation: of.Pooling) -> Written:
    """Write Pooling as PyTorch's modules, which count windows as Caffe does in all cases but those refused here.

    These modules pad at most half a window. Where Caffe pads more another module takes their place.
    """
    axes = layer.axes()
    spatial = axes - 2
    if operation.squeeze:
        raise NoCounterpart("axes of extent 1 that vanish are not written")
    if not 1 <= spatial <= 3:
        raise NoCounterpart(f"PyTorch pools over 1 to 3 axes, not over {spatial}")
    if operation.global_pooling:
        return _global(layer, operation, spatial)
    kernel, stride, pad = (_known(values) for values in (operation.kernel, operation.stride, operation.pad))
    _check_last_windows(layer, operation, kernel, stride, pad)
    if operation.method == "stochastic":
        return _stochastic(layer, operation, spatial)
    if not any(pad) and any(step > size for step, size in zip(stride, kernel, strict=True)):
        # For other sizes there may be such windows.
        layer.needs_size()
    masked = len(layer.node.tops) == 2
    fits = all(2 * pads <= size for pads, size in zip(pad, kernel, strict=True))
    if not fits and spatial != 2:
        raise NoCounterpart("PyTorch pads at most half a window")
    module = layer.module(
        f"{_MODULES[operation.method]}{spatial}d" if fits else f"{operation.method.capitalize()}Pool2d",
        sizes(kernel),
        stride=sizes(stride),
        padding=None if not any(pad) else sizes(pad),
        ceil_mode=True if operation.ceil else None,
        return_indices=True if masked else None,
    )
    x = layer.bottoms[0]
    if not masked:
        return f"{module}({x})"
    return f"with_mask({module}({x}), {x})"


@emits(of.SPP)
def spp(layer: Layer, operation: of.SPP) -> str:
    """Write SPP as poolings whose windows depend on the size of the input."""
    if operation.method == "stochastic":
        raise NoCounterpart("a stochastic pyramid is not written")
    pooled = f"spp({layer.bottoms[0]}, {operation.levels}"
    return f"{pooled})" if operation.method == "max" else f'{pooled}, "ave")'


def _global(layer: Layer, operation: of.Pooling, spatial: int) -> Written:
    if operation.method == "stochastic":
        raise NoCounterpart("a global stochastic pooling is not written")
    kind = "Max" if operation.method == "max" else "Avg"
    masked = len(layer.node.tops) == 2
    pooled = layer.apply(f"nn.Adaptive{kind}Pool{spatial}d", 1, return_indices=True if masked else None)
    return f"with_mask({pooled}, {layer.bottoms[0]})" if masked else pooled


def _stochastic(layer: Layer, operation: of.Pooling, spatial: int) -> str:
    if operation.random:
        raise NoCounterpart("PyTorch has no pooling that draws one value of each window")
    if spatial != 2:
        raise NoCounterpart("a stochastic pooling is written over two axes")
    return layer.apply(
        "StochasticPool2d",
        sizes(_known(operation.kernel)),
        stride=sizes(_known(operation.stride)),
        ceil_mode=True if operation.ceil else None,
    )


def _check_last_windows(
    layer: Layer, operation: of.Pooling, kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...]
) -> None:
    """Refuse no windows, and windows that lie wholly beyond the input and its near padding.

    Caffe cuts these off only where there is padding. Otherwise it computes them, of nothing.
    """
    for extent, windows, size, step, pads in zip(
        layer.extents(2), layer.top_extents(2), kernel, stride, pad, strict=True
    ):
        if windows < 1:
            raise NoCounterpart("it has no windows")
        if (windows - 1) * step >= extent + pads:
            raise NoCounterpart(
                f"its last window lies beyond the input (kernel {size}, stride {step}, extent {extent})"
            )


def _known(values: tuple[int | None, ...] | None) -> tuple[int, ...]:
    known = tuple(value for value in values or () if value is not None)
    if values is None or len(known) != len(values):
        raise NoCounterpart("the sizes of its windows are not known")
    return known
