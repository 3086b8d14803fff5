"""Tensors: any range of the values, in memory that does not grow with them, whatever they are made of."""

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from filler_server.tensors import (
    ArrayTensor,
    SequentialTensor,
    Tensor,
    cast,
    combined,
    constant,
    renamed,
    reshaped,
    spliced,
    tensor,
    transposed,
    transposition,
)

F32 = np.dtype(np.float32)


def numbers(*shape: int) -> NDArray[Any]:
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


class Parts(SequentialTensor):
    """Numbers that come three at a time, and where it was started."""

    def __init__(self, count: int, *, broken: bool = False) -> None:
        super().__init__("parts", (count,), F32, self.numbers)
        self.broken = broken
        self.starts: list[int] = []
        self.ended = 0

    def numbers(self, start: int) -> Iterator[NDArray[Any]]:
        self.starts.append(start)
        for first in range(start, self.count, 3):
            yield np.arange(first, min(first + 3, self.count), dtype=np.float32)
        if self.broken and len(self.starts) == 1:
            raise OSError("gone")
        self.ended += 1


A, B = ArrayTensor("a", numbers(5, 4)), ArrayTensor("b", -numbers(5, 4))
CASES: dict[str, tuple[Tensor, NDArray[Any]]] = {
    "array": (A, numbers(5, 4)),
    "strided array": (ArrayTensor("t", numbers(5, 4).T), numbers(5, 4).T),
    "big-endian array": (ArrayTensor("t", numbers(5, 4).astype(">f4")), numbers(5, 4)),
    "scalar": (ArrayTensor("s", np.array(2.5)), np.array(2.5)),
    "scalar that is no array": (ArrayTensor("s", np.array(5.0) / 2), np.array(2.5)),
    "empty": (ArrayTensor("e", numbers(0, 3)), numbers(0, 3)),
    "renamed": (renamed(A, "other"), numbers(5, 4)),
    "reshaped": (reshaped(A, (2, 10)), numbers(2, 10)),
    "cast": (cast(A, np.dtype(np.float64)), numbers(5, 4).astype(np.float64)),
    "cast to bfloat16": (cast(A, np.dtype(ml_dtypes.bfloat16)), numbers(5, 4).astype(ml_dtypes.bfloat16)),
    "constant": (constant("c", (2, 3), F32, 7), np.full((2, 3), 7, np.float32)),
    "combined": (combined("c", lambda a, b: a * 2 + b, A, B), numbers(5, 4)),
    "spliced": (
        spliced("s", (3, 4), [(A, 4, 12), (B, 0, 0), (B, 16, 20)]),
        np.vstack([numbers(5, 4)[1:3], B.array()[4:]]),
    ),
    "transposed": (transposed(A), numbers(5, 4).T),
    "transposed column": (transposed(ArrayTensor("c", numbers(9, 1))), numbers(9, 1).T),
    "reversed axes": (transposed(ArrayTensor("a", numbers(3, 4, 2, 5))), numbers(3, 4, 2, 5).T),
    "transposed empty": (transposed(ArrayTensor("a", numbers(3, 0))), numbers(0, 3)),
    "transposed vector": (transposed(ArrayTensor("a", numbers(3))), numbers(3)),
    "in order": (Parts(11), numbers(11)),
    "of several": (
        cast(transposed(reshaped(renamed(A, "x"), (10, 2))), np.dtype(np.float16)),
        numbers(10, 2).T.astype("f2"),
    ),
}


@pytest.fixture(params=[1 << 20, 7, 1])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the number of values that are read at once."""
    from filler_server.tensors import combinations, views

    for module in (tensor, views, combinations, transposition):
        monkeypatch.setattr(module, "BLOCK", request.param)
    monkeypatch.setattr(transposition, "_PANEL", 2 * request.param)
    return int(request.param)


@pytest.mark.parametrize("case", CASES)
def test_the_values_are_the_same_however_they_are_read(case: str, block: int) -> None:
    found, want = CASES[case]
    assert (found.shape, found.dtype, found.count, found.nbytes) == (want.shape, want.dtype, want.size, want.nbytes)
    assert found.array().tobytes() == want.tobytes()
    assert not found.array().flags.writeable
    assert b"".join(part.tobytes() for part in found.blocks()) == want.tobytes()
    flat = want.reshape(-1)
    for start in range(found.count + 1):
        for stop in range(start, found.count + 1):
            out = np.empty(stop - start, found.dtype)
            found.read(start, out)
            assert out.tobytes() == flat[start:stop].tobytes(), (start, stop)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20))))
def test_what_comes_in_order_can_be_read_anywhere(ranges: list[tuple[int, int]]) -> None:
    found = Parts(60)
    for start, length in ranges:
        out = np.empty(min(length, 60 - start), np.float32)
        found.read(start, out)
        assert out.tolist() == list(range(start, start + out.size))


def test_what_comes_in_order_is_started_once_for_one_pass() -> None:
    found = Parts(10)
    for start in range(0, 10, 2):
        found.read(start, np.empty(2, np.float32))
    assert (found.starts, found.ended) == ([0], 1)
    found.read(4, np.empty(2, np.float32))
    assert found.starts == [0, 4]


def test_after_an_error_what_comes_in_order_is_started_anew() -> None:
    found = Parts(4, broken=True)
    with pytest.raises(OSError, match="gone"):
        found.read(0, np.empty(4, np.float32))
    out = np.empty(4, np.float32)
    found.read(0, out)
    assert (out.tolist(), found.starts) == ([0, 1, 2, 3], [0, 0])


def test_a_cast_counts_what_became_infinite() -> None:
    wide = ArrayTensor("w", np.array([1, 65520, np.inf, -1e6, np.nan], np.float32))
    found = cast(wide, np.dtype(np.float16))
    list(found.blocks())
    assert found.became_infinite == 2  # type: ignore[attr-defined]
    huge = ArrayTensor("h", np.array([1e30], ml_dtypes.bfloat16))
    found = cast(huge, np.dtype(np.float16))
    found.read(0, np.empty(1, np.float16))
    assert found.became_infinite == 1  # type: ignore[attr-defined]
    assert cast(wide, None) is cast(wide, F32) is wide


def test_a_panel_is_one_pass_over_a_transposed_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transposition, "_PANEL", 24)
    parts = Parts(96)
    found = transposed(reshaped(parts, (12, 8)))
    assert [block.size for block in found.blocks()] == [24] * 4
    assert parts.starts == [0] * 4


def test_other_counts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'a' has 20 values. Received: shape=\[3\]"):
        reshaped(A, (3,))
    with pytest.raises(ValueError, match="do not make up its shape"):
        spliced("s", (3,), [(A, 0, 2)])
    assert repr(A) == "<ArrayTensor 'a' [5, 4] float32>"
    assert repr(renamed(A, "\x1b[2J\n")) == f"<{type(renamed(A, 'b')).__name__} '\\x1b[2J\\n' [5, 4] float32>"
