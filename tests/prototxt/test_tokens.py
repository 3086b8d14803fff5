import pytest

from caffe_filler.errors import PrototxtError
from filler_server.prototxt.tokens import Tokens, shorten


def tokens_of(source: str) -> list[tuple[str, str]]:
    tokens = Tokens(source)
    found = []
    while tokens.kind != "end":
        assert tokens.source.startswith(tokens.text, tokens.offset)
        found.append((tokens.kind, tokens.text))
        tokens.advance()
    return found


@pytest.mark.parametrize("text", ["0", "7", "10", "0x1F", "0Xff", "017", "00", "18446744073709551616"])
def test_integers(text: str) -> None:
    assert tokens_of(text) == [("integer", text)]


@pytest.mark.parametrize("text", ["1.", ".5", "0.5", "1e3", "1E-3", "1e+3", "1f", "0f", "1.5F", ".5e1f", "1.e2"])
def test_floats(text: str) -> None:
    assert tokens_of(text) == [("float", text)]


@pytest.mark.parametrize("text", ["089", "0x", "0xg", "1a", "1_0", "1e", "1e+", "1..5", "1.2.3", "00.5", "0x1.", "1f2"])
def test_wrong_numbers(text: str) -> None:
    with pytest.raises(PrototxtError, match=r"^2:3: not a number\. Received: " + text.rstrip("+")[:2]):
        tokens_of(f"a\n  {text}")


def test_what_stands_side_by_side() -> None:
    assert tokens_of("a:-1.5f,b<'x'\"y\">;[inf]") == [
        ("identifier", "a"),
        ("symbol", ":"),
        ("symbol", "-"),
        ("float", "1.5f"),
        ("symbol", ","),
        ("identifier", "b"),
        ("symbol", "<"),
        ("string", "'x'"),
        ("string", '"y"'),
        ("symbol", ">"),
        ("symbol", ";"),
        ("symbol", "["),
        ("identifier", "inf"),
        ("symbol", "]"),
    ]


def test_comments_and_space_are_nothing() -> None:
    assert tokens_of('# all of it { "\n\t\v\f\r a#b\n#') == [("identifier", "a")]
    assert tokens_of("") == []
    assert tokens_of("# at the end") == []


def test_strings_hold_quotes_and_hashes() -> None:
    assert [text for _, text in tokens_of(r""" "a#b" 'say "no"' "a\"b\\" """)] == ['"a#b"', "'say \"no\"'", r'"a\"b\\"']


@pytest.mark.parametrize("text", ['"abc', "'abc\"", '"abc\n"', '"abc\\"', '"abc\\\n"', '"'])
def test_open_strings(text: str) -> None:
    with pytest.raises(PrototxtError, match=r"^1:4: the string that starts here is not closed on its line"):
        tokens_of(f"a: {text}")


@pytest.mark.parametrize(
    ("character", "received"),
    [
        ("\xa0", r"U\+00A0 \(NO-BREAK SPACE\)"),
        ("\x00", r"U\+0000"),
        ("“", r"U\+201C \(LEFT DOUBLE QUOTATION MARK\)"),
        ("\udcff", "0xff"),
    ],
)
def test_characters_that_start_no_token(character: str, received: str) -> None:
    with pytest.raises(PrototxtError, match=rf"^2:4: .*Received: {received}"):
        tokens_of(f'"é"\n"é"{character}')


def test_places_count_line_feeds_and_characters() -> None:
    source = "ab\r\n\té\n\n"
    places = [Tokens(source).place(offset) for offset in range(len(source) + 1)]
    assert places == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1)]


def test_take_goes_past_one_symbol_only() -> None:
    tokens = Tokens("::a")
    assert tokens.take(":")
    assert tokens.take(":")
    assert not tokens.take(":")
    assert tokens.text == "a"


def test_what_is_shown_fits_one_line() -> None:
    assert shorten("a\nb\x00") == r"a\nb\x00"
    assert shorten("x" * 1000) == "x" * 57 + "..."
