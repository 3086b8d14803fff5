import hashlib
import tracemalloc
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import ShapeError
from filler_server.fillers import backend
from filler_server.fillers.distributions import BilinearPattern
from filler_server.rng.stream import Runs
from tests.fillers.streams import STREAM, GivenStream, fill, filler_of, prepared

DTYPES = [np.float32, np.float64]


def by_caffe(shape: tuple[int, ...], dtype: Any) -> Any:
    """The loop of Caffe's BilinearFiller, one element at a time."""
    width, number = shape[3], np.dtype(dtype).type
    f = int(np.ceil(width / 2.0))
    c = number((width - 1) / (2.0 * f))
    data = np.empty(shape, dtype).ravel()
    for i in range(data.size):
        x, y = number(i % width), number((i // width) % shape[2])
        data[i] = (number(1) - abs(x / number(f) - c)) * (number(1) - abs(y / number(f) - c))
    return data.reshape(shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 7, 9, 11, 16, 64])
def test_values_are_those_of_caffe(width: int, dtype: Any) -> None:
    shape = (2, 1, width, width)
    assert fill('type: "bilinear"', shape, dtype).tobytes() == by_caffe(shape, dtype).tobytes()


@pytest.mark.parametrize(
    ("shape", "dtype", "sha256"),
    [
        ((3, 1, 4, 4), np.float32, "65d996efbd71db61ca3020b37c6f7d036dbd2e0199b0618638f5eca18fec0227"),
        ((2, 2, 5, 5), np.float32, "8ee4501ef0ba2c88dc5af7fbac7aa81633ebbb520731d0f2a99a18cf48a0cebb"),
        ((1, 1, 11, 11), np.float32, "d2458092524a80c4659d4dcef57fe8435bb34613a661a228a4595c2cfecdc428"),
        ((300, 1, 64, 64), np.float32, "c0eeb5ff7a0dc762c35e6ea13aebfdb06c1c43af7c4c445acf10753a83d35eb6"),
        ((2, 1, 13, 13), np.float64, "267bc08f13704ae6cb226f1dae833c601899523712f8c6ca13cd7066ff58db24"),
    ],
)
def test_bytes_are_those_of_caffe(shape: tuple[int, ...], dtype: Any, sha256: str) -> None:
    assert hashlib.sha256(fill('type: "bilinear"', shape, dtype).tobytes()).hexdigest() == sha256


def test_a_plane_of_width_4() -> None:
    weights = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    assert (fill('type: "bilinear"', (1, 2, 4, 4)) == np.outer(weights, weights)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_wide_planes_and_long_blobs_agree_with_small_ones(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (30, 2, 100, 100)
    copied = fill('type: "bilinear"', shape, dtype)
    monkeypatch.setattr(backend, "_SMALL_PLANE", 0)
    assert fill('type: "bilinear"', shape, dtype).tobytes() == copied.tobytes()


@pytest.mark.parametrize("small_plane", [0, 1 << 14])
def test_runs_anywhere(small_plane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_SMALL_PLANE", small_plane)
    shape = (50, 4, 37, 37)
    whole = fill('type: "bilinear"', shape).ravel()
    starts = np.sort(np.random.default_rng(1).integers(0, whole.size - 3000, 200))
    lengths = np.random.default_rng(2).integers(0, 3000, 200)
    out = np.empty(lengths.sum(), np.float32)
    prepared('type: "bilinear"', shape)(out, Runs(starts, np.append(0, np.cumsum(lengths))), STREAM)
    assert (out == np.concatenate([whole[s : s + n] for s, n in zip(starts, lengths, strict=True)])).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_piece_of_a_huge_plane_takes_no_memory_for_the_rest(dtype: Any) -> None:
    width, start = 2**29, 2**57 + 12345
    out = np.empty(1000, dtype)
    tracemalloc.start()
    prepared('type: "bilinear"', (1, 1, width, width), dtype)(out, Runs.contiguous(start, 1000), STREAM)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    y, x = start // width, start % width + np.arange(1000)
    weights = BilinearPattern(width, np.dtype(dtype)).weights
    assert (out == weights(np.array([y])) * weights(x)).all()


def test_nothing_is_drawn() -> None:
    random = GivenStream(())
    fill('type: "bilinear"', (2, 2, 3, 3), random=random)
    assert random.calls == []


@pytest.mark.parametrize("shape", [(), (16,), (4, 4), (1, 4, 4), (1, 1, 1, 4, 4), (1, 1, 4, 5)])
def test_shapes_that_are_no_kernels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"bilinear.* Received: shape="):
        filler_of('type: "bilinear"').check(shape)
