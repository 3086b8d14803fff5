"""String literals of protobuf's text format."""

import re

_ESCAPE = re.compile(
    rb"\\(?:(?P<octal>[0-7]{1,3})|[xX](?P<hex>[0-9A-Fa-f]{1,2})"
    rb"|u(?P<high>[dD][89abAB][0-9A-Fa-f]{2})\\u(?P<low>[dD][c-fC-F][0-9A-Fa-f]{2})"
    rb"|u(?P<short>[0-9A-Fa-f]{4})|U(?P<long>00(?:0[0-9A-Fa-f]|10)[0-9A-Fa-f]{4})"
    rb"|(?P<letter>[abfnrtv\\?'\"])|(?P<wrong>[uU][0-9A-Fa-f]*|[\x80-\xff]+|.))",
    re.DOTALL,
)
_LETTERS = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


class EscapeError(ValueError):
    """An escape sequence that the text format does not have; `offset` is its place in the literal, from 0."""

    def __init__(self, escape: str, offset: int) -> None:
        super().__init__(escape)
        self.escape = escape
        self.offset = offset


def unquote(literal: str) -> bytes:
    r"""Return the bytes that a quoted literal stands for.

    Characters that surrogateescape made of bytes become those bytes again; two `\u` that are halves of a surrogate
    pair are one character.

    Raises:
        EscapeError: an unknown or incomplete escape sequence.
    """
    body = literal[1:-1].encode("utf-8", "surrogateescape")
    return body if b"\\" not in body else _ESCAPE.sub(_unescape, body)


def _unescape(match: re.Match[bytes]) -> bytes:
    if match["octal"]:
        return bytes([int(match["octal"], 8) & 0xFF])
    if match["hex"]:
        return bytes([int(match["hex"], 16)])
    if match["letter"]:
        letter = match["letter"][0]
        return bytes([_LETTERS.get(letter, letter)])
    if match["high"]:
        code = 0x10000 + ((int(match["high"], 16) & 0x3FF) << 10) + (int(match["low"], 16) & 0x3FF)
    elif match["short"] or match["long"]:
        code = int(match["short"] or match["long"], 16)
    else:
        before = match.string[: match.start()].decode("utf-8", "surrogateescape")
        raise EscapeError(match.group().decode("utf-8", "replace"), 1 + len(before))
    return chr(code).encode("utf-8", "surrogatepass")
