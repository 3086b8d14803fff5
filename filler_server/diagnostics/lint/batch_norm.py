"""BatchNorm and the Scale that goes with it, as Caffe splits them."""

from collections.abc import Iterator

from caffe_filler.caffe import caffe_pb2
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net, NetFile
from filler_server.net.operations.normalization import BatchNorm, Bias, Scale
from filler_server.net.plan import Layer, Value

_SCALES = ("scale_bias", "scale_filler", "bias_filler")
"""Fields of NVIDIA's fork with which the layer has learnable blobs, too."""


@register(
    "FIL022",
    "batch-norm-learns",
    "warning",
    why="The blobs of a BatchNorm are statistics, which a solver must not change.",
    mend="Remove the param of the layer, or set lr_mult and decay_mult to 0 in each.",
    scope="file",
    fixes=True,
)
def batch_norm_learns(file: NetFile) -> Iterator[Hit]:
    """Find BatchNorm layers with a lr_mult other than 0, those included that the upgrade sets to 0."""
    unknown = file.document.unknown or ({},) * len(file.layers)
    for index, layer in enumerate(file.layers):
        has_scale = any(f"batch_norm_param.{name}" in unknown[index] for name in _SCALES)
        if layer.type != "BatchNorm" or has_scale or len(layer.param) > 3:
            continue
        if any(spec.lr_mult for spec in layer.param) or _was_to_learn(file, index):
            yield Hit("lr_mult of its statistics is not 0", index, ("param",), mender=_freeze)


@register(
    "FIL023",
    "batch-norm-without-scale",
    "warning",
    why="Caffe's BatchNorm only normalizes: without a Scale after it the layer cannot choose the size and the place of "
    "its values, as in the paper and in every other framework.",
    mend='Add a layer of type "Scale" with scale_param { bias_term: true } after it.',
    collapse=True,
)
def batch_norm_without_scale(net: Net) -> Iterator[Hit]:
    """Find BatchNorm layers over features that no Scale reads, in front of something nonlinear."""
    for index, layer in enumerate(net.plan.layers):
        operation = layer.operation
        if not isinstance(operation, BatchNorm) or operation.scale_bias or net.flow.is_from_data(layer.producers[0]):
            continue
        readers = _readers(net, index)
        if any(isinstance(reader.operation, Scale | Bias) for reader in readers) or _is_absorbed(net, index):
            continue
        kinds = {reader.type for reader in readers}
        message = f"no Scale reads this BatchNorm, only {', '.join(sorted(kinds))}"
        yield Hit(message, net.places[index])


@register(
    "FIL024",
    "scale-without-bias",
    "warning",
    why="Scale has no bias unless it is asked for one, so that the values after a BatchNorm cannot be moved.",
    mend="Add bias_term: true to its scale_param.",
    collapse=True,
)
def scale_without_bias(net: Net) -> Iterator[Hit]:
    """Find Scale layers after a BatchNorm that have no bias, in front of something nonlinear."""
    for index, layer in enumerate(net.plan.layers):
        operation, producer = layer.operation, net.producer(layer)
        if not isinstance(operation, Scale) or operation.bias or operation.from_bottom or producer is None:
            continue
        if not isinstance(producer.operation, BatchNorm) or _is_absorbed(net, index):
            continue
        if not any(isinstance(reader.operation, Bias) for reader in _readers(net, index)):
            yield Hit("the Scale of this BatchNorm has no bias", net.places[index], ("scale_param",))


@register(
    "FIL025",
    "global-stats-in-train",
    "warning",
    why="With use_global_stats: true the statistics stay what they are, at first 0 / 0, so that nothing is normalized "
    "while the net is trained from the start.",
    mend="Leave use_global_stats out: Caffe then uses those of the batch in TRAIN and the stored ones in TEST.",
    collapse=True,
)
def global_stats_in_train(net: Net) -> Iterator[Hit]:
    """Find BatchNorm layers that use stored statistics in training, unless all around them is frozen."""
    if not net.training or net.file.trained:
        return
    for index, layer in enumerate(net.plan.layers):
        operation = layer.operation
        if isinstance(operation, BatchNorm) and operation.use_global_stats and not _is_frozen(net, index):
            message = "use_global_stats is true in TRAIN"
            yield Hit(message, net.places[index], ("batch_norm_param", "use_global_stats"))


@register(
    "FIL026",
    "batch-stats-in-test",
    "warning",
    why="With use_global_stats: false a net that is tested uses the statistics of each batch: results depend on what "
    "else is in it, and with a batch of 1 they are useless.",
    mend="Leave use_global_stats out: Caffe then uses those of the batch in TRAIN and the stored ones in TEST.",
    collapse=True,
)
def batch_stats_in_test(net: Net) -> Iterator[Hit]:
    """Find BatchNorm layers that use the statistics of the batch in TEST."""
    if net.plan.phase != "TEST":
        return
    for index, layer in enumerate(net.plan.layers):
        if isinstance(layer.operation, BatchNorm) and not layer.operation.use_global_stats:
            message = "use_global_stats is false in TEST"
            yield Hit(message, net.places[index], ("batch_norm_param", "use_global_stats"))


def _was_to_learn(file: NetFile, index: int) -> bool:
    """Whether a `param` of a layer has a lr_mult other than 0 in the text, which the upgrade has made 0."""
    place = file.blocks[index] if file.blocks else None
    if place is None or file.source is None:
        return False
    for spec in (block for entry in place[1].entries if entry.name == "param" for block in entry.blocks):
        rates = [entry for entry in spec.entries if entry.name == "lr_mult"]
        if not rates or file.source.text[rates[-1].value : rates[-1].value_end].strip("-0.f") != "":
            return True
    return False


def _freeze(layer: caffe_pb2.LayerParameter) -> None:
    for spec in layer.param:
        spec.lr_mult = spec.decay_mult = 0


def _readers(net: Net, index: int) -> list[Layer]:
    return [net.plan.layers[edge.reader] for edge in net.plan.readers(Value(index, 0))]


def _is_absorbed(net: Net, index: int) -> bool:
    """Whether all that follows are layers with weights, which do a scale's work as well, or the end of the net."""
    return net.flow.after(index) <= {"weight", "end"}


def _is_frozen(net: Net, index: int) -> bool:
    """Whether the layer before a BatchNorm, or the Scale after it, is not trained: it is to stay as it was."""
    before = net.producer(net.plan.layers[index])
    around = [*([] if before is None else [before]), *_readers(net, index)]
    return any(layer.blobs and layer.parameter.param and not layer.parameter.param[0].lr_mult for layer in around)
