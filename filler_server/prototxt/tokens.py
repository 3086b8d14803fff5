"""The tokens of protobuf's text format, as its C++ tokenizer cuts them (google/protobuf/io/tokenizer.cc)."""

import re
import unicodedata
from bisect import bisect_left

from caffe_filler.errors import PrototxtError
from filler_server.prototxt.report import Place

# One match takes the space and the comments in front of a token, and the token. The possessive quantifiers keep the
# time linear in the length whatever the text is. "wrong" is a number or character that starts no token.
_TOKEN = re.compile(
    r"""
    (?: [ \t\n\r\v\f]++ | \#[^\n\0]*+ )*+
    (?:
        (?P<identifier> [A-Za-z_][A-Za-z0-9_]*+ )
      | (?P<symbol> [{}:<>\[\],;()/*+=!?@$%&^|~`\\-] | \.(?![0-9]) )
      | (?P<float> (?: (?:0|[1-9][0-9]*+)\.[0-9]*+ | \.[0-9]++ | (?:0|[1-9][0-9]*+)(?=[eEfF]) )
                   (?: [eE][+-]?[0-9]++ )?+ [fF]?+ (?![A-Za-z0-9_.]) )
      | (?P<integer> (?: 0[xX][0-9A-Fa-f]++ | 0[0-7]*+ | [1-9][0-9]*+ ) (?![A-Za-z0-9_.]) )
      | (?P<string> "[^"\\\n\0]*+(?:\\[^\n\0][^"\\\n\0]*+)*+" | '[^'\\\n\0]*+(?:\\[^\n\0][^'\\\n\0]*+)*+' )
      | (?P<end> \Z )
      | (?P<wrong> \.?[0-9][A-Za-z0-9_.]*+ | . )
    )
    """,
    re.VERBOSE | re.DOTALL,
)


class Tokens:
    """A cursor over the tokens of a text; it holds one token at a time.

    Attributes:
        source: the whole text.
        kind: "identifier", "symbol", "integer", "float" or "string"; "end" after the last token.
        text: the token as it is written; a string with its quotes and escapes.
        offset: index of its first character in `source`.
    """

    __slots__ = ("_line_ends", "_matches", "kind", "offset", "source", "text")

    def __init__(self, source: str) -> None:
        self.source = source
        self._matches = _TOKEN.finditer(source)
        self._line_ends: list[int] | None = None
        self.kind = "end"
        self.text = ""
        self.offset = 0
        self.advance()

    def advance(self) -> None:
        """Go to the next token.

        Raises:
            PrototxtError: the text there is not a token.
        """
        match = next(self._matches)
        kind = match.lastgroup or "end"
        self.kind = kind
        self.text = match[kind]
        self.offset = match.start(kind)
        if kind == "wrong":
            line = self.source[self.offset :].partition("\n")[0]
            if self.text in "\"'\0" and "\0" in line:
                # To Caffe's parser it is the end of the text, also within strings and comments.
                raise self.error("a NUL character, which no text has. Received: U+0000", self.offset + line.index("\0"))
            raise self.error(_wrong(self.text))

    def take(self, symbol: str) -> bool:
        """Go past a symbol if it stands at the cursor, and say whether it did."""
        if self.text == symbol:
            self.advance()
            return True
        return False

    def place(self, offset: int) -> Place:
        """Line and column, both from 1, of an offset. Only a line feed ends a line, and each character is a column."""
        if self._line_ends is None:
            self._line_ends = [match.start() for match in re.finditer("\n", self.source)]
        before = bisect_left(self._line_ends, offset)
        start = self._line_ends[before - 1] + 1 if before else 0
        return before + 1, offset - start + 1

    def error(self, message: str, offset: int | None = None) -> PrototxtError:
        """An error at an offset, or at the cursor."""
        line, column = self.place(self.offset if offset is None else offset)
        return PrototxtError(message, line=line, column=column)

    def describe(self, start: int | None = None) -> str:
        """The source from an offset up to the token at the cursor, or this token alone, for an error."""
        if self.kind == "end":
            return "the end of the file"
        return shorten(self.text if start is None else self.source[start : self.offset] + self.text)


def shorten(text: str, length: int = 60) -> str:
    """A piece of the file, safe to print on one line."""
    shown = text if len(text) <= length else text[: length - 3] + "..."
    return shown.encode("unicode_escape").decode("ascii") if not shown.isprintable() else shown


def _wrong(text: str) -> str:
    """Return what is wrong with a text that starts no token."""
    if text in "\"'":
        return f"the string that starts here is not closed on its line. Received: {text}"
    if len(text) > 1 or (text.isascii() and text.isdigit()):
        return f"not a number. Received: {shorten(text)}"
    code = ord(text)
    if 0xDC80 <= code <= 0xDCFF:
        return f"a byte that is not UTF-8, outside of strings and comments. Received: 0x{code - 0xDC00:02x}"
    name = unicodedata.name(text, "a control character")
    return f"a character that may stand in strings and comments only. Received: U+{code:04X} ({name})"
