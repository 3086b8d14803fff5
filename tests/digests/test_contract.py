"""Digests: the contract's known answers, and that the digests of any parts add up to that of the whole."""

from itertools import pairwise
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from caffe_filler.errors import InvalidArgument
from filler_server.digests import Digest, Digester, digest, digest_tensor, kernels, plain
from filler_server.engine.region import Region
from filler_server.tensors import ArrayTensor

DTYPES = [np.dtype(kind) for kind in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)]
WORD = (1 << 64) - 1


def reference(bits: list[int]) -> Digest:
    """Return the digest as the contract has it, with Python's integers."""
    low = high = 0
    for index, element in enumerate(bits):
        state = element + (index + 1) * 0x9E3779B97F4A7C15 & WORD
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & WORD
        state ^= state >> 27
        one, two = state * 0x94D049BB133111EB & WORD, state * 0xD6E8FEB86659FD93 & WORD
        low, high = low + (one ^ one >> 31) & WORD, high + (two ^ two >> 33) & WORD
    return Digest(low, high)


def values(count: int, dtype: np.dtype[Any], seed: int = 0) -> NDArray[Any]:
    bits = np.random.default_rng(seed).integers(0, 256, count * dtype.itemsize, np.uint8)
    return bits.view(dtype)


def test_the_low_word_of_a_zero_is_the_first_number_of_splitmix64() -> None:
    # Known answers of SplitMix64 for the seed 0, as in the Java library and on Vigna's page.
    numbers = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [digest(np.zeros(1, np.float32), start=index).low for index in range(3)] == numbers


@pytest.mark.parametrize(
    ("dtype", "known"),
    [
        (np.float32, "75c8bd58952a580bfa4549f2c8801b63"),
        (np.float64, "f959104fa75ee97162f9bf8a0845b283"),
        (np.float16, "0f0c86bf25dc94594d2f4a8df632dc6f"),
        (ml_dtypes.bfloat16, "fe05f293ac40aaa84f38fc9f01f4c7fb"),
    ],
)
def test_known_answers(dtype: Any, known: str) -> None:
    assert str(digest(np.arange(12).astype(dtype))) == known


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_both_ways_of_computing_are_the_contract(dtype: np.dtype[Any]) -> None:
    array = values(70_000, dtype)
    bits = array.view(f"u{dtype.itemsize}")
    want = reference(bits[:300].tolist())
    starts, bounds = np.zeros(1, np.int64), np.array([0, 300], np.int64)
    for sums in (plain.sums, kernels.sums):
        assert Digest(*sums(bits[:300], starts, bounds)) == want
    bounds[1] = bits.size
    assert plain.sums(bits, starts, bounds) == kernels.sums(bits, starts, bounds)


@given(st.data(), st.sampled_from(DTYPES))
def test_the_digests_of_any_boxes_add_up(data: st.DataObject, dtype: np.dtype[Any]) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    array = values(prod(shape), dtype).reshape(shape)
    cuts = [sorted({0, dim, *data.draw(st.lists(st.integers(0, dim), max_size=2))}) for dim in shape]
    boxes: list[list[tuple[int, int]]] = [[]]
    for axis in cuts:
        boxes = [[*box, pair] for box in boxes for pair in pairwise(axis)]
    total = Digest()
    for box in data.draw(st.permutations(boxes)):
        part = array[tuple(slice(*pair) for pair in box)]
        runs = Region.box(shape, box).runs(0, part.size)
        digester = Digester(dtype, part.size)
        digester.add(part.reshape(-1), runs.starts, runs.bounds)
        total += digester.digest
    assert total == digest(array)


@given(st.lists(st.integers(0, 5000), max_size=8), st.sampled_from(DTYPES), st.randoms())
def test_the_digests_of_any_flat_ranges_add_up(cuts: list[int], dtype: np.dtype[Any], random: Any) -> None:
    array = values(5000, dtype)
    bounds = sorted({0, 5000, *cuts})
    parts = list(pairwise(bounds))
    random.shuffle(parts)
    assert sum((digest(array[begin:end], start=begin) for begin, end in parts), Digest()) == digest(array)


def test_runs_that_threads_share_are_summed_once() -> None:
    array = values(1 << 19, np.dtype(np.float32)).reshape(512, 1024)
    total = Digest()
    for columns in ((0, 700), (700, 1024)):
        part = np.ascontiguousarray(array[:, slice(*columns)]).reshape(-1)
        runs = Region.box(array.shape, [(0, 512), columns]).runs(0, part.size)
        total += Digest(*kernels.sums(part.view(np.uint32), runs.starts, runs.bounds))
    assert total == digest(array)


@given(st.integers(0, 999), st.integers(0, 31))
def test_every_changed_bit_changes_the_digest(index: int, bit: int) -> None:
    array = values(1000, np.dtype(np.float32))
    changed = array.copy()
    changed.view(np.uint32)[index] ^= np.uint32(1 << bit)
    assert digest(changed).low != digest(array).low
    assert digest(changed).high != digest(array).high


@given(st.integers(0, 999), st.integers(0, 999))
def test_values_that_changed_places_change_the_digest(one: int, other: int) -> None:
    array = np.random.default_rng(1).permutation(1000).astype(np.float32)
    swapped = array.copy()
    swapped[[one, other]] = swapped[[other, one]]
    assert (digest(swapped) == digest(array)) == (one == other)


def test_flips_of_two_signs_change_the_digest() -> None:
    array = np.random.default_rng(2).standard_normal(64).astype(np.float32)
    seen = {digest(array)}
    for one in range(64):
        for other in range(one):
            flipped = array.copy()
            flipped[[one, other]] *= -1
            seen.add(digest(flipped))
    assert len(seen) == 1 + 64 * 63 // 2


def test_bits_count_and_not_numbers() -> None:
    zeros = np.zeros(4, np.float32)
    assert digest(zeros) != digest(-zeros)
    quiet, other = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    assert digest(np.array([quiet])) == digest(np.array([quiet])) != digest(np.array([other]))
    ones = np.ones(4, np.float32)
    assert len({digest(ones.astype(dtype)) for dtype in DTYPES}) == 4


def test_strides_and_byte_order_do_not_count() -> None:
    array = values(600, np.dtype(np.float32)).reshape(20, 30)
    assert digest(np.asfortranarray(array)) == digest(array) == digest(array.reshape(-1))
    assert digest(array[::2, ::3]) == digest(array[::2, ::3].copy())
    assert digest(array.astype(">f4")) == digest(array)


def test_what_has_no_elements_adds_nothing() -> None:
    assert digest(np.empty((0, 3), np.float32)) == Digest()
    assert str(Digest()) == "0" * 32
    assert digest(np.float32(0)) == digest(np.zeros(1, np.float32))  # type: ignore[arg-type]


def test_text_is_read_back() -> None:
    found = digest(np.ones(3, np.float32))
    assert Digest.parse(str(found)) == found
    for text in ("", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "٣" * 32, None):
        with pytest.raises(InvalidArgument, match="a digest is 32 hexadecimal digits"):
            Digest.parse(text)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"0 to 2\*\*64 - 1"):
        Digest(1 << 64)


@pytest.mark.parametrize("dtype", [np.complex128, object, "U3", "M8[s]"])
def test_other_elements_are_refused(dtype: Any) -> None:
    with pytest.raises(InvalidArgument, match="elements of 1, 2, 4 or 8 bytes"):
        digest(np.zeros(2, dtype))


def test_progress_is_told_in_bytes() -> None:
    told: list[tuple[int, str]] = []
    digest_tensor(ArrayTensor("a", np.zeros(3 << 19, np.float32)), advance=lambda *step: told.append(step))
    assert told == [(4 << 20, "a"), (2 << 20, "a")]
