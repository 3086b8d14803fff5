"""A model in a file: its message written around the learned tensors, which are never in memory as a whole."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper

from caffe_filler.wire import LEN, key, varint
from filler_server.models.onnx.layer import Weight
from filler_server.models.onnx.model import Model
from filler_server.output import AtomicFile
from filler_server.tensors import Advance, Tensor
from filler_server.tensors.copying import append_range

LONGEST_MESSAGE = (1 << 31) - 1
"""In bytes: protobuf reads no longer one."""

_ALIGNMENT = 4096
"""Learned tensors in a file of their own begin at such places, so that runtimes can map them into memory."""

_COPIED_AT_ONCE = 32 << 20
_DTYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}


def save(
    model: Model,
    path: Path,
    *,
    external: bool | None = None,
    metadata: Callable[[], Mapping[str, str]] = lambda: MappingProxyType({}),
    advance: Advance | None = None,
) -> tuple[Path, ...]:
    """Write a model to a file, which appears when it is complete.

    Where the bytes of a tensor lie in a file as they will be written, the system copies them from file to file.

    Args:
        model: the model.
        path: where to.
        external: whether the learned tensors stand in a file of their own beside it, `<name>.data`; by default if they
            are too long for one message.
        metadata: returns what the model says of itself; it is asked last, when all else is written.
        advance: is told the bytes of each step.

    Returns:
        The file of the model, then the other one if there is one.

    Raises:
        FillerError: the values of a tensor cannot be had.
        OSError: a file cannot be read or written.
    """
    total = sum(weight.tensor.nbytes for weight in model.weights)
    graph = model.message.graph.SerializeToString()
    if external is None:
        external = total + len(graph) + (1 << 20) > LONGEST_MESSAGE
    files = [AtomicFile(path)]
    try:
        if external:
            files.append(AtomicFile(path.with_name(f"{path.name}.data")))
            heads = _write_apart(files[1].file, model.weights, files[1].files[0].name, advance)
            _write_message(files[0].file, model.message, graph, heads)
        else:
            heads = [_head(weight).SerializeToString() for weight in model.weights]
            _write_message(files[0].file, model.message, graph, heads, model.weights, advance)
        properties = ModelProto()
        helper.set_model_props(properties, dict(metadata()))
        files[0].file.write(properties.SerializeToString())
        for file in reversed(files):
            file.commit()
    except BaseException:
        for file in files:
            with suppress(OSError):
                file.discard()
        raise
    return tuple(named for file in files for named in file.files)


def _write_message(
    file: BinaryIO,
    message: ModelProto,
    graph: bytes,
    heads: Sequence[bytes],
    weights: Sequence[Weight] = (),
    advance: Advance | None = None,
) -> None:
    """Write a model: its fields but for the graph, and the graph with an initializer for each head."""
    around = ModelProto()
    around.CopyFrom(message)
    around.ClearField("graph")
    file.write(around.SerializeToString())
    contents: list[tuple[bytes, Tensor | None]] = []
    for number, head in enumerate(heads):
        tensor = weights[number].tensor if weights else None
        length = 0 if tensor is None else tensor.nbytes
        start = b"" if tensor is None else _field(TensorProto, "raw_data", length)
        contents.append((_field(GraphProto, "initializer", len(head) + len(start) + length) + head + start, tensor))
    total = sum(len(start) + (0 if tensor is None else tensor.nbytes) for start, tensor in contents)
    file.write(_field(ModelProto, "graph", len(graph) + total))
    file.write(graph)
    for start, tensor in contents:
        file.write(start)
        if tensor is not None:
            _write_values(file, tensor, advance)


def _write_apart(file: BinaryIO, weights: Sequence[Weight], name: str, advance: Advance | None) -> list[bytes]:
    """Write tensors to a file of their own, and return the initializers that say where they are."""
    heads = []
    for weight in weights:
        file.write(bytes(-file.tell() % _ALIGNMENT))
        head = _head(weight)
        head.data_location = TensorProto.EXTERNAL
        for setting, value in (("location", name), ("offset", file.tell()), ("length", weight.tensor.nbytes)):
            entry = head.external_data.add()
            entry.key, entry.value = setting, str(value)
        heads.append(head.SerializeToString())
        _write_values(file, weight.tensor, advance)
    return heads


def _write_values(file: BinaryIO, tensor: Tensor, advance: Advance | None) -> None:
    for nbytes in _copied(file, tensor):
        if advance is not None:
            advance(nbytes, tensor.name)


def _copied(file: BinaryIO, tensor: Tensor) -> Iterator[int]:
    """Write the values of a tensor; yield the bytes of each step."""
    place = tensor.place
    if place is not None:
        for start in range(0, tensor.nbytes, _COPIED_AT_ONCE):
            length = min(_COPIED_AT_ONCE, tensor.nbytes - start)
            append_range(file, place.file.fileno(), place.offset + start, length)
            yield length
        return
    for block in tensor.blocks():
        values = np.ascontiguousarray(block)
        file.write(values.view(np.uint8).data)
        yield values.nbytes


def _head(weight: Weight) -> TensorProto:
    """Return an initializer without its values."""
    return TensorProto(name=weight.name, dims=weight.shape, data_type=_DTYPES[weight.tensor.dtype.name])


def _field(message: Any, name: str, length: int) -> bytes:
    """Return what stands before the bytes of a field."""
    number = message.DESCRIPTOR.fields_by_name[name].number
    return key(number, LEN) + varint(length)
