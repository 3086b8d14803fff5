"""What a reader has to say about a file that it could read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that was passed over or mended; never silent, never fatal.

    Attributes:
        message: what it is and what was done about it.
        line: line in the source, from 1; None for binary input or for the file as a whole.
        column: column in the source, from 1.
        layer: name of the layer it belongs to, where there is one.
    """

    message: str
    line: int | None = None
    column: int | None = None
    layer: str | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f"{self.line}:{self.column}: "
        whose = "" if self.layer is None else f"layer '{self.layer}': "
        return where + whose + self.message
