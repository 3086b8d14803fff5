import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.printable import counted, number_text, printable, printable_json, shape_text

any_text = st.text(
    st.characters() | st.sampled_from("\x1b\x07\x7f\x9b\n\r\t\u202e\u2066\u2028\u200b\ufeff\ud800\U000e0001")
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv1/0", "conv1/0"),
        ("größe 卷积", "größe 卷积"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("one\ntwo\rthree\ttab", "one\\ntwo\\rthree\\ttab"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u2028b\ufeff", "a\\u2028b\\ufeff"),
        ("name\udcff", "name\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("", ""),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_is_kept() -> None:
    assert printable("a\tb\nc\x1b", keep="\n\t") == "a\tb\nc\\x1b"


@given(any_text)
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in shown)
    assert printable(shown) == shown


@given(any_text)
def test_text_that_prints_stays(text: str) -> None:
    kept = "".join(character for character in text if character.isprintable())
    assert printable(kept) == kept


@given(st.recursive(st.none() | any_text, lambda inner: st.lists(inner) | st.dictionaries(any_text, inner)))
def test_json_means_the_same(document: object) -> None:
    text = printable_json(json.dumps(document, indent=1, ensure_ascii=False))
    assert json.loads(text) == document
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0, "0"), (1234567, "1,234,567"), (0.05892556, "0.05893"), (2.0, "2"), (1e9, "1e+09")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("shape", "text"), [(None, "?"), ((), "scalar"), ((64, 3, 7, 7), "64x3x7x7"), ((1, None, 5), "1x?x5")]
)
def test_shapes(shape: tuple[int | None, ...] | None, text: str) -> None:
    assert shape_text(shape) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 tensors"), (1, "1 tensor"), (2, "2 tensors"), (12345, "12,345 tensors")]
)
def test_counts_are_in_the_right_number(number: int, text: str) -> None:
    assert counted(number, "tensor") == text
