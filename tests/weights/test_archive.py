"""Zip archives in one form, whatever Python writes."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filler_server.weights import archive
from filler_server.weights.formats.npz import NpzWriter
from tests.weights.files import write

ARRAYS = {
    "conv1/0": np.arange(12, dtype=np.float32).reshape(3, 4),
    "größe/0": np.arange(3, dtype=np.float64),
    "empty": np.empty((0, 3), np.float32),
    "scalar": np.array(2.5, np.float32),
}


def test_the_fields_of_every_entry(tmp_path: Path) -> None:
    write(NpzWriter, tmp_path / "w.npz", ARRAYS, 7)
    with zipfile.ZipFile(tmp_path / "w.npz") as found:
        assert found.testzip() is None
        for entry in found.infolist():
            assert (entry.create_system, entry.create_version, entry.extract_version) == (3, 45, 45)
            assert (entry.external_attr, entry.internal_attr) == (0o600 << 16, 0)
            assert (entry.compress_type, entry.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))
            assert (entry.flag_bits, entry.extra) == (0 if entry.filename.isascii() else 0x800, b"")
    loaded = np.load(tmp_path / "w.npz")
    assert list(loaded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_the_bytes_are_those_of_one_small_file(tmp_path: Path) -> None:
    content = write(NpzWriter, tmp_path / "w.npz", {"a": np.array([1, 2], np.float32)})
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".ljust(117) + b"\n"
    assert header in content
    local = content[: content.index(header)]
    assert local[:14].hex() == "504b03042d000000000000002100"
    # The lengths stand in a field of 64 bits.
    assert local[18:26] == b"\xff" * 8
    assert local[30:] == b"a.npy" + bytes.fromhex("01001000") + 2 * (136).to_bytes(8, "little")
    end = content[content.index(header) + len(header) + 8 :]
    assert end[:14].hex() == "504b01022d032d00000000000000"
    assert end[-22:].hex() == "504b0506000000000100010033000000bf00000000" + "00"[:2]


@pytest.mark.parametrize("limit", ["_LONGEST", "_MOST_SHORT"])
def test_long_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(archive, limit, 1)
    write(NpzWriter, tmp_path / "w.npz", ARRAYS)
    with zipfile.ZipFile(tmp_path / "w.npz") as found:
        assert found.testzip() is None
        assert [entry.filename for entry in found.infolist()] == [f"{name}.npy" for name in ARRAYS]
    loaded: Any = np.load(tmp_path / "w.npz")
    np.testing.assert_array_equal(loaded["conv1/0"], ARRAYS["conv1/0"])
