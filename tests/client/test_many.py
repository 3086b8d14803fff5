"""Several blobs in one call: the bytes of single calls, in one request or in as few as limits leave."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.axes import FanAxes
from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded, RegionError, ShapeError
from filler_client import AsyncFillerClient, BlobSpec, FillerClient, Flat, UnnamedBlobWarning, _many
from filler_client._remote import RemoteBackend
from filler_server.api import limits
from tests.client.lies.server import LyingServer, Refusal
from tests.processes import ServerProcess

Fill = Callable[..., list[NDArray[Any]]]

BLOBS = [
    BlobSpec("xavier", (20, 30), "a", layout="in,out"),
    BlobSpec("xavier", (20, 30), "a", Flat(7, 100), FanAxes(0, 1)),
    BlobSpec('type: "constant" value: 0.5', [4], "b"),
    BlobSpec('type: "orthogonal"', (2, 5, 4), "c", np.s_[1:2], layout="stack,in,out"),
    BlobSpec("msra", (3, 3), "d", Flat(4, 4)),
    BlobSpec("uniform", (), "e"),
]


@pytest.fixture(scope="module")
def fills(server: ServerProcess) -> Iterator[list[Fill]]:
    """`fill_many` of each client."""

    def awaited(make: Callable[[], AsyncFillerClient]) -> Fill:
        def fill(*arguments: Any, **options: Any) -> list[NDArray[Any]]:
            async def run() -> list[NDArray[Any]]:
                async with make() as client:
                    return await client.fill_many(*arguments, **options)

            return asyncio.run(run())

        return fill

    with FillerClient(server.address) as remote:
        yield [
            FillerClient.embedded().fill_many,
            remote.fill_many,
            awaited(AsyncFillerClient.embedded),
            awaited(lambda: AsyncFillerClient(server.address)),
        ]


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_they_are_what_single_calls_give(fills: list[Fill], dtype: str) -> None:
    client = FillerClient.embedded()
    want = [
        client.fill(
            blob.filler,
            blob.shape,
            seed=9,
            dtype=dtype,
            name=blob.name,
            region=blob.region,
            axes=blob.axes,
            layout=blob.layout,
        )
        for blob in BLOBS
    ]
    for fill in fills:
        out = [np.full(array.shape, np.nan, array.dtype) if number % 2 else None for number, array in enumerate(want)]
        got = fill(iter(BLOBS), out=out, seed=9, dtype=dtype)
        for mine, array, expected in zip(out, got, want, strict=True):
            assert mine is None or mine is array
            assert (array.dtype, array.shape, array.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def test_caffe_s_stream_begins_anew_with_each(fills: list[Fill]) -> None:
    want = FillerClient.embedded().fill("xavier", (3, 4), seed=1, stream="caffe")
    for fill in fills:
        for array in fill([BlobSpec("xavier", (3, 4)), BlobSpec("xavier", (3, 4))], seed=1, stream="caffe"):
            assert array.tobytes() == want.tobytes()


def test_none_at_all(fills: list[Fill]) -> None:
    for fill in fills:
        assert fill([]) == []
        assert fill([], out=[]) == []


ONE = BlobSpec("constant", (3, 4), "w")
READ_ONLY = np.zeros((3, 4), np.float32)
READ_ONLY.flags.writeable = False
SHARED = np.zeros((3, 4), np.float32)

BAD: dict[str, tuple[list[Any], dict[str, Any], type[FillerError], str]] = {
    "no spec": ([ONE, ("constant", (3, 4))], {}, InvalidArgument, "Received: blobs[1]=('constant', (3, 4))"),
    "a shape": ([ONE, BlobSpec("constant", (0,), "x")], {}, ShapeError, "blobs[1]: every dimension"),
    "a filler": ([ONE, BlobSpec("xaver", (3,), "x")], {}, FillerError, "blobs[1] 'x': unknown filler type"),
    "a shape for its filler": ([ONE, BlobSpec("bilinear", (3,), "x")], {}, ShapeError, "blobs[1] 'x': filler type"),
    "a region": ([ONE, BlobSpec("constant", (3,), "x", Flat(0, 4))], {}, RegionError, "blobs[1] 'x': the blob has"),
    "axes": ([BlobSpec("xavier", (3,), "x", axes=FanAxes(1))], {}, InvalidArgument, "blobs[0]: a blob of shape [3]"),
    "no name of a text": ([BlobSpec("xavier", (3,), 5)], {}, InvalidArgument, "blobs[0]: name is a string"),  # type: ignore[arg-type]
    "no sequence": ([ONE], {"out": {"w": SHARED}}, InvalidArgument, "out is a sequence of arrays"),
    "too few": ([ONE, ONE], {"out": [SHARED]}, InvalidArgument, "each of the 2 blobs, or None. Received: 1 of them"),
    "read-only": ([ONE], {"out": [READ_ONLY]}, InvalidArgument, "blobs[0] 'w' needs a writable"),
    "of another dtype": ([ONE], {"out": [SHARED.astype("f8")]}, InvalidArgument, "dtype=float64"),
    "of another shape": ([ONE], {"out": [np.zeros(12, "f4")]}, InvalidArgument, "Received: shape=[12]"),
    "transposed": ([ONE], {"out": [np.zeros((4, 3), "f4").T]}, InvalidArgument, "c_contiguous=False"),
    "overlapping": ([ONE, ONE], {"out": [SHARED, SHARED]}, InvalidArgument, "blobs[0] 'w' and blobs[1] 'w' overlap"),
    "a dtype": ([ONE], {"dtype": "int8"}, InvalidArgument, "no data type that a blob can have"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_is_refused_alike(fills: list[Fill], case: str) -> None:
    blobs, options, kind, words = BAD[case]
    for fill in fills:
        with pytest.raises(kind) as caught:
            fill(blobs, **options)
        assert words in str(caught.value)
    assert not SHARED.any()


@pytest.mark.parametrize("blobs", [ONE, None, 5])
def test_what_is_no_sequence_of_blobs(fills: list[Fill], blobs: Any) -> None:
    for fill in fills:
        with pytest.raises(InvalidArgument, match=r"blobs are a sequence of BlobSpec\. Received: "):
            fill(blobs)


def test_an_array_that_does_not_fit_is_found_before_any_is_written(fills: list[Fill]) -> None:
    first = np.full((3, 4), 7, np.float32)
    for fill in fills:
        with pytest.raises(InvalidArgument, match=r"blobs\[1\] 'w' needs an array of shape \[3, 4\]"):
            fill([ONE, ONE], out=[first, np.zeros((4, 4), np.float32)])
        assert (first == 7).all()


def test_random_blobs_without_a_name_are_warned_of_once(fills: list[Fill]) -> None:
    for fill in fills[:2]:
        with pytest.warns(UnnamedBlobWarning) as caught:
            fill([BlobSpec("xavier", (3, 4)), BlobSpec("constant", (3, 4)), BlobSpec("xavier", (3, 4))])
        assert [warning.filename for warning in caught] == [__file__]
    fills[0]([BlobSpec("constant", (3, 4))])


MANY = [
    BlobSpec("xavier" if n % 3 else 'type: "constant" value: 2', (n % 5 + 1, 3), f"layer{n}/0") for n in range(5000)
]


def test_five_thousand_are_one_request(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    want = FillerClient.embedded().fill_many(MANY, seed=3)
    assert want[4999].tobytes() == FillerClient.embedded().fill("xavier", (5, 3), seed=3, name="layer4999/0").tobytes()
    asked: list[int] = []
    usual = RemoteBackend.pieces
    monkeypatch.setattr(
        RemoteBackend, "pieces", lambda self, *call: asked.append(len(call[0].blobs)) or usual(self, *call)
    )
    with FillerClient(server.address) as client:
        got = client.fill_many(MANY, seed=3)
    assert asked == [5000]
    assert all(mine.tobytes() == other.tobytes() for mine, other in zip(got, want, strict=True))


REFUSALS: dict[str, Callable[[Any], str | None]] = {
    "request_blobs": lambda request: (
        f"over the limit request_blobs=100. Received: {len(request.blobs)}" if len(request.blobs) > 100 else None
    ),
    "fields": lambda request: "over the limit fields=900. Received: 1000" if request.ByteSize() > 5000 else None,
    "length": lambda request: (
        f"SERVER: Received message larger than max ({request.ByteSize()} vs. 4096)"
        if request.ByteSize() > 4096
        else None
    ),
}


@pytest.mark.parametrize("limit", REFUSALS)
def test_what_is_too_much_for_one_request_is_asked_for_in_several(limit: str) -> None:
    blobs = MANY[:333]
    want = FillerClient.embedded().fill_many(blobs, seed=3)
    with LyingServer() as server:
        sizes: list[int] = []

        def hears(request: Any) -> Any:
            if (text := REFUSALS[limit](request)) is not None:
                raise Refusal("RESOURCE_EXHAUSTED", text)
            sizes.append(len(request.blobs))
            return request

        server.hears = hears
        for number, client in enumerate((FillerClient(server.address), None)):
            got = client.fill_many(blobs, seed=3) if client else awaited_fill(server.address, blobs)
            assert all(mine.tobytes() == other.tobytes() for mine, other in zip(got, want, strict=True))
            assert sum(sizes) == 333 * (number + 1)
            assert len(sizes) > 2


def awaited_fill(address: str, blobs: list[BlobSpec]) -> list[NDArray[Any]]:
    async def run() -> list[NDArray[Any]]:
        async with AsyncFillerClient(address) as client:
            return await client.fill_many(blobs, seed=3)

    return asyncio.run(run())


def test_one_blob_that_is_too_much_is_refused_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNLIMITED", limits.Limits(request_blobs=2, request_elements=12))
    client = FillerClient.embedded()
    assert [array.size for array in client.fill_many([ONE] * 5)] == [12] * 5
    with pytest.raises(LimitExceeded, match=r"over the limit request_elements=12\. Received: 15"):
        client.fill_many([ONE, ONE, BlobSpec("constant", (15,), "large")])
    with pytest.raises(ShapeError, match=r"^blobs\[4\] 'b': filler type 'bilinear'") as caught:
        client.fill_many([*[ONE] * 4, BlobSpec("bilinear", (3,), "b")])
    assert caught.value.violations[0].field == "blobs[4].shape"


def test_long_lists_are_several_requests_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_many, "MOST_BLOBS", 100)
    monkeypatch.setattr(_many, "MOST_BYTES", 2000)
    batches = _many.Batches(MANY[:333], None, None)
    found = []
    while (batch := batches.following()) is not None:
        assert batch.first == sum(found)
        assert batch.request.ByteSize() <= 2000
        found.append(len(batch.request.blobs))
    assert sum(found) == 333
    assert max(found) < 100
    monkeypatch.setattr(_many, "MOST_BYTES", 1 << 20)
    batches = _many.Batches(MANY[:333], None, None)
    assert [len(batch.request.blobs) for batch in iter(batches.following, None)] == [100, 100, 100, 33]


def test_a_broken_stream_goes_on_in_the_array_where_it_broke() -> None:
    blobs = [BlobSpec("xavier", (40, 50), f"w{number}") for number in range(4)]
    want = FillerClient.embedded().fill_many(blobs, seed=3)
    starts: list[tuple[int, int]] = []

    def breaking(request: Any, answer: list[Any]) -> Iterator[Any]:
        starts.append((request.start.blob, request.start.offset))
        for number, message in enumerate(answer):
            if number == 150 and len(starts) < 4:
                raise Refusal("UNAVAILABLE", "gone")
            yield message

    with LyingServer() as server, FillerClient(server.address) as client:
        server.lie = breaking
        out: list[Any] = [np.full((40, 50), np.nan, np.float32) for _ in blobs]
        got = client.fill_many(blobs, seed=3, out=out)
        assert [array is mine for array, mine in zip(got, out, strict=True)] == [True] * 4
        assert all(mine.tobytes() == other.tobytes() for mine, other in zip(got, want, strict=True))
    assert starts == sorted(set(starts))
    assert len(starts) == 4


def test_a_client_that_is_closed(server: ServerProcess) -> None:
    for client in (FillerClient.embedded(), FillerClient(server.address)):
        client.close()
        with pytest.raises(InvalidArgument, match="this client is closed"):
            client.fill_many([])
