import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from filler_server.rng.caffe import ziggurat
from filler_server.rng.caffe.ziggurat import Tables

TABLES = {"normal": ziggurat.normal, "exponential": ziggurat.exponential}


def test_entries_are_those_of_boost(shared: Path) -> None:
    golden = json.loads((shared / "golden" / "ziggurat.json").read_text())
    for name, tables in TABLES.items():
        for axis in ("x", "y"):
            expected = [float.fromhex(text) for text in golden[name][axis]]
            assert getattr(tables(), axis).tolist() == expected, (name, axis)


def test_entries_are_the_frozen_ones() -> None:
    parts = [getattr(tables(), axis).astype("<f8").tobytes() for tables in TABLES.values() for axis in ("x", "y")]
    assert (
        hashlib.sha256(b"".join(parts)).hexdigest()
        == "d3301d77934967927e619a9a0bf1962dc631814e43b67f24e5b64b112dc7cccf"
    )


@pytest.mark.parametrize(
    ("tables", "n", "r", "tail"),
    [
        (ziggurat.normal(), 128, 3.442619855899, math.sqrt(math.pi / 2) * math.erfc(3.442619855899 / math.sqrt(2))),
        (ziggurat.exponential(), 256, 7.697117470131, math.exp(-7.697117470131)),
    ],
    ids=list(TABLES),
)
def test_strips_have_equal_areas(tables: Tables, n: int, r: float, tail: float) -> None:
    x, y = tables.x, tables.y
    assert (x.size, y.size, x[-1], y[0], y[-1]) == (n + 1, n + 1, 0, 0, 1)
    assert x[1] == pytest.approx(r, abs=1e-11)
    area = r * y[1] + tail
    np.testing.assert_allclose(x[:-1] * np.diff(y), area, rtol=1e-10)


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ziggurat.normal().x[0] = 0
