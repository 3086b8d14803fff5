from typing import Any

import numpy as np
import pytest
from numba import types

from filler_server import compiled
from filler_server.rng.addresses import address, call, move

_DOUBLES = types.CPointer(types.float64)


@compiled.serial
def shifted(target: Any, source: Any, offset: Any) -> None:
    """Copy 8 bytes, then 4, then 1, and so on."""
    to, at = address(target) + offset, address(source)
    move(to, at, 8)
    move(to + 8, at + 8, 4)
    move(to + 12, at + 12, 1)


@pytest.mark.parametrize("offset", range(8))
def test_bytes_are_moved_whatever_their_alignment(offset: int) -> None:
    source, target = np.arange(1, 14, dtype=np.uint8), np.zeros(24, np.uint8)
    shifted(target, source, offset)
    assert target.tobytes() == bytes(offset) + source.tobytes() + bytes(11 - offset)


def _scale(out: Any, values: Any, begin: Any, end: Any, factor: Any, power: Any) -> None:
    for i in range(begin, end):
        out[i] = values[i]
        for _ in range(power):
            out[i] *= factor[0]


def routine() -> compiled.Routine:
    return compiled.Routine(_scale, (_DOUBLES, _DOUBLES, types.intp, types.intp, _DOUBLES, types.intp))


@compiled.serial
def scale(function: Any, out: Any, values: Any, factor: Any, power: Any) -> None:
    call(function, address(out), address(values), 1, values.size, address(factor), power)


def test_a_routine_is_called_by_its_address() -> None:
    function, values, out = routine(), np.arange(5.0), np.full(5, -1.0)
    assert function.address == function.address != 0
    scale(function.address, out, values, np.array([10.0]), 2)
    assert out.tolist() == [-1, 100, 200, 300, 400]


def test_another_object_loads_the_same_code() -> None:
    assert routine().address
    again = routine()
    assert again.address
    assert again.is_loaded


def test_a_routine_works_where_no_cache_can_be_written() -> None:
    names: dict[str, Any] = {}
    exec("def double(out, a, b, c, d, e):\n  out[0] *= 2", names)
    function = compiled.Routine(names["double"], (_DOUBLES, *[types.intp] * 5))
    out = np.array([21.0])
    scale_by_nothing(function.address, out)
    assert out[0] == 42
    assert not function.is_loaded


@compiled.serial
def scale_by_nothing(function: Any, out: Any) -> None:
    call(function, address(out), 0, 0, 0, 0, 0)
