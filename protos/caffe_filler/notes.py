"""Remarks on a file that was read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell about a file.

    Attributes:
        message: the remark itself.
        line: line in the source, from 1; None for binary input or for the file as a whole.
        column: column in the source, from 1.
        layer: name of the layer it belongs to, where there is one.
    """

    message: str
    line: int | None = None
    column: int | None = None
    layer: str | None = None

    def __str__(self) -> str:
        where = ""
        if self.line is not None:
            where = f"{self.line}: " if self.column is None else f"{self.line}:{self.column}: "
        whose = "" if self.layer is None else f"layer '{self.layer}': "
        return where + whose + self.message
