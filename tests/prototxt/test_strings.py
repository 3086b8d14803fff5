import pytest
from google.protobuf import text_encoding
from hypothesis import given
from hypothesis import strategies as st

from filler_server.prototxt.strings import EscapeError, unquote


@given(st.binary(max_size=40))
def test_undoes_the_escapes_of_protobuf(value: bytes) -> None:
    assert unquote(f'"{text_encoding.CEscape(value, as_utf8=False)}"') == value


@given(st.text(max_size=40).filter(lambda text: not set(text) & set('\\\n"')))
def test_leaves_the_rest_alone(value: str) -> None:
    assert unquote(f'"{value}"') == value.encode()


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"\a\b\f\n\r\t\v\\\?\'\""', b"\a\b\f\n\r\t\v\\?'\""),
        (r'"\0\12\1234\x4\x41g\Xff"', b"\0\n\x534\x04Ag\xff"),
        (r'"\u00e9\U0001F600"', "é😀".encode()),
        (r'"\ud83d\ude00\u0000"', "😀\0".encode()),
        ('"\udcff"', b"\xff"),
    ],
)
def test_escapes(literal: str, value: bytes) -> None:
    assert unquote(literal) == value


@pytest.mark.parametrize("escape", [r"\q", r"\x", r"\u12", r"\U0011", r"\U00110000", "\\é"])
def test_wrong_escapes(escape: str) -> None:
    with pytest.raises(EscapeError) as caught:
        unquote(f'"é\\n{escape} "')
    assert caught.value.escape == escape
    assert caught.value.offset == 4
