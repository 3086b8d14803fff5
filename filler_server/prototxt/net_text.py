"""Nets as text, with the fields of forks that their messages cannot hold."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from google.protobuf import text_encoding, text_format
from google.protobuf.message import Message

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.unknown import PassedOver, Value

_Tree: TypeAlias = dict[str, "list[Value] | _Tree"]
"""The values of a field by its name, or what is inside of a block."""

_PLAIN = re.compile(r"-?[A-Za-z0-9_.][A-Za-z0-9_.+-]*")
"""Numbers and words that need no quotes."""

_TEXTS = ("type",)
"""Fields of BVLC that are text, and may be passed over."""


def net_text(net: caffe_pb2.NetParameter, unknown: Sequence[Mapping[str, PassedOver]]) -> bytes:
    """Return the text of a net, which the reader of this project takes for the same.

    Args:
        net: the net, in the current format.
        unknown: for each layer what was passed over when it was read, by its path in the layer.
    """
    head = caffe_pb2.NetParameter()
    head.CopyFrom(net)
    del head.layer[:]
    layers = [layer_text(*pair) for pair in zip(net.layer, unknown, strict=True)]
    return (text_format.MessageToString(head, as_utf8=True) + "".join(layers)).encode()


def layer_text(parameter: caffe_pb2.LayerParameter, unknown: Mapping[str, PassedOver]) -> str:
    """Return the text of a layer, which the reader of this project takes for the same.

    Args:
        parameter: the layer.
        unknown: what was passed over when it was read, by its path in the layer.
    """
    tree: _Tree = {}
    for path, passed_over in unknown.items():
        *blocks, name = path.split(".")
        inside = tree
        for block in blocks:
            within = inside.setdefault(block, {})
            if isinstance(within, dict):
                inside = within
        inside[name] = passed_over.values
    out = io.StringIO()
    out.write("layer {\n")
    _write(parameter, tree, out, 2)
    out.write("}\n")
    return out.getvalue()


def _write(message: Message, tree: _Tree, out: io.StringIO, indent: int) -> None:
    rest = dict(tree)
    for field, value in message.ListFields():
        inside = rest.get(field.name)
        if isinstance(inside, dict):
            del rest[field.name]
            out.write(f"{' ' * indent}{field.name} {{\n")
            _write(value, inside, out, indent + 2)
            out.write(f"{' ' * indent}}}\n")
        elif inside is None:
            for each in value if field.is_repeated else [value]:
                text_format.PrintField(field, each, out, indent=indent, as_utf8=True)
    _write_rest(rest, out, indent)


def _write_rest(tree: Mapping[str, "list[Value] | _Tree"], out: io.StringIO, indent: int) -> None:
    for name, values in tree.items():
        for value in [values] if isinstance(values, dict) else values:
            if isinstance(value, str):
                is_plain = _PLAIN.fullmatch(value) and name not in _TEXTS
                out.write(f"{' ' * indent}{name}: {value if is_plain else _quoted(value)}\n")
            else:
                out.write(f"{' ' * indent}{name} {{\n")
                _write_rest(value, out, indent + 2)
                out.write(f"{' ' * indent}}}\n")


def _quoted(text: str) -> str:
    return f'"{text_encoding.CEscape(text.encode(), False)}"'
