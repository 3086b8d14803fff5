"""What a reader hands on: a message and all that is known about where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Change, Problem
from filler_server.prototxt.unknown import Value

Format: TypeAlias = Literal["text", "binary"]


@dataclass(frozen=True, slots=True)
class NetDocument:
    """A net in the current format, read from a file of any age.

    Attributes:
        net: the net.
        problems: what was passed over or mended, in the order of the file; then what the upgrade could not keep.
        layer_lines: for each `net.layer` the line, from 1, on which it starts in the source; None where it has none.
        format: how the file was written.
        changes: what was brought to the current format.
        unknown: for each `net.layer` the values of fields and enums that the schema does not have, by their path in
            the layer, such as `permute_param` or `pooling_param.ceil_mode`; empty for binary input.
    """

    net: caffe_pb2.NetParameter
    problems: tuple[Problem, ...]
    layer_lines: tuple[int | None, ...]
    format: Format
    changes: tuple[Change, ...] = ()
    unknown: tuple[Mapping[str, list[Value]], ...] = ()


@dataclass(frozen=True, slots=True)
class SolverDocument:
    """A solver in the current format; nets inside it stand as they were written, as Caffe itself leaves them.

    Attributes:
        solver: the solver.
        problems: what was passed over or mended, in the order of the file.
        format: how the file was written.
        changes: what was brought to the current format.
    """

    solver: caffe_pb2.SolverParameter
    problems: tuple[Problem, ...]
    format: Format
    changes: tuple[Change, ...] = ()
