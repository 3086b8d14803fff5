"""The result of a reader: a message and all that is known about where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from caffe_filler.caffe import caffe_pb2
from filler_server.prototxt.report import Change, Problem
from filler_server.prototxt.unknown import PassedOver

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
        unknown: for each `net.layer` what the schema does not have, fields and values of enums, by its path in the
            layer, such as `permute_param` or `pooling_param.ceil_mode`. Of binary input only fields of forks whose
            number means the same in all of them. `type` is here if it is the name of a V1 type that BVLC lacks.
        v1_numbers: for each `net.layer` the number of its type in a binary V1 file, where forks have others under it;
            empty where no layer has one.
        open_inputs: names of inputs of the net that have no shape; they are not blobs of it.
    """

    net: caffe_pb2.NetParameter
    problems: tuple[Problem, ...]
    layer_lines: tuple[int | None, ...]
    format: Format
    changes: tuple[Change, ...] = ()
    unknown: tuple[Mapping[str, PassedOver], ...] = ()
    v1_numbers: tuple[int | None, ...] = ()
    open_inputs: PassedOver = field(default_factory=lambda: PassedOver([], []))


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
