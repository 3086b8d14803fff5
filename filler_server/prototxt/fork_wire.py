"""Values of forks' fields in binary files, as they would be written in text."""

import struct

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from caffe_filler.caffe import caffe_pb2
from caffe_filler.wire import I32, LEN, VARINT, signed
from filler_server.prototxt.forks import ForkBlock, ForkField
from filler_server.prototxt.unknown import Value


def fork_values(known: ForkField, wire_type: int, data: int | bytes) -> list[Value]:
    """Return the value of a field as a list of one, empty if what the file has cannot be such a value.

    Args:
        known: the field.
        wire_type: how the value is written.
        data: the value: a number without sign, or bytes.
    """
    if isinstance(data, bytes):
        return _from_bytes(known, data) if wire_type == LEN else []
    if known.kind == "real":
        if wire_type == I32:
            return [repr(struct.unpack("<f", struct.pack("<I", data))[0])]
        return [str(signed(data))] if wire_type == VARINT else []
    if wire_type != VARINT or known.kind in ("block", "filler"):
        return []
    return [("true" if data else "false") if known.kind == "bool" else str(signed(data))]


def _from_bytes(known: ForkField, data: bytes) -> list[Value]:
    try:
        if known.block is not None:
            return [_block(known.block, data)]
        if known.kind == "filler":
            return [_filler(data)]
    except (DecodeError, _UnlikeIt):
        return []
    return [data.decode(errors="replace")] if known.kind == "word" else []


class _UnlikeIt(Exception):
    """A field is of another kind than it must be."""


def _block(block: ForkBlock, data: bytes) -> Value:
    values: dict[str, list[Value]] = {}
    for unknown in UnknownFieldSet(Empty.FromString(data)):  # type: ignore[attr-defined]
        known = block.numbers.get(unknown.field_number)
        if known is None:
            continue
        value = fork_values(known, unknown.wire_type, unknown.data)
        if not value:
            raise _UnlikeIt
        values.setdefault(known.name, []).extend(value)
    return values


def _filler(data: bytes) -> Value:
    return {
        field.name: [field.enum_type.values_by_number[value].name if field.enum_type is not None else str(value)]
        for field, value in caffe_pb2.FillerParameter.FromString(data).ListFields()
    }
