"""Text of strangers on terminals and in logs: names, types and messages may hold what a terminal obeys."""


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


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
