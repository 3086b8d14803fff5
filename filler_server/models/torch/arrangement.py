"""Operations that arrange values anew."""

from math import prod

from filler_server.models.refusal import NoCounterpart
from filler_server.models.torch.layer import Layer
from filler_server.models.torch.literals import call, literal
from filler_server.models.torch.registry import emits
from filler_server.net.operations import arrangement as of


@emits(of.Axpy)
def axpy(layer: Layer, operation: of.Axpy) -> str:
    """Write Axpy as a product and a sum."""
    factor, x, z = layer.bottoms
    return f"{factor}.reshape(*{x}.shape[:2], 1, 1) * {x} + {z}"


@emits(of.BroadcastMul)
def broadcast_mul(layer: Layer, operation: of.BroadcastMul) -> str:
    """Write BroadcastMul as a product of the larger bottom and the other, which has a factor for each channel."""
    a, b = layer.bottoms
    sizes = [(prod(extents), len(extents)) for extents in (layer.extents(1), layer.extents(1, bottom=1))]
    x, factor = (a, b) if sizes[0] > sizes[1] else (b, a)
    return f"{factor}.reshape(*{x}.shape[:2], 1, 1) * {x}"


@emits(of.Concat)
def concat(layer: Layer, operation: of.Concat) -> str:
    """Write Concat as `cat`."""
    if not operation.flatten:
        return f"torch.cat([{', '.join(layer.bottoms)}], dim={operation.axis})"
    flat = ", ".join(f"{bottom}.flatten({operation.axis})" for bottom in layer.bottoms)
    further = layer.axes() - operation.axis - 1
    return f"torch.cat([{flat}], dim={operation.axis}){_new_axes(further)}"


@emits(of.Crop)
def crop(layer: Layer, operation: of.Crop) -> str:
    """Write Crop as slices of the extents of the other bottom."""
    x, reference = layer.bottoms
    axes = layer.axes()
    if len(operation.offsets) != axes - operation.axis:
        raise NoCounterpart("the number of axes that are cut is not known")
    slices = [":"] * operation.axis
    for axis, offset in enumerate(operation.offsets, operation.axis):
        extent = f"{reference}.shape[{axis}]"
        slices.append(f":{extent}" if offset == 0 else f"{offset} : {offset} + {extent}")
    return f"{x}[{', '.join(slices)}]"


@emits(of.Flatten)
def flatten(layer: Layer, operation: of.Flatten) -> str:
    """Write Flatten; one that takes in no axis makes a new one of extent 1."""
    if operation.axis > operation.end_axis:
        return f"{layer.bottoms[0]}.unsqueeze({operation.axis})"
    whole = operation.end_axis in (-1, layer.axes() - 1)
    return call(f"{layer.bottoms[0]}.flatten", (operation.axis,) if whole else (operation.axis, operation.end_axis))


@emits(of.Flip)
def flip(layer: Layer, operation: of.Flip) -> str:
    """Write Flip."""
    axes = tuple(axis for axis, flips in ((2, operation.height), (3, operation.width)) if flips)
    return call(f"{layer.bottoms[0]}.flip", axes) if axes else layer.bottoms[0]


@emits(of.Identity, of.Split)
def split(layer: Layer, operation: of.Split | of.Identity) -> list[str]:
    """Write Split, whose tops are the bottom itself, and Identity."""
    if isinstance(operation, of.Split):
        return [layer.bottoms[0]] * len(layer.node.tops)
    return list(layer.bottoms)


@emits(of.Permute)
def permute(layer: Layer, operation: of.Permute) -> str:
    """Write Permute."""
    return call(f"{layer.bottoms[0]}.permute", operation.order)


@emits(of.Reshape)
def reshape(layer: Layer, operation: of.Reshape) -> str:
    """Write Reshape; an extent that is kept is asked for when it runs, so that the batch may have any size."""
    x, axes, start = layer.bottoms[0], layer.axes(), operation.axis
    end = axes if operation.num_axes is None else start + operation.num_axes
    new = [_extent(x, start + place) if dim == 0 else str(dim) for place, dim in enumerate(operation.dims)]
    before = [_extent(x, axis) for axis in range(start)]
    after = [_extent(x, axis) for axis in range(end, axes)]
    return f"{x}.reshape({', '.join([*before, *new, *after]) or '()'})"


@emits(of.Reverse)
def reverse(layer: Layer, operation: of.Reverse) -> str:
    """Write Reverse as `flip`."""
    return call(f"{layer.bottoms[0]}.flip", (operation.axis,))


@emits(of.ShuffleChannel)
def shuffle_channel(layer: Layer, operation: of.ShuffleChannel) -> str:
    """Write ShuffleChannel as an exchange of two axes."""
    return f"{layer.bottoms[0]}.unflatten(1, ({operation.group}, -1)).transpose(1, 2).flatten(1, 2)"


@emits(of.Slice)
def slice_(layer: Layer, operation: of.Slice) -> str:
    """Write Slice as `tensor_split`, which cuts before the same points."""
    if not operation.points:
        return layer.bottoms[0]
    if None in operation.points:
        raise NoCounterpart("where it cuts is not known")
    return call(f"{layer.bottoms[0]}.tensor_split", (operation.points,), {"dim": operation.axis})


@emits(of.Tile)
def tile(layer: Layer, operation: of.Tile) -> str:
    """Write Tile as `repeat`."""
    times = [1] * layer.axes()
    times[operation.axis] = operation.tiles
    return call(f"{layer.bottoms[0]}.repeat", times)


def _extent(variable: str, axis: int) -> str:
    return f"{variable}.shape[{literal(axis)}]"


def _new_axes(number: int) -> str:
    return f"[(...,) + (None,) * {number}]" if number else ""
