"""Brackets of the text format: what they have to do with each other, and how many there may be."""

from filler_server.cancellation import checkpoint
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.tokens import Tokens

CLOSING = {"{": "}", "<": ">"}
"""The end of a block, by its beginning."""


class Blocks:
    """The brackets around the cursor."""

    def __init__(self, tokens: Tokens, limits: ReadLimits) -> None:
        self._tokens = tokens
        self._limits = limits
        self._fields = 0
        self.depth = 0

    def count(self) -> None:
        """Count a field, or a value of a list of unknown type.

        Raises:
            LimitExceeded: it is one too many.
        """
        self._fields += 1
        if self._fields > self._limits.fields:
            self._limits.check("fields", self._fields, line=self._tokens.place(self._tokens.offset)[0])

    def open(self) -> tuple[str, int]:
        """Go past an opening bracket; return it and its offset.

        Raises:
            LimitExceeded: it is one too many.
        """
        tokens = self._tokens
        text, offset = tokens.text, tokens.offset
        self.depth += 1
        if self.depth > self._limits.nesting:
            self._limits.check("nesting", self.depth, line=tokens.place(offset)[0])
        tokens.advance()
        return text, offset

    def at_end(self, opened: tuple[str, int], what: str) -> bool:
        """Whether the cursor is where a block ends; `what` names the block in errors.

        Raises:
            PrototxtError: the file ends here, or the bracket belongs to another kind of block.
        """
        checkpoint()
        tokens = self._tokens
        if tokens.kind == "end":
            raise tokens.error(f"{what} is never closed. Received: {opened[0]}", opened[1])
        if tokens.text not in ("}", ">"):
            return False
        closing = CLOSING[opened[0]]
        if tokens.text != closing:
            line, column = tokens.place(opened[1])
            expected = f"expected '{closing}' to close the block opened at {line}:{column}"
            raise tokens.error(f"{expected}. Received: {tokens.text}")
        return True

    def close(self) -> None:
        """Go past a closing bracket."""
        self.depth -= 1
        self._tokens.advance()

    def separate(self, opened: tuple[str, int]) -> None:
        """Go past the comma between two values of a list.

        Raises:
            PrototxtError: there is none.
        """
        tokens = self._tokens
        if tokens.kind == "end":
            raise tokens.error("the list that starts here is never closed. Received: [", opened[1])
        if not tokens.take(","):
            raise tokens.error(f"expected ',' or ']'. Received: {tokens.describe()}")
