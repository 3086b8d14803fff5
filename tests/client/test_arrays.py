"""Arrays of the caller, usual and odd ones: here and on a server they are received into alike, or refused alike."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from caffe_filler.errors import FillerError, InvalidArgument, LimitExceeded
from filler_client import AsyncFillerClient, FillerClient
from filler_client._arrays import Receivers
from tests.processes import ServerProcess

SHAPE = (4, 6)
Make = Callable[[Path], Any]


@pytest.fixture(scope="module")
def fills(server: ServerProcess) -> Iterator[list[Callable[..., Any]]]:
    """`fill` of each client."""

    def awaited(*arguments: Any, **options: Any) -> Any:
        async def run() -> Any:
            async with AsyncFillerClient(server.address) as client:
                return await client.fill(*arguments, **options)

        return asyncio.run(run())

    with FillerClient(server.address) as remote:
        yield [FillerClient.embedded().fill, remote.fill, awaited]


def mapped(folder: Path) -> NDArray[Any]:
    return np.memmap(folder / "values", np.float32, "w+", shape=SHAPE)


def offset(by: int) -> NDArray[Any]:
    """An array that starts so many bytes after an aligned address."""
    memory = np.zeros(4 * 24 + 64, np.uint8)
    start = -memory.ctypes.data % 64 + by
    return memory[start : start + 4 * 24].view(np.float32).reshape(SHAPE)


class Named(np.ndarray):  # type: ignore[type-arg]
    """A subclass of the caller's."""


def read_only(_: Path) -> NDArray[Any]:
    array = np.zeros(SHAPE, np.float32)
    array.flags.writeable = False
    return array


GOOD: dict[str, Make] = {
    "an array": lambda _: np.zeros(SHAPE, np.float32),
    "a matrix": lambda _: np.zeros(SHAPE, np.float32).view(np.matrix),
    "a memory map": mapped,
    "a subclass": lambda _: np.zeros(SHAPE, np.float32).view(Named),
    "a view of a larger one": lambda _: np.zeros((8, 6), np.float32)[2:6],
    "aligned to the value only": lambda _: offset(4),
    "of a bytearray": lambda _: np.frombuffer(bytearray(4 * 24), np.float32).reshape(SHAPE),
}

BAD: dict[str, Make] = {
    "a list": lambda _: [[0.0] * 6] * 4,
    "a number": lambda _: 0.0,
    "a bytearray": lambda _: bytearray(4 * 24),
    "a masked array": lambda _: np.ma.zeros(SHAPE, np.float32),  # type: ignore[no-untyped-call]
    "a scalar": lambda _: np.float32(0),
    "objects": lambda _: np.zeros(SHAPE, object),
    "unaligned": lambda _: offset(2),
    "read-only": read_only,
    "a broadcast": lambda _: np.broadcast_to(np.float32(0), SHAPE),
    "transposed": lambda _: np.zeros(SHAPE[::-1], np.float32).T,
    "every second row": lambda _: np.zeros((8, 6), np.float32)[::2],
    "backwards": lambda _: np.zeros(SHAPE, np.float32)[::-1],
    "big-endian": lambda _: np.zeros(SHAPE, ">f4"),
    "another dtype": lambda _: np.zeros(SHAPE, np.int32),
    "another dtype of the same name": lambda _: np.zeros(SHAPE, [("f4", np.float32)]),
    "flat": lambda _: np.zeros(24, np.float32),
    "one axis more": lambda _: np.zeros((1, *SHAPE), np.float32),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_can_be_received_into(fills: list[Callable[..., Any]], tmp_path: Path, case: str) -> None:
    expected = FillerClient.embedded().fill("msra", SHAPE, seed=2)
    for fill in fills:
        out = GOOD[case](tmp_path)
        assert fill("msra", SHAPE, seed=2, out=out) is out
        assert np.asarray(out).tobytes() == expected.tobytes()


@pytest.mark.parametrize("case", BAD)
def test_what_cannot(fills: list[Callable[..., Any]], tmp_path: Path, case: str) -> None:
    messages = set()
    for fill in fills:
        out = BAD[case](tmp_path)
        before = bytes(out) if isinstance(out, bytearray) else np.array(out, copy=True)
        with pytest.raises(InvalidArgument) as caught:
            fill("msra", SHAPE, seed=2, out=out)
        messages.add((type(caught.value), str(caught.value)))
        assert np.array_equal(np.frombuffer(out, np.uint8) if isinstance(out, bytearray) else out, _read(before))
    assert len(messages) == 1


def _read(before: Any) -> Any:
    return np.frombuffer(before, np.uint8) if isinstance(before, bytes) else before


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_arrays_of_every_dtype(fills: list[Callable[..., Any]], dtype: Any) -> None:
    results = {fill("msra", SHAPE, dtype=dtype, out=np.zeros(SHAPE, dtype)).tobytes() for fill in fills}
    assert len(results) == 1


def shared(nbytes: int) -> dict[str, NDArray[np.float32]]:
    """Two arrays that have so many bytes in common."""
    memory = np.zeros(2 * 400_000, np.float32)
    start = 400_000 - nbytes // 4
    return {"ip1/0": memory[:400_000].reshape(500, 800), "ip1/1": memory[start : start + 500]}


@pytest.mark.parametrize("nbytes", [4, 400, 2000])
def test_two_blobs_in_the_same_memory(server: ServerProcess, nets: Path, nbytes: int) -> None:
    one = np.zeros((500, 800), np.float32)
    with FillerClient(server.address) as remote:
        for client in (FillerClient.embedded(), remote):
            for out in (shared(nbytes), {"ip1/0": one, "other": one}):
                with pytest.raises(
                    InvalidArgument, match=r"each blob needs memory of its own. Received: blob '.*' and blob '"
                ):
                    dict(client.fill_net(nets / "lenet.prototxt", out=out))
                assert not any(array.any() for array in out.values())
            apart = shared(0)
            received = dict(client.fill_net(nets / "lenet.prototxt", out=apart))
            assert received["ip1/0"] is apart["ip1/0"]


@pytest.mark.parametrize("out", [[np.zeros(3)], np.zeros(3), "arrays", 3, ()])
def test_what_is_no_mapping_of_arrays(server: ServerProcess, nets: Path, out: Any) -> None:
    with FillerClient(server.address) as remote:
        for client in (FillerClient.embedded(), remote):
            with pytest.raises(InvalidArgument, match=r"out is a mapping from names of blobs to arrays. Received: "):
                list(client.fill_net(nets / "lenet.prototxt", out=out))


def test_a_blob_that_no_memory_holds_is_an_error_of_the_tree(server: ServerProcess) -> None:
    with FillerClient(server.address) as remote:
        for shape in ((1 << 56,), (1 << 30, 1 << 28), (1 << 59, 1)):
            with pytest.raises(LimitExceeded, match="does not fit in memory"):
                FillerClient.embedded().fill("constant", shape)
            with pytest.raises(FillerError):
                remote.fill("constant", shape)
    with pytest.raises(LimitExceeded, match=r"blob 'a' of shape \[4611686018427387904, 4\] and dtype float64"):
        Receivers({}).array_for("a", (1 << 62, 4), np.dtype(np.float64))
