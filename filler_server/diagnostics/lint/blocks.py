"""Blocks of parameters that the type of their layer does not read."""

from collections.abc import Iterator

from caffe_filler.caffe import caffe_pb2
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import NetFile
from filler_server.net.registry import LayerType, resolve_layer_type

_BLOCKS = {
    field.name.removesuffix("_param").replace("_", ""): field.name
    for field in caffe_pb2.LayerParameter.DESCRIPTOR.fields
    if field.name.endswith("_param") and field.name not in ("transform_param", "loss_param")
}
"""The blocks that layers of one kind read, by the name of its type in lower case."""

_OTHERS = {
    "Deconvolution": ("convolution_param",),
    "Im2col": ("convolution_param",),
    "InfogainLoss": ("softmax_param",),
    "LSTM": ("recurrent_param",),
    "RNN": ("recurrent_param",),
    "SoftmaxWithLoss": ("softmax_param",),
}
"""Blocks that are not called as the type that reads them."""


@register(
    "FIL060",
    "ignored-block",
    "warning",
    why="Caffe reads the parameters of a layer from the block of its type; what another block says does nothing.",
    mend="Remove the block, or move what it says into the block of the type.",
    scope="file",
)
def ignored_blocks(file: NetFile) -> Iterator[Hit]:
    """Find blocks of other types in layers of BVLC's types; what forks read besides is not known."""
    unknown = file.document.unknown or ({},) * len(file.layers)
    for index, layer in enumerate(file.layers):
        kind = resolve_layer_type(layer.type, unknown[index])
        if kind is None or kind.fork:
            continue
        read = _read_by(kind)
        for field, _ in layer.ListFields():
            if field.name in _BLOCKS.values() and field.name not in read:
                reads = f", which reads {' and '.join(sorted(read))}" if read else ""
                message = f"{field.name} does nothing in a layer of type {kind.name}{reads}"
                yield Hit(message, index, (field.name,))


def _read_by(kind: LayerType) -> set[str]:
    own = _BLOCKS.get(kind.name.lower())
    of_forks = {path.partition(".")[0] for path in kind.fork_fields} & {*_BLOCKS.values()}
    return {*_OTHERS.get(kind.name, ()), *of_forks, *([own] if own else [])}
