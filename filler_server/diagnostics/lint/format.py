"""Files that are not what they should be, old ones, and comments to lint itself."""

from collections.abc import Iterator

from caffe_filler.nearest import did_you_mean, nearest
from caffe_filler.printable import counted
from filler_server.diagnostics.lint.hits import Hit
from filler_server.diagnostics.lint.ignores import patterns
from filler_server.diagnostics.lint.registry import register, rules
from filler_server.diagnostics.lint.selection import codes_of
from filler_server.diagnostics.lint.source import Source
from filler_server.diagnostics.lint.subject import NetFile

UNREADABLE = "FIL001"


@register(
    UNREADABLE,
    "unreadable",
    "error",
    why="The file is malformed, or it is not a net or a solver, so that neither Caffe nor lint can read it.",
    mend="Correct what the message names.",
    scope="text",
)
def unreadable(source: Source) -> Iterator[Hit]:
    """Find nothing: a file that can be looked at has been read, and whoever reads it tells of one that cannot."""
    return iter(())


@register(
    "FIL031",
    "deprecated-syntax",
    "note",
    why="Caffe brings such a file to the current format each time it reads it, and newer tools do not read it at all.",
    mend="Let `filler upgrade` write it in the current format, or let lint fix it.",
    scope="file",
    fixes=True,
)
def deprecated_syntax(file: NetFile) -> Iterator[Hit]:
    """Find a net in an old format."""
    changes = [change for change in file.document.changes if "BatchNorm" not in change.message]
    if changes:
        first = changes[0]
        place = None if first.line is None else (first.line, first.column or 1)
        more = f" (and {counted(len(changes) - 1, 'more change')})" if len(changes) > 1 else ""
        yield Hit(f"the upgrade changes it: {first.message}{more}", place=place, name=first.layer)


@register(
    "FIL045",
    "unknown-ignore",
    "warning",
    why="A comment that ignores a code which no rule has ignores nothing.",
    mend="Correct the code; `filler rule` lists them.",
    scope="text",
)
def unknown_ignore(source: Source) -> Iterator[Hit]:
    """Find comments `# filler: ignore[...]` with unknown codes."""
    for place, comment, _ in source.comments():
        for pattern in patterns(comment) or ():
            if not codes_of(pattern):
                hint = did_you_mean(nearest(pattern, rules(), key=str.upper))
                yield Hit(f"no rule has a code that begins with '{pattern}'{hint}", place=place)
