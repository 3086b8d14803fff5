"""The text of a net, brought to the current format."""

from collections.abc import Sequence

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.rewrite.message import Rewriter
from filler_server.prototxt.rewrite.printing import printed
from filler_server.prototxt.rewrite.syntax import Entry
from filler_server.prototxt.upgrade.padding import PADDING
from filler_server.prototxt.upgrade.v0 import is_v0

_INPUT = ("input", "input_shape", "input_dim")


def rewrite_net(
    rewriter: Rewriter, entries: Sequence[Entry], old: caffe_pb2.NetParameter, new: caffe_pb2.NetParameter
) -> None:
    """Edit a text that is read as `old` so that it is read as `new`, which the upgrade made of it.

    Args:
        rewriter: rewrites the text.
        entries: the outermost fields of the text.
        old: the net as it is written.
        new: the same layers in the same order, but for padding layers, which are gone; and maybe an Input layer first.
    """
    name = "layers" if old.layers else "layer"
    layers = [entry for entry in entries if entry.name == name]
    gone = _gone(old, new)
    others = [entry for entry in entries if entry.name != name and entry.name in gone]
    targets = _targets(old, new)
    added = len(new.layer) - sum(target is not None for target in targets)
    lines = printed(caffe_pb2.NetParameter(layer=new.layer[:added]))
    places = [entry for entry in others if entry.name in _INPUT and (not layers or entry.start < layers[0].start)]
    for entry in others:
        rewriter.remove(entry, old, lines=lines if places and entry is places[-1] else ())
    if lines and not places:
        rewriter.edits.insert_before(layers[0].start, lines)
    index = 0
    for entry in layers:
        end = index + len(entry.blocks)
        _rewrite_layers(rewriter, entry, old, index, targets[index:end])
        index = end


def _gone(old: caffe_pb2.NetParameter, new: caffe_pb2.NetParameter) -> set[str]:
    """Fields that the upgrade took out; `layer` is one if it is not what the layers of the net are in: a V0 net's."""
    before, after = ({field.name for field, _ in net.ListFields()} for net in (old, new))
    return before - after | {"layer"} if old.layers else before - after


def _targets(old: caffe_pb2.NetParameter, new: caffe_pb2.NetParameter) -> list[caffe_pb2.LayerParameter | None]:
    """The result for each layer; None for padding layers."""
    from_v0 = is_v0(old)
    stays = [not (from_v0 and layer.layer.type == PADDING) for layer in old.layers] or [True] * len(old.layer)
    upgraded = iter(new.layer[len(new.layer) - sum(stays) :])
    return [next(upgraded) if stay else None for stay in stays]


def _rewrite_layers(
    rewriter: Rewriter,
    entry: Entry,
    old: caffe_pb2.NetParameter,
    first: int,
    targets: Sequence[caffe_pb2.LayerParameter | None],
) -> None:
    """Rewrite a layer, or a list of them, which are those from index `first` on."""
    left = [target for target in targets if target is not None]
    if len(left) < len(targets):
        rewriter.remove(entry, old, lines=printed(caffe_pb2.NetParameter(layer=left)))
        return
    if old.layers:
        rewriter.edits.replace(entry.start, entry.start + len(entry.name), "layer")
    for index, (block, target) in enumerate(zip(entry.blocks, left, strict=True), first):
        rewriter.rewrite(block, old.layers[index] if old.layers else old.layer[index], target)
