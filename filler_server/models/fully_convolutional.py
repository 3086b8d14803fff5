"""Inner products over maps as convolutions, so that a net takes larger images (as in Caffe's net surgery example)."""

from collections.abc import Mapping
from math import isqrt, prod

from caffe_filler.caffe.caffe_pb2 import LayerParameter, NetParameter, NetState
from caffe_filler.errors import InvalidArgument, NetError
from caffe_filler.printable import shape_text
from filler_server.models.on_maps import works_on_maps
from filler_server.net.operations.inner_product import InnerProduct
from filler_server.net.plan import Layer, NetPlan, Shape, Value
from filler_server.prototxt.net_text import net_text

_FIELDS = ("num_output", "bias_term", "weight_filler", "bias_filler")
"""Fields that an inner product and a convolution share."""


def fully_convolutional(plan: NetPlan, counts: Mapping[str, int], *, deploy: bool = False) -> bytes:
    """Return a net, as text, whose inner products over maps are convolutions with the same numbers as weights.

    The first ones have the maps as large as they were in training for their kernels, and those that follow kernels of
    one value. Their tops are maps then, [N, num_output, rows, columns] for [N, num_output], and what follows works at
    each place as it did on the whole image.

    Args:
        plan: the net, with the inputs that it shall have.
        counts: numbers of values of its trained blobs, by their names; they tell how large the maps were.
        deploy: whether losses and accuracies will go.

    Raises:
        InvalidArgument: the net has no inner product over maps.
        NetError: it cannot be told how large the maps were; or a layer would compute something else of maps than of
            vectors.
    """
    maps: set[Value] = set()
    net = NetParameter(name=plan.name, state=NetState(phase=plan.state.phase))
    changed = 0
    for index, layer in enumerate(plan.layers):
        definition = net.layer.add()
        definition.CopyFrom(layer.parameter)
        # These are the layers of the state already.
        del definition.include[:]
        del definition.exclude[:]
        kernel = _kernel(plan, layer, maps, counts)
        if kernel is not None:
            _become_convolution(definition, kernel)
            changed += 1
        if kernel is not None or (maps.intersection(layer.producers) and works_on_maps(layer, definition, deploy)):
            maps.update(Value(index, top) for top in range(len(layer.tops)))
    if not changed:
        raise InvalidArgument("the net has no inner product over maps", field="fully_convolutional")
    return net_text(net, [layer.unknown for layer in plan.layers])


def _kernel(plan: NetPlan, layer: Layer, maps: set[Value], counts: Mapping[str, int]) -> tuple[int, int] | None:
    """Return the kernel with which a layer computes its inner product of maps, None where it is none of maps."""
    match layer.operation:
        case InnerProduct(axis=1, transpose=False, weight_bottom=False, bias_bottom=False, num_output=int(outputs)) if (
            outputs
        ):
            if layer.producers[0] in maps:
                return 1, 1
            shape = plan.top(layer.producers[0]).shape
            if shape is not None and len(shape) == 4:
                return _extents(layer, shape, counts.get(layer.blobs[0].owner or layer.blobs[0].name), outputs)
    return None


def _extents(layer: Layer, shape: Shape, count: int | None, outputs: int) -> tuple[int, int]:
    """Return height and width of the maps in training: as now where that fits the weights, else a square."""
    known = tuple(dim for dim in shape or () if dim is not None)[1:]
    if len(known) == 3 and count in (None, outputs * prod(known)):
        return known[1], known[2]
    if len(known) == 3 and count is not None and count % (outputs * known[0]) == 0:
        area = count // (outputs * known[0])
        if isqrt(area) ** 2 == area:
            return isqrt(area), isqrt(area)
    raise NetError(
        f"it cannot be told how large its maps were in training: they are {shape_text(shape)} now, and its weight has "
        f"{'no values' if count is None else f'{count} values'} for {outputs} outputs",
        layer=layer.name,
        line=layer.line,
    )


def _become_convolution(definition: LayerParameter, kernel: tuple[int, int]) -> None:
    before, after = definition.inner_product_param, definition.convolution_param
    for name in _FIELDS:
        if before.HasField(name):
            value = getattr(before, name)
            if isinstance(value, int):
                setattr(after, name, value)
            else:
                getattr(after, name).CopyFrom(value)
    after.kernel_h, after.kernel_w = kernel
    definition.type = "Convolution"
    definition.ClearField("inner_product_param")
    area = after.num_output * kernel[0] * kernel[1]
    for index, blob in enumerate(definition.blobs):
        values = len(blob.data) or len(blob.double_data)
        for former in ("num", "channels", "height", "width"):
            blob.ClearField(former)
        blob.shape.dim[:] = [values] if index else [after.num_output, values // area, *kernel]
