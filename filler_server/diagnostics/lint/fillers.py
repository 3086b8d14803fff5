"""Fillers that cannot fill, and fields that they do not read."""

from collections.abc import Iterator
from typing import Any

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import FillerError, ShapeError
from filler_server.diagnostics.lint.hits import Hit, Mender
from filler_server.diagnostics.lint.registry import register
from filler_server.diagnostics.lint.subject import Net, NetFile
from filler_server.fillers import get_filler
from filler_server.fillers.factory import registered
from filler_server.net.plan import Blob, Layer

_FILLER = caffe_pb2.FillerParameter.DESCRIPTOR


@register(
    "FIL005",
    "ignored-filler-field",
    "warning",
    why="Caffe reads no such field in a filler of this type, so that the number in it does nothing.",
    mend="Remove the field, or take a filler that reads it.",
    scope="file",
    fixes=True,
)
def ignored_fields(file: NetFile) -> Iterator[Hit]:
    """Find fields of fillers that their type does not read, and that are not at their default."""
    for index, layer in enumerate(file.layers):
        for path, filler in fillers_of(layer):
            kind = registered().get(filler.type)
            if kind is None or not kind.in_caffe:
                continue
            for field, value in filler.ListFields():
                if field.name not in ("type", "sparse", *kind.fields) and value != field.default_value:
                    reads = f"which reads {', '.join(kind.fields)}" if kind.fields else "which reads no field"
                    message = f"{field.name} does nothing in a filler of type '{filler.type}', {reads}"
                    yield Hit(message, index, (*path, field.name), mender=_without(path, field.name))


@register(
    "FIL006",
    "refused-filler",
    "error",
    why="Caffe ends with an error at a filler of an unknown type, or with values that it cannot work with.",
    mend="Take one of the known types, with values that it can work with.",
    scope="file",
)
def refused_fillers(file: NetFile) -> Iterator[Hit]:
    """Find fillers that no blob can be filled with."""
    for index, layer in enumerate(file.layers):
        for path, filler in fillers_of(layer):
            try:
                get_filler(filler)
            except FillerError as error:
                field = error.field if isinstance(error.field, str) else "type"
                yield Hit(error.reason, index, (*path, field))


@register(
    "FIL017",
    "filler-of-other-shape",
    "error",
    why="Some fillers can fill blobs of some shapes only, and Caffe ends with an error at others.",
    mend="Take a filler for this shape.",
)
def fillers_of_other_shapes(net: Net) -> Iterator[Hit]:
    """Find blobs whose filler cannot fill their shape."""
    for place, layer, number, blob in _filled_blobs(net):
        shape = blob.known_shape
        if shape is None or blob.owner is not None:
            continue
        try:
            filler = get_filler(blob.filler)
        except FillerError:
            continue
        try:
            filler.check(shape)
        except ShapeError as error:
            yield Hit(f"blob {number}: {error.reason}", place, _path(layer.definition, number))
        except FillerError:
            # Of a number that does not fit the shape, another rule tells.
            continue


@register(
    "FIL018",
    "sparse-above-outputs",
    "error",
    why="Caffe keeps a weight with probability sparse / num_output, and ends with an error where that is above 1.",
    mend="Set sparse to at most num_output, or leave it out.",
)
def sparse_above_outputs(net: Net) -> Iterator[Hit]:
    """Find gaussian fillers that are to keep more inputs of each output than their blob has outputs."""
    for place, layer, number, blob in _filled_blobs(net):
        first = blob.shape[0] if blob.shape else None
        if blob.filler.type == "gaussian" and first is not None and blob.filler.sparse > first:
            message = f"sparse is {blob.filler.sparse}, and the first axis of the blob has {first}"
            yield Hit(message, place, (*_path(layer.definition, number), "sparse"))


@register(
    "FIL016",
    "unitball-of-single-values",
    "warning",
    why="positive_unitball divides each row by its sum, so that rows of one value are all 1.",
    mend="Take another filler for a blob of one axis, such as constant.",
)
def unitball_of_single_values(net: Net) -> Iterator[Hit]:
    """Find positive_unitball on blobs with one value in each row, such as a bias."""
    for place, layer, number, blob in _filled_blobs(net):
        shape = blob.known_shape
        if shape and blob.filler.type == "positive_unitball" and blob.count == shape[0]:
            message = "each row of the blob has one value, which positive_unitball makes 1"
            yield Hit(message, place, _path(layer.definition, number))


@register(
    "FIL019",
    "sharer-with-own-filler",
    "warning",
    why="Layers that share a blob have the values that its first owner is filled with; other fillers are not used.",
    mend="Give all layers that share it the same filler.",
)
def sharers_with_own_fillers(net: Net) -> Iterator[Hit]:
    """Find blobs that are shared although their filler is not that of their owner."""
    by_name = {blob.name: blob for blob in net.plan.blobs}
    for position, layer in enumerate(net.plan.layers):
        for number, blob in enumerate(layer.blobs):
            owner = None if blob.owner is None else by_name.get(blob.owner)
            if owner is None or blob.filler == owner.filler or blob.filler == caffe_pb2.FillerParameter():
                continue
            message = (
                f"blob {number} is shared with '{owner.name}', whose filler of type '{owner.filler.type}' counts; "
                f"this one of type '{blob.filler.type}' does nothing"
            )
            yield Hit(message, net.places[position], _path(layer.definition, number))


def fillers_of(layer: caffe_pb2.LayerParameter) -> Iterator[tuple[tuple[str, ...], caffe_pb2.FillerParameter]]:
    """Yield the fillers of a layer that BVLC's schema has, each with its path."""
    for block, message in layer.ListFields():
        if block.message_type is None or block.is_repeated:
            continue
        for field, value in message.ListFields():
            if field.message_type == _FILLER:
                values = value if field.is_repeated else [value]
                for number, filler in enumerate(values):
                    yield (block.name, f"{field.name}[{number}]" if number else field.name), filler


def _filled_blobs(net: Net) -> Iterator[tuple[int | None, Layer, int, Blob]]:
    """Yield the blobs that do not have their values in the net: place and layer, the blob's index, and itself."""
    for place, layer in zip(net.places, net.plan.layers, strict=True):
        for number, blob in enumerate(layer.blobs):
            if not blob.given:
                yield place, layer, number, blob


def _path(layer: caffe_pb2.LayerParameter | None, number: int) -> tuple[str, ...]:
    """Return the path of the filler of a blob, in the order in which Caffe's layers name theirs."""
    paths = [] if layer is None else [path for path, _ in fillers_of(layer)]
    wanted = "bias_filler" if number else "weight_filler"
    return next((path for path in paths if path[1] == wanted), paths[0] if len(paths) == 1 else ())


def _without(path: tuple[str, ...], field: str) -> Mender:
    """Return what takes a field out of the filler on a path."""

    def mend(layer: caffe_pb2.LayerParameter) -> None:
        block: Any = getattr(layer, path[0])
        name, _, index = path[1].partition("[")
        filler = getattr(block, name)
        if filler is not None and hasattr(filler, "add"):
            filler = filler[int(index.rstrip("]") or 0) if index else 0]
        filler.ClearField(field)

    return mend
