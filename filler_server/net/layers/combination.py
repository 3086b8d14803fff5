"""Layers that combine or choose values: Eltwise, Reduction, ArgMax, BatchReindex, Filter, Silence, HDF5Output."""

from caffe_filler.caffe import caffe_pb2
from filler_server.net.dimensions import Dim, Dims, Unknown, count, differ, refine, shapes_differ, text
from filler_server.net.layer import LayerContext, SetUp
from filler_server.net.operations import combination as operations
from filler_server.net.registry import at_least, exactly, register

_SINGLE_BATCH = "eltwise_param.allow_single_batch_input"


@register("Eltwise", bottoms=at_least(2), tops=exactly(1), fork_fields=[_SINGLE_BATCH])
def eltwise(layer: LayerContext) -> SetUp:
    """The shape that all bottoms have.

    With allow_single_batch_input a bottom of one item stands for each item of the first (MyCaffe/MyCaffe,
    EltwiseLayer.cs).
    """
    parameter = layer.parameter.eltwise_param
    layer.require(
        len(parameter.coeff) in (0, len(layer.bottoms)),
        "Eltwise Layer takes one coefficient per bottom blob",
        coeff=list(parameter.coeff),
        bottoms=len(layer.bottoms),
    )
    layer.require(
        parameter.operation != caffe_pb2.EltwiseParameter.PROD or not parameter.coeff,
        "Eltwise layer only takes coefficients for summation",
        coeff=list(parameter.coeff),
    )
    common = layer.bottoms[0]
    repeats = layer.fork.flag(_SINGLE_BATCH, False)
    for index, bottom in enumerate(layer.bottoms):
        dims = bottom
        if repeats and isinstance(dims, tuple) and dims[:1] == (1,):
            items = (common,) if isinstance(common, Unknown) else common[:1]
            dims = (*items, *dims[1:])
        if shapes_differ(common, dims):
            layer.refuse(
                f"bottom[0]: {text(common)}, bottom[{index}]: {text(dims)} must have the same shape",
                bottoms=list(layer.parameter.bottom),
            )
        common = refine(common, dims)
    name = caffe_pb2.EltwiseParameter.EltwiseOp.Name(parameter.operation).lower()
    coefficients = tuple(parameter.coeff) or (1.0,) * len(layer.bottoms)
    operation = operations.Eltwise(
        operation=name, coefficients=coefficients if name == "sum" else (), repeat_items=repeats
    )
    return SetUp([common], operation=operation)


@register("Reduction", bottoms=exactly(1), tops=exactly(1))
def reduction(layer: LayerContext) -> SetUp:
    """The axes before `axis`; the others are reduced to one number."""
    parameter = layer.parameter.reduction_param
    bottom = layer.bottoms[0]
    operation = operations.Reduction(
        operation=caffe_pb2.ReductionParameter.ReductionOp.Name(parameter.operation).lower(),
        axis=parameter.axis if isinstance(bottom, Unknown) else layer.axis(bottom, parameter.axis),
        coefficient=parameter.coeff,
    )
    if isinstance(bottom, Unknown):
        top: Dims = bottom if parameter.axis < 0 else layer.open_axes(bottom, parameter.axis)
        return SetUp([top], operation=operation)
    axis = layer.axis(bottom, parameter.axis)
    if parameter.operation in (caffe_pb2.ReductionParameter.SUM, caffe_pb2.ReductionParameter.MEAN):
        layer.require_values(count(bottom, axis), "what is reduced")
    return SetUp([bottom[:axis]], operation=operation)


@register("ArgMax", bottoms=exactly(1), tops=exactly(1))
def arg_max(layer: LayerContext) -> SetUp:
    """With `axis` the bottom with top_k there; else [N, 1, top_k, ...], or [N, 2, top_k, ...] with the values."""
    parameter = layer.parameter.argmax_param
    bottom, top_k = layer.bottoms[0], parameter.top_k
    layer.require(top_k >= 1, "top k must not be less than 1", top_k=top_k)
    axis = parameter.axis if parameter.HasField("axis") else None
    if axis is not None and isinstance(bottom, tuple):
        axis = layer.axis(bottom, axis)
    operation = operations.ArgMax(axis=axis, top_k=top_k, values=parameter.out_max_val)
    if isinstance(bottom, Unknown):
        return SetUp([bottom], operation=operation)
    if axis is not None:
        classes: Dim = bottom[axis]
    else:
        layer.axis(bottom, 0)
        classes = count(bottom, 1)
    if isinstance(classes, int):
        layer.require(
            top_k <= classes, "top_k must be less than or equal to the number of classes", top_k=top_k, shape=bottom
        )
    if axis is not None:
        return SetUp([(*bottom[:axis], top_k, *bottom[axis + 1 :])], operation=operation)
    top = (bottom[0], 2 if parameter.out_max_val else 1, top_k, *(1,) * (len(bottom) - 3))
    return SetUp([top], operation=operation)


@register("BatchReindex", bottoms=exactly(2), tops=exactly(1))
def batch_reindex(layer: LayerContext) -> SetUp:
    """The items of the first bottom that the second lists."""
    bottom, index = layer.bottoms
    length: Dim = index if isinstance(index, Unknown) else 0
    if isinstance(index, tuple):
        layer.require(len(index) == 1, "bottom[1] must have 1 axis", shape=index)
        length = index[0]
    top = bottom if isinstance(bottom, Unknown) else (length, *bottom[1:])
    return SetUp([top], operation=operations.BatchReindex())


@register("Filter", bottoms=at_least(2), tops=at_least(1))
def filter_(layer: LayerContext) -> SetUp:
    """The items of each bottom but the last that the last one selects; before any data, all of them."""
    *bottoms, selector = layer.bottoms
    layer.require(
        layer.num_tops == len(bottoms),
        "Filter Layer produces one top for each bottom but the selector",
        bottoms=len(layer.bottoms),
        tops=layer.num_tops,
    )
    items: Dim = selector if isinstance(selector, Unknown) else selector[layer.axis(selector, 0)]
    if isinstance(selector, tuple):
        for dim in selector[1:]:
            layer.require(
                not differ(dim, 1),
                "Selector blob dimensions must be singletons (1), except the first",
                selector=selector,
            )
    for dims in bottoms:
        if isinstance(dims, Unknown):
            continue
        own = dims[layer.axis(dims, 0)]
        if differ(own, items):
            layer.refuse(
                "Each bottom should have the same 0th dimension as the selector blob", shape=dims, selector=text(items)
            )
        items = items if isinstance(items, int) else own
    tops = [dims if isinstance(dims, Unknown) else (items, *dims[1:]) for dims in bottoms]
    return SetUp(tops, operation=operations.Filter())


@register("Silence", bottoms=at_least(1), tops=exactly(0))
def silence(layer: LayerContext) -> SetUp:
    """No top."""
    return SetUp([], operation=operations.Silence())


@register("HDF5Output", bottoms=exactly(2), tops=exactly(0))
def hdf5_output(layer: LayerContext) -> SetUp:
    """No top."""
    return SetUp([], operation=operations.HDF5Output(file_name=layer.parameter.hdf5_output_param.file_name))
