from typing import Any

import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import BlobShape, FillerParameter
from caffe_filler.errors import InvalidArgument
from caffe_filler.v1 import filler_pb2
from filler_client import FillerClient, _embedded

MSRA = FillerParameter(type="msra")
EMPTY = filler_pb2.Region(flat=filler_pb2.Range(start=0, stop=0))


def request(*lengths: int, blob: int = 0, offset: int = 0) -> filler_pb2.FillRequest:
    """Some blobs of one axis, from a place on; a length of 0 is an empty region."""
    specs = [
        filler_pb2.BlobSpec(filler=MSRA, shape=BlobShape(dim=[n or 1]), name=str(number), region=None if n else EMPTY)
        for number, n in enumerate(lengths)
    ]
    return filler_pb2.FillRequest(blobs=specs, start=filler_pb2.Position(blob=blob, offset=offset))


@pytest.mark.parametrize("start", [(0, 0), (0, 1), (0, 41), (0, 400), (1, 0), (2, 0), (2, 3), (2, 12), (3, 0)])
def test_pieces_come_from_the_start_of_the_request_on(monkeypatch: pytest.MonkeyPatch, start: tuple[int, int]) -> None:
    monkeypatch.setattr(_embedded, "_PIECE_BYTES", 64)
    lengths = (100, 0, 3)
    with FillerClient.embedded() as client:
        whole = [client.fill(MSRA, [n or 1], name=str(number)) for number, n in enumerate(lengths)]
        want = [array[:n].tobytes() for array, n in zip(whole, lengths, strict=True)]
        got = [bytearray() for _ in lengths]
        blob, offset = start
        for piece in client.pieces(request(*lengths, blob=blob, offset=offset)):
            assert (piece.header.name, piece.offset) == (str(blob), offset)
            assert len(piece.data) <= 64
            got[blob] += piece.data
            offset += len(piece.data)
            assert piece.last == (offset == len(want[blob]))
            if piece.last:
                blob, offset = blob + 1, 0
    assert (blob, offset) == (3, 0)
    want[start[0] : start[0] + 1] = [part[start[1] :] for part in want[start[0] : start[0] + 1]]
    assert [bytes(part) for part in got[start[0] :]] == want[start[0] :]
    assert not any(got[: start[0]])


def test_a_start_past_the_end_is_refused() -> None:
    with FillerClient.embedded() as client, pytest.raises(InvalidArgument, match=r"start=\(blob 0, offset 13\)"):
        list(client.pieces(request(3, offset=13)))


def test_it_computes_into_the_array_that_is_given() -> None:
    out = np.empty((4, 2), np.float64)
    with FillerClient.embedded() as client:
        region = np.s_[2:6, 1:3]
        assert client.fill("msra", (9, 5), dtype="f64", region=region, out=out) is out
        np.testing.assert_array_equal(out, client.fill("msra", (9, 5), dtype="f64")[2:6, 1:3])


@pytest.mark.parametrize(
    ("out", "received"),
    [
        (np.empty((3, 4), np.float64), r"shape=\[3, 4\], dtype=float64"),
        (np.empty((4, 3), np.float32), r"shape=\[4, 3\], dtype=float32"),
        (np.empty((4, 3), np.float32).T, "c_contiguous=False"),
        (np.frombuffer(bytes(48), np.float32).reshape(3, 4), "writeable=False"),
    ],
)
def test_an_array_that_cannot_take_the_blob_is_refused(out: Any, received: str) -> None:
    with FillerClient.embedded() as client, pytest.raises(InvalidArgument, match=f"Received: .*{received}"):
        client.fill("msra", (3, 4), out=out)
