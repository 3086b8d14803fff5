"""The checksum of a request, held against its definition in `filler.proto`."""

import struct
from typing import Any

from crc32c import crc32c
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter, NetState
from caffe_filler.understood import request_checksum
from caffe_filler.v1 import filler_pb2

Request = filler_pb2.FillRequest | filler_pb2.FillNetRequest


def integer(value: int) -> bytes:
    return (value % 2**64).to_bytes(8, "little")


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return integer(len(data)) + data


def listed(values: Any, entry: Any = integer) -> bytes:
    return integer(len(values)) + b"".join(entry(value) for value in values)


def optional(message: Any, field: str) -> bytes:
    return integer(1) + integer(getattr(message, field)) if message.HasField(field) else integer(0) + integer(0)


def axis(values: filler_pb2.Range) -> bytes:
    return integer(values.start) + optional(values, "stop")


def region_of(blob: filler_pb2.BlobSpec | filler_pb2.BlobSelection) -> bytes:
    if blob.region.HasField("flat"):
        return integer(1) + listed([blob.region.flat], axis)
    return integer(2) + listed(blob.region.box.axes, axis) if blob.region.HasField("box") else integer(0)


def filler_of(filler: FillerParameter) -> bytes:
    floats = struct.pack("<5f", filler.value, filler.min, filler.max, filler.mean, filler.std)
    part = text(filler.type) + floats + integer(filler.sparse) + integer(filler.variance_norm)
    if filler.type in ("constant", "gaussian", "uniform", "positive_unitball", "xavier", "msra", "bilinear"):
        return part
    return part + b"".join(integer(filler.HasField(name)) for name in ("value", "min", "max"))


def named_filler_of(named: filler_pb2.NamedFiller) -> bytes:
    return text(named.name) + filler_of(named.filler)


def spec_of(blob: filler_pb2.BlobSpec) -> bytes:
    part = text(blob.name) + listed(blob.shape.dim) + region_of(blob) + filler_of(blob.filler)
    axes = blob.axes
    return part + (listed(axes.inputs) + listed(axes.outputs) + listed(axes.stacks) if blob.HasField("axes") else b"")


def selection_of(blob: filler_pb2.BlobSelection) -> bytes:
    return text(blob.name) + region_of(blob)


def shape_of(named: filler_pb2.NamedShape) -> bytes:
    return text(named.name) + listed(named.shape.dim) + integer(named.shape.unknown_rank)


def net_of(plan: filler_pb2.PlanNetRequest) -> bytes:
    state = optional(plan.state, "phase") + optional(plan.state, "level") + listed(plan.state.stage, text)
    return (
        text(plan.net)
        + state
        + listed(plan.inputs, shape_of)
        + listed(plan.tops, shape_of)
        + integer(plan.strict)
        + integer(plan.lenient)
        + (listed(plan.fillers, named_filler_of) if plan.fillers else b"")
    )


def encoded(request: Request) -> bytes:
    """Return the encoding by its definition, value by value."""
    common = integer(request.seed) + integer(request.dtype) + integer(request.stream)
    if isinstance(request, filler_pb2.FillRequest):
        return common + listed(request.blobs, spec_of)
    nets = net_of(request.net) + listed(request.before, net_of)
    draws = integer(request.data_draws) + optional(request, "data_draw_count")
    return common + draws + nets + listed(request.blobs, selection_of)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
int64s = st.integers(-(2**63), 2**63 - 1)
optional_floats = st.none() | st.floats(width=32, allow_nan=False)
ranges = st.builds(filler_pb2.Range, start=st.integers(0, 2**40), stop=st.none() | st.integers(0, 2**40))
regions = st.none() | st.builds(
    filler_pb2.Region, box=st.none() | st.builds(filler_pb2.Box, axes=st.lists(ranges, max_size=3))
)
flat_regions = st.builds(filler_pb2.Region, flat=ranges)
fillers = st.builds(
    FillerParameter,
    type=st.none() | names | st.sampled_from(["msra", "orthogonal"]),
    value=optional_floats,
    min=optional_floats,
    std=optional_floats,
    sparse=st.none() | st.integers(-(2**31), 2**31 - 1),
    variance_norm=st.none() | st.sampled_from([0, 1, 2]),
)
numbers = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)
specs = st.builds(
    filler_pb2.BlobSpec,
    filler=st.none() | fillers,
    shape=st.builds(BlobShape, dim=st.lists(int64s, max_size=3)),
    name=names,
    region=regions | flat_regions,
    axes=st.none() | st.builds(filler_pb2.FanAxes, inputs=numbers, outputs=numbers, stacks=numbers),
)
shapes = st.builds(
    filler_pb2.NamedShape,
    name=names,
    shape=st.builds(filler_pb2.PartialShape, dim=st.lists(int64s, max_size=3), unknown_rank=st.booleans()),
)
states = st.builds(
    NetState,
    phase=st.none() | st.sampled_from([0, 1]),
    level=st.none() | st.integers(-(2**31), 2**31 - 1),
    stage=st.lists(names, max_size=2),
)
plans = st.builds(
    filler_pb2.PlanNetRequest,
    net=st.binary(max_size=40),
    state=st.none() | states,
    inputs=st.lists(shapes, max_size=2),
    tops=st.lists(shapes, max_size=2),
    strict=st.booleans(),
    lenient=st.booleans(),
    fillers=st.lists(st.builds(filler_pb2.NamedFiller, name=names, filler=st.none() | fillers), max_size=2),
)
# Numbers that no enum has, too: what a request asks for is said before it is known to be wrong.
enums = st.integers(-(2**31), 2**31 - 1) | st.integers(0, 3)
common: dict[str, Any] = {
    "seed": st.integers(0, 2**64 - 1),
    "dtype": enums,
    "stream": enums,
    "start": st.none() | st.builds(filler_pb2.Position, blob=st.integers(0, 9), offset=st.integers(0, 9)),
}
fills = st.builds(filler_pb2.FillRequest, blobs=st.lists(specs, max_size=3), **common)
net_fills = st.builds(
    filler_pb2.FillNetRequest,
    net=plans,
    before=st.lists(plans, max_size=2),
    data_draws=enums,
    blobs=st.lists(st.builds(filler_pb2.BlobSelection, name=names, region=regions), max_size=2),
    **common,
)


@given(fills | net_fills)
def test_the_definition(request: Request) -> None:
    before = request.SerializeToString()
    assert request_checksum(request) == crc32c(encoded(request))
    assert request.SerializeToString() == before


KNOWN = {
    "FillRequest": "blobs seed dtype stream",
    "BlobSpec": "filler shape name region axes",
    "FanAxes": "inputs outputs stacks",
    "FillerParameter": "type value min max mean std sparse variance_norm",
    "BlobShape": "dim",
    "Region": "box flat",
    "Box": "axes",
    "Range": "start stop",
    "FillNetRequest": "net seed dtype stream blobs data_draws before data_draw_count",
    "PlanNetRequest": "net state inputs tops strict lenient fillers",
    "NamedFiller": "name filler",
    "NetState": "phase level stage",
    "NamedShape": "name shape",
    "PartialShape": "dim unknown_rank",
    "BlobSelection": "name region",
}
LEFT_OUT = {"FillRequest.start", "FillNetRequest.start", "PlanNetRequest.draws"}
"""The start is that of the stream; draws are counted by PlanNet alone."""


def fields(descriptor: Any) -> set[str]:
    """Every field of a message and of those within it, as message.field."""
    found = set()
    for field in descriptor.fields:
        name = f"{descriptor.name}.{field.name}"
        found.add(name)
        if field.message_type is not None and name not in LEFT_OUT:
            found |= fields(field.message_type)
    return found


def test_a_field_that_is_added_to_a_request_is_added_to_its_checksum() -> None:
    found = fields(filler_pb2.FillRequest.DESCRIPTOR) | fields(filler_pb2.FillNetRequest.DESCRIPTOR)
    known = {f"{message}.{field}" for message, names in KNOWN.items() for field in names.split()}
    assert found == known | LEFT_OUT


def test_frozen_values() -> None:
    """Implementations in other languages must come to these values, too."""
    fill = filler_pb2.FillRequest(
        blobs=[
            filler_pb2.BlobSpec(
                filler=FillerParameter(type="gaussian", std=0.01, sparse=5),
                shape=BlobShape(dim=[64, 3, 7, 7]),
                name="conv1/0",
                region=filler_pb2.Region(flat=filler_pb2.Range(start=0, stop=4096)),
            )
        ],
        seed=2**64 - 1,
        dtype=filler_pb2.FLOAT16,
        stream=filler_pb2.CAFFE,
        start=filler_pb2.Position(blob=1),
    )
    assert request_checksum(fill) == 0xD8E11FCB
    net = filler_pb2.FillNetRequest(
        net=filler_pb2.PlanNetRequest(
            net=b'name: "net"',
            state=NetState(phase=1, stage=["deploy"]),
            inputs=[filler_pb2.NamedShape(name="data", shape=filler_pb2.PartialShape(dim=[10, 3, -1, -1]))],
        ),
        seed=1701,
        blobs=[filler_pb2.BlobSelection(name="ip/0")],
    )
    assert request_checksum(net) == 0x74BBC843
    net.net.fillers.add(name="ip/0", filler=FillerParameter(type="msra", variance_norm=1))
    assert request_checksum(net) == 0xA50878F9


@given(fills | net_fills, st.data())
def test_a_flipped_bit_changes_the_checksum_or_means_nothing(request: Request, data: st.DataObject) -> None:
    request.ClearField("start")
    sent = request.SerializeToString()
    if not sent:
        return
    flipped = bytearray(sent)
    flipped[data.draw(st.integers(0, len(sent) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        understood = type(request).FromString(bytes(flipped))
    except DecodeError:
        return
    assert encoded(understood) == encoded(request) or request_checksum(understood) != request_checksum(request)
