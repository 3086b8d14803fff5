"""Layers that arrange values anew: Reshape, Flatten, Concat, Slice, Crop, Split, Tile."""

from functools import reduce

from caffe_filler.shapes import MAX_AXES
from filler_server.net.dimensions import Dim, Dims, Unknown, count, differ, known, product, quotient
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import arrangement as operations
from filler_server.net.operations.base import Extents
from filler_server.net.registry import at_least, exactly, register


@register("Flatten", bottoms=exactly(1), tops=exactly(1))
def flatten(layer: LayerContext) -> SetUp:
    """The axes from `axis` to `end_axis`, both included, become one."""
    layer.refuse_in_place()
    parameter = layer.parameter.flatten_param
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        known_rank = parameter.axis >= 0 and parameter.end_axis == -1
        top: Dims = layer.open_axes(bottom, parameter.axis + 1) if known_rank else bottom
        return SetUp([top], operation=operations.Flatten(axis=parameter.axis, end_axis=parameter.end_axis))
    start, end = layer.axis(bottom, parameter.axis), layer.axis(bottom, parameter.end_axis)
    layer.require(start <= end + 1, "axis must not come after end_axis", axis=start, end_axis=end, shape=bottom)
    top = (*bottom[:start], count(bottom, start, end + 1), *bottom[end + 1 :])
    return SetUp([top], operation=operations.Flatten(axis=start, end_axis=end))


_FLATTENS = "concat_param.per_fla_fuse"


@register("Concat", bottoms=at_least(1), tops=exactly(1), fork_fields=[_FLATTENS])
def concat(layer: LayerContext) -> SetUp:
    """The bottoms end to end along one axis.

    With per_fla_fuse each is flattened first from the channels on, and the axes after them stay with an extent of 1
    (MaxChanger and other forks of weiliu89/caffe, concat_layer.cpp).
    """
    parameter = layer.parameter.concat_param
    layer.require(
        not (parameter.HasField("axis") and parameter.HasField("concat_dim")),
        "Either axis or concat_dim should be specified; not both",
        axis=parameter.axis,
        concat_dim=parameter.concat_dim,
    )
    settled = [dims for dims in layer.bottoms if isinstance(dims, tuple)]
    unknown = [dims for dims in layer.bottoms if isinstance(dims, Unknown)]
    old = parameter.concat_dim if parameter.HasField("concat_dim") else None
    if not settled:
        axis = parameter.axis if old is None else old
        operation = operations.Concat(axis=axis, flatten=axis == 1 and layer.fork.flag(_FLATTENS, False))
        return SetUp([reduce(Unknown.__add__, unknown)], operation=operation)
    first = settled[0]
    axis = _axis(layer, first, parameter.axis, "concat_dim", old)
    flatten = axis == 1 and layer.fork.flag(_FLATTENS, False)
    if flatten:
        settled = [(*dims[:axis], count(dims, axis), *(1,) * (len(dims) - axis - 1)) for dims in settled]
        first = settled[0]
    top = list(first)
    for dims in settled[1:]:
        layer.require(len(dims) == len(first), "All inputs must have the same #axes", shape=first, other=dims)
        for index, dim in enumerate(dims):
            if index == axis:
                top[axis] = top[axis] + dim
            elif differ(top[index], dim):
                layer.refuse(
                    "All inputs must have the same shape, except at concat_axis", shape=first, other=dims, axis=axis
                )
            elif isinstance(dim, int):
                top[index] = dim
    for open_bottom in unknown:
        top[axis] = top[axis] + open_bottom
    return SetUp([tuple(top)], operation=operations.Concat(axis=axis, flatten=flatten))


@register("Slice", bottoms=exactly(1), tops=at_least(1), keeps_shape_in_place=True)
def slice_(layer: LayerContext) -> SetUp:
    """Pieces of the bottom along one axis, cut at the slice_points, or of equal size if there are none."""
    parameter = layer.parameter.slice_param
    layer.require(
        not (parameter.HasField("axis") and parameter.HasField("slice_dim")),
        "Either axis or slice_dim should be specified; not both",
        axis=parameter.axis,
        slice_dim=parameter.slice_dim,
    )
    points = list(parameter.slice_point)
    if points:
        layer.require(
            len(points) == layer.num_tops - 1,
            "there must be one slice_point fewer than tops",
            slice_point=points,
            tops=layer.num_tops,
        )
        layer.require(
            all(before < after for before, after in zip([0, *points], points, strict=False)),
            "slice_point must increase",
            slice_point=points,
        )
    bottom = layer.bottoms[0]
    old = parameter.slice_dim if parameter.HasField("slice_dim") else None
    if isinstance(bottom, Unknown):
        open_points = tuple(points) or (None,) * (layer.num_tops - 1)
        operation = operations.Slice(axis=parameter.axis if old is None else old, points=open_points)
        return SetUp([bottom] * layer.num_tops, operation=operation)
    axis = _axis(layer, bottom, parameter.axis, "slice_dim", old)
    whole = bottom[axis]
    pieces: list[Dim]
    if points:
        if isinstance(whole, int):
            layer.require(
                layer.num_tops <= whole and points[-1] <= whole,
                f"slice axis {axis} is too short for its slice_points",
                slice_point=points,
                shape=bottom,
            )
        pieces = [after - before for before, after in zip([0, *points], [*points, whole], strict=True)]
    else:
        if isinstance(whole, int) and whole % layer.num_tops:
            layer.refuse(
                f"Number of top blobs ({layer.num_tops}) should evenly divide input slice axis ({whole})",
                shape=bottom,
                axis=axis,
            )
        pieces = [quotient(whole, layer.num_tops)] * layer.num_tops
    cuts: Extents = tuple(points) or tuple(known(pieces[0] * index) for index in range(1, layer.num_tops))
    shapes: dict[Dim, Dims] = {piece: (*bottom[:axis], piece, *bottom[axis + 1 :]) for piece in dict.fromkeys(pieces)}
    return SetUp([shapes[piece] for piece in pieces], operation=operations.Slice(axis=axis, points=cuts))


@register("Crop", bottoms=exactly(2), tops=exactly(1))
def crop(layer: LayerContext) -> SetUp:
    """The first bottom cut to the extents of the second, on `axis` and all after it."""
    parameter = layer.parameter.crop_param
    bottom, reference = layer.bottoms
    offsets = tuple(parameter.offset)
    if isinstance(bottom, Unknown):
        return SetUp([bottom], operation=operations.Crop(axis=parameter.axis, offsets=offsets))
    start = layer.axis(bottom, parameter.axis)
    layer.require(
        len(offsets) <= 1 or start + len(offsets) == len(bottom),
        "number of offset values specified must be equal to the number of dimensions following axis",
        offset=list(offsets),
        shape=bottom,
    )
    cut = len(bottom) - start
    offsets = (0,) * cut if not offsets else offsets * cut if len(offsets) == 1 else offsets
    operation = operations.Crop(axis=start, offsets=offsets)
    if isinstance(reference, Unknown):
        return SetUp([(*bottom[:start], *(reference,) * cut)], operation=operation)
    layer.require(
        len(reference) >= len(bottom), "the reference has fewer axes than the input", shape=bottom, reference=reference
    )
    for axis in range(start, len(bottom)):
        offset = offsets[axis - start]
        room, size = bottom[axis], reference[axis]
        if isinstance(room, int) and isinstance(size, int) and room - offset < size:
            layer.refuse(
                f"the crop for dimension {axis} is out-of-bounds with size {size} and offset {offset}",
                shape=bottom,
                reference=reference,
            )
    return SetUp([(*bottom[:start], *reference[start : len(bottom)])], operation=operation)


@register("Split", bottoms=exactly(1), tops=at_least(1))
def split(layer: LayerContext) -> SetUp:
    """Copies of the bottom."""
    layer.refuse_in_place()
    return SetUp([layer.bottoms[0]] * layer.num_tops, operation=operations.Split())


@register("Tile", bottoms=exactly(1), tops=exactly(1))
def tile(layer: LayerContext) -> SetUp:
    """The bottom repeated along one axis."""
    parameter = layer.parameter.tile_param
    layer.require(parameter.HasField("tiles"), "Number of tiles must be specified", tiles=None)
    layer.require(parameter.tiles > 0, "Number of tiles must be positive", tiles=parameter.tiles)
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        return SetUp([bottom], operation=operations.Tile(axis=parameter.axis, tiles=parameter.tiles))
    axis = layer.axis(bottom, parameter.axis)
    top = (*bottom[:axis], bottom[axis] * parameter.tiles, *bottom[axis + 1 :])
    return SetUp([top], operation=operations.Tile(axis=axis, tiles=parameter.tiles))


@register("Reshape", bottoms=exactly(1), tops=exactly(1))
def reshape(layer: LayerContext) -> SetUp:
    """The same values under another shape: 0 copies an extent of the bottom, one -1 is worked out."""
    layer.refuse_in_place()
    parameter = layer.parameter.reshape_param
    new = tuple(parameter.shape.dim)
    layer.require(len(new) <= MAX_AXES, f"a blob has at most {MAX_AXES} axes", axes=len(new))
    layer.require(
        new.count(-1) <= 1,
        "new shape contains multiple -1 dims; at most a single (1) value of -1 may be specified",
        dim=list(new),
    )
    layer.require(parameter.num_axes >= -1, "num_axes must be >= 0, or -1 for all", num_axes=parameter.num_axes)
    bottom = layer.bottoms[0]
    if isinstance(bottom, Unknown):
        num_axes = None if parameter.num_axes == -1 else parameter.num_axes
        return SetUp(
            [_reshape_unknown(layer, bottom, new, parameter.axis, parameter.num_axes)],
            operation=operations.Reshape(dims=new, axis=parameter.axis, num_axes=num_axes),
        )
    start = parameter.axis if parameter.axis >= 0 else len(bottom) + parameter.axis + 1
    layer.require(
        0 <= start <= len(bottom), f"axis {parameter.axis} out of range for {len(bottom)}-D input blob", shape=bottom
    )
    end = len(bottom) if parameter.num_axes == -1 else start + parameter.num_axes
    layer.require(
        end <= len(bottom),
        "end_axis = axis + num_axes is out of range",
        axis=start,
        num_axes=parameter.num_axes,
        shape=bottom,
    )
    copied = [start + index for index, dim in enumerate(new) if dim == 0]
    layer.require(
        all(axis < len(bottom) for axis in copied),
        "new shape contains a 0, but there was no corresponding bottom axis to copy",
        dim=list(new),
        shape=bottom,
    )
    middle: list[Dim] = [bottom[start + index] if dim == 0 else dim for index, dim in enumerate(new)]
    # What stands on both sides cancels, so that an unknown batch size hides nothing.
    kept = [*range(start), *range(end, len(bottom)), *copied]
    moved = [axis for axis in range(len(bottom)) if axis not in kept]
    repeated = [axis for index, axis in enumerate(kept) if axis in kept[:index]]
    have = count(bottom) if _known(bottom) else product(bottom[axis] for axis in moved)
    explicit = product(dim for dim in new if dim > 0) * product(
        bottom[axis] for axis in (kept if _known(bottom) else repeated)
    )
    if any(isinstance(bottom[axis], int) and bottom[axis] == 0 for axis in kept):
        # Nothing cancels against zero: both counts are 0, whatever is not known.
        have = explicit = 0
    if -1 in new:
        if isinstance(have, int) and isinstance(explicit, int) and (explicit == 0 or have % explicit):
            layer.refuse(
                f"bottom count ({have}) must be divisible by the product of the specified dimensions ({explicit})",
                dim=list(new),
                shape=bottom,
            )
        middle[new.index(-1)] = quotient(have, explicit)
    elif differ(have, explicit) and (_known(bottom) or all(bottom[axis] != 0 for axis in kept)):
        layer.refuse("output count must match input count", dim=list(new), shape=bottom)
    operation = operations.Reshape(dims=new, axis=start, num_axes=end - start)
    return SetUp([(*bottom[:start], *middle, *bottom[end:])], operation=operation)


def _reshape_unknown(layer: LayerContext, bottom: Unknown, new: tuple[int, ...], axis: int, num_axes: int) -> Dims:
    if axis < 0 or num_axes != -1:
        return bottom
    return layer.open_axes(bottom, axis) + tuple(dim if dim > 0 else bottom for dim in new)


def _known(dims: tuple[Dim, ...]) -> bool:
    return all(isinstance(dim, int) for dim in dims)


def _axis(layer: LayerContext, dims: tuple[Dim, ...], axis: int, old_name: str, old: int | None) -> int:
    """Return the axis that a layer means, by its field `axis` or the older, unsigned one."""
    if old is None:
        return layer.axis(dims, axis)
    layer.require(old < len(dims), f"{old_name} out of range", **{old_name: old, "shape": dims})
    return old
