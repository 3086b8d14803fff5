import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caffe_filler.errors import WeightsError
from filler_server.weights.formats.npy import NpyWriter
from filler_server.weights.formats.npz import NpzWriter
from filler_server.weights.opening import open_weights
from tests.weights.files import same, write

DTYPES = [np.dtype(dtype) for dtype in (np.float32, np.float64, np.float16)]
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def values(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array whose values all differ."""
    return np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)


@given(shapes, st.sampled_from(DTYPES), st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numpy_loads_an_npy(tmp_path: Path, shape: tuple[int, ...], dtype: Any, piece: int) -> None:
    array = values(shape, dtype)
    content = write(NpyWriter, tmp_path / "weights.npy", {"any name": array}, piece)
    assert same(np.load(tmp_path / "weights.npy"), array)
    np.save(tmp_path / "numpy.npy", array)
    assert content == (tmp_path / "numpy.npy").read_bytes()


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12).filter(
    lambda name: not name.endswith(".npy")
)


@given(st.dictionaries(names, shapes, max_size=5), st.sampled_from(DTYPES), st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numpy_loads_an_npz(tmp_path: Path, given: dict[str, tuple[int, ...]], dtype: Any, piece: int) -> None:
    arrays = {name: values(shape, dtype) for name, shape in given.items()}
    write(NpzWriter, tmp_path / "weights.npz", arrays, piece)
    with np.load(tmp_path / "weights.npz") as archive:
        assert archive.files == list(arrays)
        for name, array in arrays.items():
            assert same(archive[name], array)


@pytest.mark.parametrize("name", ["conv1/0", "日本語/0", "a b", "../../etc", "layer#2/1", "/0"])
def test_names(tmp_path: Path, name: str) -> None:
    array = values((2, 3), np.float32)
    write(NpzWriter, tmp_path / "weights.npz", {name: array})
    with np.load(tmp_path / "weights.npz") as archive:
        assert archive.files == [name]
        assert same(archive[name], array)


def test_the_archive_is_sound_and_not_compressed(tmp_path: Path) -> None:
    write(NpzWriter, tmp_path / "weights.npz", {"a/0": values((100,), np.float32), "a/1": values((3,), np.float32)})
    with zipfile.ZipFile(tmp_path / "weights.npz") as archive:
        assert archive.testzip() is None
        assert [info.filename for info in archive.infolist()] == ["a/0.npy", "a/1.npy"]
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{'descr': '<f4', 'shape': (\n", "no header of NumPy"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1," * 700_000 + b"), }", "no header of NumPy"),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "no numbers"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 0), }" % 10**30, "at most .* values"),
        (b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "no numbers"),
    ],
    ids=["open", "long", "objects", "large", "negative"],
)
def test_headers_that_are_refused(tmp_path: Path, header: bytes, message: str) -> None:
    (tmp_path / "w.npy").write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header)
    with pytest.raises(WeightsError, match=message):
        open_weights(tmp_path / "w.npy")
