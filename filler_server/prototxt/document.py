"""What a reader hands on: a message and all that is known about where it came from."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Problem

Format: TypeAlias = Literal["text", "binary"]


@dataclass(frozen=True, slots=True)
class NetDocument:
    """A net in the current format, read from a file of any age.

    Attributes:
        net: the net.
        problems: what was passed over or mended, in the order of the file.
        layer_lines: for each `net.layer` the line, from 1, on which it starts in the source; None where it has none.
        format: how the file was written.
    """

    net: caffe_pb2.NetParameter
    problems: tuple[Problem, ...]
    layer_lines: tuple[int | None, ...]
    format: Format
