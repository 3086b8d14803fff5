"""Text for people: that of strangers, which may hold what a terminal obeys, and that of numbers and shapes."""

from collections.abc import Sequence


def printable(text: str, *, keep: str = "") -> str:
    r"""Return the text with every character that does not print as itself escaped, as Python writes it.

    These are control characters (ANSI sequences begin with one), line breaks, marks that change the direction of
    writing, invisible and unassigned characters, and halves of surrogate pairs.

    Args:
        text: any text.
        keep: characters to leave as they are.

    Example:
        >>> printable("conv1\x1b[31m\n")
        'conv1\\x1b[31m\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else _escaped(character) for character in text
    )


def printable_json(text: str) -> str:
    r"""Return a JSON document, line breaks aside, with the same characters escaped as JSON writes them (\uXXXX)."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else _json_escaped(character) for character in text
    )


def number_text(value: float | None) -> str:
    """Return a number with thousands separated, or in four significant digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def counted(number: int, thing: str) -> str:
    """Return a number and what it counts: `1 tensor`, `2 tensors`, `12,345 bytes`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def shape_text(dims: Sequence[int | None] | None) -> str:
    """Return a shape as 64x3x7x7, with ? for what is not known."""
    if dims is None:
        return "?"
    return "x".join("?" if dim is None else str(dim) for dim in dims) or "scalar"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
