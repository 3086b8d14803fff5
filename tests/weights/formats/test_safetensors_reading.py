"""Reading safetensors, alone and in shards, against the library of that name."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from caffe_filler.errors import FillerError, InvalidArgument, WeightsError
from filler_server.tensors import Tensor
from filler_server.weights.formats.shards import ShardedSafetensorsWriter, shards_of
from filler_server.weights.opening import open_weights
from tests.weights.files import announced, same, tensors

SIX = np.arange(6, dtype=np.float32).reshape(2, 3)
ARRAYS = {
    "a/0": SIX,
    "a/1": SIX.astype(ml_dtypes.bfloat16),
    "b/0": SIX.astype(np.int64),
    "b/1": np.array(True),
    "c/0": np.empty((0, 3), np.float16),
}


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    save_file(ARRAYS, tmp_path / "w", metadata={"format": "pt"})
    with open_weights(tmp_path / "w") as weights:
        assert (weights.format, dict(weights.metadata)) == ("safetensors", {"format": "pt"})
        assert {tensor.name for tensor in weights.tensors} == set(ARRAYS)
        assert all(same(weights[name].array(), array) for name, array in ARRAYS.items())


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (file_of({"a": ENTRY}, bytes(7)), "cut short: tensor 'a' ends at byte"),
        (file_of({"a": {**ENTRY, "shape": [3]}}, bytes(8)), "another length than its shape"),
        (file_of({"a": {**ENTRY, "shape": [-2]}}, bytes(8)), "needs dtype, shape and data_offsets"),
        (file_of({"a": {**ENTRY, "shape": [2.0]}}, bytes(8)), "needs dtype, shape and data_offsets"),
        (file_of({"a": {**ENTRY, "dtype": "F4"}}, bytes(8)), "Received: dtype=F4"),
        (file_of({"a": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8)), "another length"),
        (file_of({"a": {**ENTRY, "shape": [True, 2]}}, bytes(8)), "needs dtype, shape and data_offsets"),
        (file_of({"a": {**ENTRY, "shape": [10**30, 0], "data_offsets": [0, 0]}}), "at most .* values"),
        (file_of({"a": {**ENTRY, "shape": [1] * 64 + [2]}}, bytes(8)), "at most 64 axes"),
        (file_of({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)), "'b' overlaps the one before it"),
        (file_of({"a": ENTRY, "b": ENTRY}, bytes(8)), "'b' overlaps the one before it"),
        (file_of({"a": ENTRY, "b": {**ENTRY, "data_offsets": [12, 20]}}, bytes(20)), "'b' leaves bytes before it"),
        (file_of({"a": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)), "'a' leaves bytes before it"),
        (file_of({"a": ENTRY}, bytes(9)), "the tensors end at byte"),
        (file_of({"a": 3}, bytes(8)), "needs dtype"),
        (file_of({"__metadata__": [], "a": ENTRY}, bytes(8)), "__metadata__ is not a JSON object"),
        (file_of(b'{"a": {}, "a": {}}'), "a name stands there twice"),
        (file_of(b'{"a": '), "not a JSON object of tensors"),
        (file_of(b"{" + b"[" * 100_000), "not a JSON object of tensors"),
        ((1000).to_bytes(8, "little") + b"{}" + bytes(20), "header is longer than the file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        open_weights(tmp_path / "w")


@given(st.binary(max_size=60), st.integers(0, 70))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_headers_are_refused_cleanly(tmp_path: Path, content: bytes, length: int) -> None:
    (tmp_path / "w").write_bytes(length.to_bytes(8, "little") + b"{" + content)
    try:
        open_weights(tmp_path / "w").close()
    except FillerError as error:
        assert str(tmp_path / "w") in str(error)  # noqa: PT017


def headers(*lengths: int) -> list[Tensor]:
    return [announced(f"{index}/0", (length,), np.dtype(np.int8)) for index, length in enumerate(lengths)]


@pytest.mark.parametrize(
    ("lengths", "most", "groups"),
    [
        ((5, 5, 5), 15, [3]),
        ((5, 5, 5), 14, [2, 1]),
        ((5, 5, 5), 5, [1, 1, 1]),
        ((1, 100, 1, 1), 10, [1, 1, 2]),
        ((), 10, [0]),
        ((0, 0), 1, [2]),
    ],
)
def test_groups(lengths: tuple[int, ...], most: int, groups: list[int]) -> None:
    assert [len(shard) for shard in shards_of(headers(*lengths), most)] == groups


def test_a_set_has_no_more_files_than_are_read() -> None:
    lengths = (5,) * 1001
    assert len(shards_of(headers(*lengths[1:]), 9)) == 1000
    with pytest.raises(InvalidArgument, match=r"up to 1000 files. Received: max_shard_bytes=9, which makes 1001$"):
        shards_of(headers(*lengths), 9)


def write_shards(folder: Path, arrays: dict[str, Any], most: int) -> None:
    with ShardedSafetensorsWriter(
        folder / "model.safetensors", shards_of(tensors(arrays), most), metadata={"format": "pt"}
    ) as writer:
        for array in arrays.values():
            writer.write(array.tobytes()[:5])
            writer.write(array.tobytes()[5:])


def test_shards_are_named_and_read_as_by_hugging_face(tmp_path: Path) -> None:
    arrays = {f"l{index}/0": SIX + index for index in range(5)}
    write_shards(tmp_path, arrays, 50)
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    index = tmp_path / "model.safetensors.index.json"
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, index.name]
    places = json.loads(index.read_text())
    assert places["metadata"] == {"total_size": 5 * 24}
    assert places["weight_map"] == dict(zip(arrays, [names[0], names[0], names[1], names[1], names[2]], strict=True))
    loaded = {name: array for shard in names for name, array in load_file(tmp_path / shard).items()}
    assert all(same(loaded[name], array) for name, array in arrays.items())
    with open_weights(index) as weights:
        assert [tensor.name for tensor in weights.tensors] == list(arrays)
        assert all(same(weights[name].array(), array) for name, array in arrays.items())


def test_shards_that_are_not_complete_leave_nothing(tmp_path: Path) -> None:
    shards = shards_of(tensors({"a": SIX, "b": SIX}), 24)
    with pytest.raises(KeyboardInterrupt), ShardedSafetensorsWriter(tmp_path / "m.safetensors", shards, metadata={}):
        raise KeyboardInterrupt
    with (
        pytest.raises(InvalidArgument, match=r"tensor '.*' is missing"),
        ShardedSafetensorsWriter(
            tmp_path / "m.safetensors", shards_of(tensors({"a": SIX, "b": SIX}), 24), metadata={}
        ) as writer,
    ):
        writer.write(SIX.tobytes())
        writer.write(SIX.tobytes()[1:])
    with pytest.raises(InvalidArgument, match="one name"):
        ShardedSafetensorsWriter(tmp_path / "m.safetensors", [tensors({"a": SIX})] * 2, metadata={})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidArgument, match="max_shard_bytes=0"):
        shards_of(headers(5), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: {**index, "weight_map": {"a/0": "../outside.safetensors"}}, "lie beside it"),
        (lambda index: {**index, "weight_map": {"a/0": 3}}, "an index names up to"),
        (lambda index: {**index, "weight_map": ["a"]}, "not an index of shards"),
        (
            lambda index: {**index, "weight_map": {**index["weight_map"], "x/0": "model-00001-of-00002.safetensors"}},
            "in none of its files. Received: x/0",
        ),
    ],
)
def test_an_index_that_cannot_be(tmp_path: Path, change: Any, message: str) -> None:
    write_shards(tmp_path, {"a/0": SIX, "b/0": SIX}, 24)
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(WeightsError, match=message):
        open_weights(path)


def test_a_shard_that_is_missing_or_damaged(tmp_path: Path) -> None:
    write_shards(tmp_path, {"a/0": SIX, "b/0": SIX}, 24)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(
        WeightsError, match=r"model.safetensors.index.json: model-00002-of-00002.safetensors: .*cut short"
    ):
        open_weights(tmp_path / "model.safetensors.index.json")
    shard.unlink()
    with pytest.raises(FileNotFoundError, match="model-00002-of-00002"):
        open_weights(tmp_path / "model.safetensors.index.json")
