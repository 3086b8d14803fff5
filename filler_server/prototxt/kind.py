"""Recognition of a file's message by its outermost fields: a net, a solver, or another one of Caffe's."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from google.protobuf.descriptor import FieldDescriptor

from caffe_filler.caffe import caffe_pb2
from caffe_filler.errors import PrototxtError
from caffe_filler.printable import counted
from caffe_filler.wire import I32, I64, LEN, VARINT
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.wire import check_wire, outermost_fields

FileKind: TypeAlias = Literal["net", "solver"]

_NET = caffe_pb2.NetParameter.DESCRIPTOR
_SOLVER = caffe_pb2.SolverParameter.DESCRIPTOR
_MESSAGES: dict[str, tuple[Any, str]] = {
    "net": (_NET, "a net"),
    "solver": (_SOLVER, "a solver"),
    "blob": (caffe_pb2.BlobProto.DESCRIPTOR, "a single blob, such as a mean"),
    "state": (caffe_pb2.SolverState.DESCRIPTOR, "the state of a solver"),
}
"""Messages that a file can be, and what to call them."""

_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: I64,
    FieldDescriptor.TYPE_STRING: LEN,
    FieldDescriptor.TYPE_BYTES: LEN,
    FieldDescriptor.TYPE_MESSAGE: LEN,
    FieldDescriptor.TYPE_FLOAT: I32,
}
"""Wire types of all fields but integers, booleans and enums, which are varints."""


def text_kind(names: Iterable[str]) -> FileKind:
    """The kind that has more of the fields with these names; a net if it is as many."""
    net = solver = 0
    for name in names:
        net += name in _NET.fields_by_name
        solver += name in _SOLVER.fields_by_name
    return "solver" if solver > net else "net"


def binary_kind(data: bytes, limits: ReadLimits) -> FileKind:
    """The kind that has more of the fields with these numbers and wire types.

    If it is as many, as in weights of a V1 net, it is a net if what would be its layers can be messages.

    Raises:
        PrototxtError: the data is not a message, or most of its fields are of neither kind.
        LimitExceeded: it is over `fields` or `layers`.
    """
    of_net, of_solver = _wire_fields(_NET), _wire_fields(_SOLVER)
    count = net = solver = 0
    for field in outermost_fields(data, limits):
        count += 1
        net += field in of_net
        solver += field in of_solver
    if 2 * max(net, solver) < count:
        known = f"{net} of its {count} outermost fields are a net's, {solver} a solver's"
        raise PrototxtError(
            f"a binary message, but neither a net nor a solver: {known}. Received: {counted(len(data), 'byte')}"
        )
    if net != solver:
        return "net" if net > solver else "solver"
    try:
        check_wire(data, _NET, limits)
    except PrototxtError:
        return "solver"
    return "net"


def refuse_other_kind(data: bytes, wanted: FileKind, limits: ReadLimits) -> None:
    """Refuse a binary file that is plainly another message than the wanted one.

    Raises:
        PrototxtError: naming what it is; or the data is not a message.
        LimitExceeded: it is over `fields` or `layers`.
    """
    fields = list(outermost_fields(data, limits))
    known = {kind: _wire_fields(message) for kind, (message, _) in _MESSAGES.items()}
    counts = {kind: sum(field in known[kind] for field in fields) for kind in _MESSAGES}
    most = max(counts, key=lambda kind: (counts[kind], kind == wanted))
    if most == "solver" or (wanted == "solver" and counts["net"] == counts[most]):
        most = binary_kind(data, limits)
    if most != wanted and counts[most]:
        raise PrototxtError(f"the file is {_MESSAGES[most][1]}, not a {wanted}. Received: {counted(len(data), 'byte')}")


def _wire_fields(kind: Any) -> frozenset[tuple[int, int]]:
    return frozenset((field.number, _WIRE_TYPES.get(field.type, VARINT)) for field in kind.fields)
