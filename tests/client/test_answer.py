"""The headers of a stream against its request: what servers send passes, and whatever else is data loss."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.caffe.caffe_pb2 import BlobShape
from caffe_filler.errors import DataLoss
from caffe_filler.understood import request_checksum
from caffe_filler.v1 import filler_pb2
from filler_client._answer import ExpectedStream, Extent, PlannedBlob
from filler_client._backend import StreamRequest
from filler_client._resume import StreamPosition
from filler_server.api import requests
from filler_server.api.limits import UNLIMITED
from filler_server.api.replies import blob_header
from filler_server.service.frames import frames
from tests.regions import shapes

bounds = st.none() | st.integers(0, 5)


@st.composite
def wire_ranges(draw: st.DrawFn, dim: int) -> filler_pb2.Range:
    start = draw(st.integers(0, dim))
    return filler_pb2.Range(start=start, stop=draw(st.none() | st.integers(start, dim)))


@st.composite
def wire_regions(draw: st.DrawFn, shape: tuple[int, ...]) -> filler_pb2.Region | None:
    """A region of a blob as callers say it: axes and stops left out, or none at all."""
    kind = draw(st.sampled_from(["none", "empty", "flat", "box"]))
    if kind == "flat":
        count = 1
        for dim in shape:
            count *= dim
        return filler_pb2.Region(flat=draw(wire_ranges(count)))
    if kind == "box":
        axes = [draw(wire_ranges(dim)) for dim in shape[: draw(st.integers(0, len(shape)))]]
        return filler_pb2.Region(box=filler_pb2.Box(axes=axes))
    return None if kind == "none" else filler_pb2.Region()


@st.composite
def fills(draw: st.DrawFn) -> filler_pb2.FillRequest:
    request = filler_pb2.FillRequest(
        dtype=draw(st.sampled_from(filler_pb2.DType.values())), seed=draw(st.integers(0, 2**64 - 1))
    )
    for number in range(draw(st.integers(1, 3))):
        shape = draw(shapes)
        spec = request.blobs.add(name=f"blob{number}", shape=BlobShape(dim=shape), region=draw(wire_regions(shape)))
        spec.filler.type = "constant"
    return request


def planned(request: filler_pb2.FillRequest) -> list[PlannedBlob]:
    return [PlannedBlob(spec.name, tuple(spec.shape.dim), "") for spec in request.blobs]


def selecting(request: filler_pb2.FillRequest) -> filler_pb2.FillNetRequest:
    """The same blobs, selected of a net."""
    blobs = [
        filler_pb2.BlobSelection(name=spec.name, region=spec.region if spec.HasField("region") else None)
        for spec in request.blobs
    ]
    return filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=b"net"), dtype=request.dtype, blobs=blobs)


@pytest.mark.parametrize("tells", [False, True])
def test_a_server_that_does_not_know_axes_is_found_out(tells: bool) -> None:
    request = filler_pb2.FillRequest(blobs=[{"shape": {"dim": [3, 4]}, "name": "w", "axes": {"inputs": [0]}}])
    request.blobs[0].filler.type = "constant"
    header = blob_header(requests.fill_job(request, UNLIMITED).tensors[0])
    expected = ExpectedStream(request)
    if tells:
        understood = filler_pb2.FillRequest()
        understood.CopyFrom(request)
        understood.blobs[0].ClearField("axes")
        header.request_crc32c = request_checksum(understood)
    with pytest.raises(DataLoss, match="answers another request than that for blob 0"):
        expected.check(0, header)
    header.request_crc32c = request_checksum(request)
    assert expected.check(0, header) == (3, 4)


@given(fills(), st.booleans())
def test_what_servers_announce_is_what_was_asked(request: filler_pb2.FillRequest, tells: bool) -> None:
    tensors = requests.fill_job(request, UNLIMITED).tensors
    selection = selecting(request)
    for asked, plan in ((request, None), (selection, None), (selection, planned(request))):
        expected = ExpectedStream(asked, plan)
        assert expected.count == len(tensors)
        for number, tensor in enumerate(tensors):
            header = blob_header(tensor)
            if tells:
                header.request_crc32c = request_checksum(asked)
            assert expected.check(number, header) == tensor.shape
            assert expected.check(number, header) == tensor.shape


@given(fills())
def test_a_whole_net(request: filler_pb2.FillRequest) -> None:
    for spec in request.blobs:
        spec.ClearField("region")
    tensors = requests.fill_job(request, UNLIMITED).tensors
    net = filler_pb2.FillNetRequest(net=filler_pb2.PlanNetRequest(net=b"any"), dtype=request.dtype)
    for plan in (None, planned(request)):
        expected = ExpectedStream(net, plan)
        for number, tensor in enumerate(tensors):
            assert expected.check(number, blob_header(tensor)) == tensor.shape


some_ranges = st.builds(filler_pb2.Range, start=st.integers(-1, 5), stop=bounds)
some_regions = st.none() | st.builds(filler_pb2.Region, flat=some_ranges)
some_boxes = st.builds(filler_pb2.Box, axes=st.lists(some_ranges, max_size=4))
changes: dict[str, Any] = {
    "name": st.sampled_from(["", "blob0", "blob1", "other"]),
    "shape": st.builds(BlobShape, dim=st.lists(st.integers(-1, 6), max_size=5)),
    "region": some_regions | st.builds(filler_pb2.Region, box=some_boxes),
    "dtype": st.integers(0, 5),
    "bytes": st.integers(0, 200) | st.just(2**64 - 4),
    "owner": st.sampled_from(["", "blob0"]),
    "request_crc32c": st.none() | st.integers(0, 2**32 - 1),
}


@given(fills(), st.sets(st.sampled_from(list(changes)), min_size=1), st.data())
def test_any_other_header_is_data_loss(request: filler_pb2.FillRequest, changed: set[str], data: st.DataObject) -> None:
    tensors = requests.fill_job(request, UNLIMITED).tensors
    number = data.draw(st.integers(0, len(tensors) - 1))
    right = blob_header(tensors[number])
    right.request_crc32c = request_checksum(request)
    header = filler_pb2.BlobHeader()
    header.CopyFrom(right)
    for field in sorted(changed):
        value = data.draw(changes[field])
        header.ClearField(field)  # type: ignore[arg-type]
        if value is not None:
            header.MergeFrom(filler_pb2.BlobHeader(**{field: value}))
    meaning, meant = ((entry.name, entry.shape, entry.dtype, entry.bytes, entry.owner) for entry in (header, right))
    same = meaning == meant and header.request_crc32c in (0, right.request_crc32c)
    same = same and Extent.of(header.region, tensors[number].blob_shape) == Extent.of(
        right.region, tensors[number].blob_shape
    )
    expected = ExpectedStream(request)
    if same and (header.HasField("request_crc32c") == (header.request_crc32c != 0)):
        assert expected.check(number, header) == tensors[number].shape
    else:
        with pytest.raises(DataLoss, match=r"Received: "):
            expected.check(number, header)


@given(fills(), st.data())
def test_damaged_streams_give_the_right_bytes_or_data_loss(
    request: filler_pb2.FillRequest, data: st.DataObject
) -> None:
    """Bytes changed, cut out, doubled: every piece that gets through has the values of its place."""
    job = requests.fill_job(request, UNLIMITED)
    contents = []
    for tensor in job.tensors:
        content = bytearray(tensor.nbytes)
        tensor.read_bytes(0, memoryview(content))
        contents.append(bytes(content))
    stream = list(frames(job.tensors, message_bytes=64, checksum=request_checksum(request)))
    number = data.draw(st.integers(0, len(stream) - 1))
    message = stream[number]
    at = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(at, min(len(message), at + 9)))
    stream[number] = message[:at] + data.draw(st.binary(max_size=9)) + message[end:]
    assert_right(request, stream, contents)


def assert_right(request: StreamRequest, stream: list[bytes], contents: list[bytes]) -> None:
    position = StreamPosition(ExpectedStream(request))
    received = [bytearray() for _ in contents]
    try:
        for message in stream:
            for piece in position.read(message):
                blob = int(piece.header.name.removeprefix("blob"))
                assert piece.offset == len(received[blob])
                received[blob] += piece.data
        position.check_complete()
    except DataLoss:
        for part, content in zip(received, contents, strict=True):
            assert content.startswith(bytes(part))
    else:
        assert [bytes(part) for part in received] == contents


@pytest.mark.parametrize(
    ("region", "shape", "extent"),
    [
        (filler_pb2.Region(), (2, 3), Extent(False, ((0, 2), (0, 3)))),
        (filler_pb2.Region(), (), Extent(False, ())),
        (filler_pb2.Region(flat=filler_pb2.Range(start=1)), (2, 3), Extent(True, ((1, 6),))),
        (filler_pb2.Region(flat=filler_pb2.Range(start=1)), (), Extent(True, ((1, 1),))),
        (filler_pb2.Region(flat=filler_pb2.Range(start=7)), (2, 3), None),
        (filler_pb2.Region(flat=filler_pb2.Range(start=-1)), (2, 3), None),
        (filler_pb2.Region(box=filler_pb2.Box()), (2, 3), Extent(False, ((0, 2), (0, 3)))),
        (
            filler_pb2.Region(box=filler_pb2.Box(axes=[filler_pb2.Range(stop=1)])),
            (2, 3),
            Extent(False, ((0, 1), (0, 3))),
        ),
        (filler_pb2.Region(box=filler_pb2.Box(axes=[filler_pb2.Range(stop=3)])), (2, 3), None),
        (filler_pb2.Region(box=filler_pb2.Box(axes=[filler_pb2.Range()] * 2)), (2,), None),
    ],
)
def test_extents(region: filler_pb2.Region, shape: tuple[int, ...], extent: Extent | None) -> None:
    assert Extent.of(region, shape) == extent
