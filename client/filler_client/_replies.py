"""Answers of one message: measured before they are read, then compared with what was asked."""

from math import prod
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from google.protobuf.message import DecodeError, Message

from caffe_filler.caffe.caffe_pb2 import FillerParameter, NetState, Phase
from caffe_filler.errors import DataLoss
from caffe_filler.filler_types import CAFFE_FILLERS, WITH_DEFAULTS_OF_THEIR_OWN
from caffe_filler.v1 import filler_pb2
from caffe_filler.wire import LEN, Malformed, fields
from filler_client._answer import MAX_AXES, shape_text, short

if TYPE_CHECKING:
    from filler_server.net.plan import NetPlan

_Response = TypeVar("_Response", bound=Message)

_BYTES, _BYTES_PER_BYTE = 1 << 20, 64
_FIELDS, _FIELDS_PER_BYTE = 1 << 16, 16
"""Length and fields of an answer, and how many more for each byte of its request: several times what servers send."""

_SMALL = 128 << 10
"""Bytes of an answer of which the fields need not be counted: each may take a hundred bytes of memory."""

_UNKNOWN = -1


def read_fillers(data: bytes, request: filler_pb2.ListFillersRequest) -> filler_pb2.ListFillersResponse:
    """Return the answer of a ListFillers.

    Raises:
        DataLoss: it is none.
    """
    response = _parsed(filler_pb2.ListFillersResponse, data, request)
    types = [filler.type for filler in response.fillers]
    if not all(types) or len(set(types)) < len(types):
        _refuse("ListFillers", f"each filler has a type of its own. Received: {', '.join(map(repr, types))[:200]}")
    return response


def read_plan(data: bytes, request: filler_pb2.PlanNetRequest) -> "NetPlan":
    """Return the plan that is the answer of a PlanNet.

    Raises:
        DataLoss: it is none, contradicts itself, or is one to another request.
    """
    from filler_server.api.plan_wire import from_wire

    response = _parsed(filler_pb2.PlanNetResponse, data, request)
    _check_state(response, request)
    _check_plan(response)
    _check_fillers(response, request)
    return from_wire(response)


def read_upgrade(data: bytes, request: filler_pb2.UpgradeNetRequest) -> filler_pb2.UpgradeNetResponse:
    """Return the answer of an UpgradeNet.

    Raises:
        DataLoss: it is none, or contradicts itself.
    """
    response = _parsed(filler_pb2.UpgradeNetResponse, data, request)
    if response.kind not in ("net", "solver"):
        _refuse("UpgradeNet", f"a file is a net or a solver. Received: kind='{short(response.kind)}'")
    if not response.needs_upgrade and (response.changes or response.file != request.file):
        _refuse("UpgradeNet", "a file that needs no upgrade stays as it is. Received: another file")
    return response


def _parsed(kind: type[_Response], data: bytes, request: Message) -> _Response:
    asked = request.ByteSize()
    if len(data) > (most := _BYTES + _BYTES_PER_BYTE * asked):
        raise DataLoss(
            f"an answer to a request of {asked} bytes has at most {most} bytes. Received: {len(data)} bytes of a "
            f"{kind.DESCRIPTOR.name}"
        )
    try:
        if len(data) > _SMALL:
            check_fields(data, kind.DESCRIPTOR, _FIELDS + _FIELDS_PER_BYTE * asked)
        return kind.FromString(data)
    except (Malformed, DecodeError) as error:
        raise DataLoss(f"a message of {len(data)} bytes is not a {kind.DESCRIPTOR.name}") from error


def check_fields(data: bytes, descriptor: Any, most: int) -> None:
    """Count fields before they are read: one of two bytes may take a hundred in memory.

    Raises:
        DataLoss: there are too many.
        Malformed: the data is not a message.
    """
    count = 0
    messages: list[tuple[int, int, Any]] = [(0, len(data), descriptor)]
    while messages:
        start, stop, kind = messages.pop()
        for tag, begin, end, _ in fields(data, start, stop):
            count += 1
            if count > most:
                raise DataLoss(f"an answer to this request has at most {most} fields. Received: more of them")
            field = kind.fields_by_number.get(tag >> 3) if tag & 7 == LEN else None
            if field is not None and field.message_type is not None:
                messages.append((begin, end, field.message_type))


def _check_state(response: filler_pb2.PlanNetResponse, request: filler_pb2.PlanNetRequest) -> None:
    asked, planned = request.state, response.state
    if (
        (asked.HasField("phase") and planned.phase != asked.phase)
        or (asked.HasField("level") and planned.level != asked.level)
        or not set(asked.stage) <= set(planned.stage)
    ):
        _refuse("PlanNet", f"the state was {_state(asked)}. Received: {_state(planned)}")
    if response.sequential != request.HasField("draws"):
        asked_for = "" if request.HasField("draws") else "not "
        _refuse("PlanNet", f"draws were {asked_for}asked for. Received: sequential={response.sequential}")


def _check_plan(response: filler_pb2.PlanNetResponse) -> None:
    owners = {blob.name for layer in response.layers for blob in layer.blobs if not blob.owner}
    names: set[str] = set()
    parameters = 0
    for layer in response.layers:
        if layer.HasField("draws") != response.sequential:
            _refuse("PlanNet", f"all layers have draws or none. Received: '{short(layer.name)}' differs")
        for top in layer.tops:
            if not _is_shape(top.shape, least=0):
                _refuse("PlanNet", f"a top has a shape. Received: '{short(top.name)}' of {_dims(top.shape)}")
        for blob in layer.blobs:
            if blob.name in names:
                _refuse("PlanNet", f"each blob is in a plan once. Received: '{short(blob.name)}' twice")
            names.add(blob.name)
            if blob.owner and blob.owner not in owners:
                _refuse("PlanNet", f"an owner is a blob of the net. Received: owner='{short(blob.owner)}'")
            count = _checked_count(blob)
            parameters += 0 if blob.owner else count
    if parameters != response.parameters:
        _refuse("PlanNet", f"the blobs have {parameters} values. Received: parameters={response.parameters}")


def _check_fillers(response: filler_pb2.PlanNetResponse, request: filler_pb2.PlanNetRequest) -> None:
    named = {entry.name: entry.filler for entry in reversed(request.fillers)}
    for blob in (blob for layer in response.layers for blob in layer.blobs) if named else ():
        if blob.name in named and not _same_filler(blob.filler, named[blob.name]):
            _refuse("PlanNet", f"another filler was named for blob '{short(blob.name)}'. Received: its own")


def _same_filler(one: FillerParameter, other: FillerParameter) -> bool:
    """Whether two fillers are equal in all fields; in those of Caffe, whether a default is written or not."""
    if one.type not in CAFFE_FILLERS and any(
        one.HasField(name) != other.HasField(name) for name in WITH_DEFAULTS_OF_THEIR_OWN
    ):
        return False
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in FillerParameter.DESCRIPTOR.fields)
    return all(mine == yours or (mine != mine and yours != yours) for mine, yours in pairs)


def _checked_count(blob: filler_pb2.BlobPlan) -> int:
    """The number of values of a blob, 0 while it is not known."""
    if not isinstance(blob.filler.type, str):
        _refuse("PlanNet", f"the type of a filler is text. Received: {blob.filler.type[:200]!r}")
    if not _is_shape(blob.shape, least=1):
        _refuse("PlanNet", f"a blob has a shape. Received: '{short(blob.name)}' of {_dims(blob.shape)}")
    is_known = not blob.shape.unknown_rank and _UNKNOWN not in blob.shape.dim
    count = prod(blob.shape.dim) if is_known else None
    received = blob.count if blob.HasField("count") else None
    if received != count:
        _refuse(
            "PlanNet",
            f"blob '{short(blob.name)}' of {_dims(blob.shape)} has {_number(count)} values. "
            f"Received: {_number(received)}",
        )
    return count or 0


def _is_shape(shape: filler_pb2.PartialShape, *, least: int) -> bool:
    if shape.unknown_rank:
        return not shape.dim
    return len(shape.dim) <= MAX_AXES and all(dim >= least or dim == _UNKNOWN for dim in shape.dim)


def _dims(shape: filler_pb2.PartialShape) -> str:
    return f"{'unknown rank and ' if shape.unknown_rank else ''}shape {shape_text(shape.dim)}"


def _number(count: int | None) -> str:
    return "an unknown number of" if count is None else str(count)


def _state(state: NetState) -> str:
    return f"phase={Phase.Name(state.phase)}, level={state.level}, stages={[short(stage) for stage in state.stage[:9]]}"


def _refuse(method: str, text: str) -> NoReturn:
    raise DataLoss(f"the answer of {method} is wrong: {text}")
