import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from filler_server.weights.formats.safetensors_file import SafetensorsWriter
from tests.weights.files import announced, same, tensors, write

DTYPES = [np.dtype(dtype) for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)]
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda name: name != "__metadata__")
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def values(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array whose values all differ."""
    return np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)


@given(st.dictionaries(names, shapes, max_size=5), st.sampled_from(DTYPES), st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_library_reads_what_was_written(
    tmp_path: Path, given: dict[str, tuple[int, ...]], dtype: Any, piece: int
) -> None:
    arrays = {name: values(shape, dtype) for name, shape in given.items()}
    write(SafetensorsWriter, tmp_path / "weights", arrays, piece)
    read = load_file(tmp_path / "weights")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert same(read[name], array)


@pytest.mark.parametrize("name", ["conv1/0", "a b", "日本語/0", '"\\/\n\x00', "", "../../etc", "layer#2/1"])
def test_names(tmp_path: Path, name: str) -> None:
    array = values((2, 3), np.float32)
    write(SafetensorsWriter, tmp_path / "weights", {name: array})
    assert same(load_file(tmp_path / "weights")[name], array)


def test_metadata_and_the_order_of_the_file(tmp_path: Path) -> None:
    arrays = {"b/0": values((3,), np.float32), "a/0": values((2, 2), np.float32)}
    metadata = {"producer": "test", "seed": "1701"}
    with SafetensorsWriter(tmp_path / "weights", tensors(arrays), metadata=metadata) as writer:
        for array in arrays.values():
            writer.write(array.tobytes())
    with safe_open(tmp_path / "weights", "numpy") as file:
        assert file.metadata() == metadata
    content = (tmp_path / "weights").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    assert header["b/0"]["data_offsets"] == [0, 12]
    assert header["a/0"]["data_offsets"] == [12, 28]
    assert content[8 + length :] == b"".join(array.tobytes() for array in arrays.values())


def test_a_header_tells_of_tensors_beyond_4_gib(tmp_path: Path) -> None:
    huge = [announced("a/0", (2**31, 3), np.dtype(np.float32)), announced("b/0", (1,), np.dtype(np.float32))]
    writer = SafetensorsWriter(tmp_path / "weights", huge)
    with pytest.raises(RuntimeError), writer:
        writer._file.flush()
        (partial,) = tmp_path.iterdir()
        header = json.loads(partial.read_bytes()[8:])
        assert header["b/0"]["data_offsets"] == [3 * 2**33, 3 * 2**33 + 4]
        raise RuntimeError
