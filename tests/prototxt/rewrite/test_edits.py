import pytest

from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.rewrite.edits import Edits
from filler_server.prototxt.rewrite.syntax import Entry, read_entries

LINES = ["p {", "  q: 1", "}"]


def entries_of(source: str) -> list[Entry]:
    entries, error = read_entries(source, ReadLimits())
    assert error is None
    return [*entries, *(child for entry in entries for block in entry.blocks for child in block.entries)]


def removed(source: str, lines: list[str]) -> str:
    """The source without the fields that are called x; lines stand in place of the last one."""
    edits = Edits(source)
    gone = [entry for entry in entries_of(source) if entry.name == "x"]
    for entry in gone:
        edits.remove(entry.start, entry.end, lines if entry is gone[-1] else [])
    return edits.apply()


@pytest.mark.parametrize(
    ("source", "without"),
    [
        ("a: 1\nx: 2\nb: 3\n", "a: 1\nb: 3\n"),
        ("a: 1\r\n\tx: 2 \r\nb: 3\r\n", "a: 1\r\nb: 3\r\n"),
        ("a: 1\nx: 2", "a: 1\n"),
        ("x: 2", ""),
        ("a: 1\n  x: 2  # why\nb: 3", "a: 1\n  # why\nb: 3"),
        ("a: 1\n  x: 2, b: 3", "a: 1\n  b: 3"),
        ("a: 1 x: 2\nb: 3", "a: 1\nb: 3"),
        ("a: 1 x: 2  # why\nb: 3", "a: 1  # why\nb: 3"),
        ("a: 1 x: 2 b: 3", "a: 1 b: 3"),
        ("a:1,x:2,b:3", "a:1,b:3"),
        ("a{x:2}", "a{}"),
        ("a { x: 2 }", "a { }"),
        ("a {\n  x: 2 }", "a {\n  }"),
        ("a: 1 x: 2; x: 2\n x: 3 x: 4\nb: 3", "a: 1\nb: 3"),
        ("x { # one\n  y: 1 # two\n} # three\n", "# one\n# two\n# three\n"),
        ("a: 1 x { # one\r\n y: 1 }\r\n", "a: 1 # one\r\n\r\n"),
        ("a: 1 x { # one\n y: 1 } b: 1", "a: 1 # one\n b: 1"),
        ("  x { # one\n y: 1 } b: 1", "  # one\n  b: 1"),
    ],
)
def test_a_field_goes_without_a_trace(source: str, without: str) -> None:
    assert removed(source, []) == without


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("a: 1\nx: 2\nb: 3\n", "a: 1\np {\n  q: 1\n}\nb: 3\n"),
        ("a: 1\r\n\tx: 2\r\n", "a: 1\r\n\tp {\r\n\t  q: 1\r\n\t}\r\n"),
        ("  x: 2  # why", "  # why\n  p {\n    q: 1\n  }"),
        ("x: 2 # one\nx: 3 # two\n", "# one\n# two\np {\n  q: 1\n}\n"),
        ("  x: 2 b: 3", "  p {\n    q: 1\n  }\n  b: 3"),
        ("a: 1 x: 2 b: 3", "a: 1 p { q: 1 } b: 3"),
        ("a:1,x:2,b:3", "a:1,p { q: 1 } b:3"),
        ("a{x:2}", "a{p { q: 1 } }"),
        ("  a: 1 x { # one\n y: 1 } # two\n", "  a: 1 # one\n  p { q: 1 } # two\n"),
    ],
)
def test_lines_in_place_of_a_field(source: str, result: str) -> None:
    assert removed(source, LINES) == result


def test_one_line_leaves_the_comment_after_it() -> None:
    assert removed("  x: 2  # why", ["p: 1"]) == "  p: 1  # why"
    assert removed("x { # one\n} # two", ["p: 1"]) == "# one\np: 1 # two"
    assert removed("  x: 2;b: 3", ["p: 1"]) == "  p: 1 b: 3"


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("x { y: 1 k: 2 # k\n z: { } k { # 3\n } } # end", "# end\np {\n  q: 1\n}\nk: 2\nk { # 3\n }"),
        ("a: 1 x { k: 2 }", "a: 1 p { q: 1 } k: 2"),
        ("x { # one\n k: 2 # two\n y: 1 }", "# one\n# two\np {\n  q: 1\n}\nk: 2"),
    ],
)
def test_pieces_that_are_kept(source: str, result: str) -> None:
    edits = Edits(source)
    (entry,) = (entry for entry in entries_of(source) if entry.name == "x")
    kept = [(child.start, child.value_end) for child in entry.blocks[0].entries if child.name == "k"]
    edits.remove(entry.start, entry.end, LINES, kept)
    assert edits.apply().replace("# k\n", "") == result


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("a {\n    b: 1\n}\n", "a {\n    b: 1\n    p {\n      q: 1\n    }\n}\n"),
        (" a {\n }", " a {\n   p {\n     q: 1\n   }\n }"),
        ("a { b: 1 # b\n}", "a { b: 1 # b\n  p {\n    q: 1\n  }\n}"),
        ("a { b: 1 }", "a { b: 1 p { q: 1 } }"),
        ("a {}", "a { p { q: 1 } }"),
        ("a <\r\n\tb: 1>", "a <\r\n\tb: 1 p { q: 1 } >"),
    ],
)
def test_lines_at_the_end_of_a_block(source: str, result: str) -> None:
    edits = Edits(source)
    edits.insert_into(entries_of(source)[0].blocks[0], LINES)
    assert edits.apply() == result


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("x: 1\n", "p: 1\nx: 1\n"),
        ("a: 1 # a\n\n  # one\n\t# two\n  x: 1\n", "a: 1 # a\n\n  p: 1\n  # one\n\t# two\n  x: 1\n"),
        ("# one\r\nx: 1\r\n", "p: 1\r\n# one\r\nx: 1\r\n"),
        ("a: 1 x: 1", "a: 1 p: 1 x: 1"),
    ],
)
def test_lines_before_a_field_and_its_comments(source: str, result: str) -> None:
    edits = Edits(source)
    edits.insert_before(source.index("x:"), ["p: 1"])
    assert edits.apply() == result


def test_edits_are_made_at_once() -> None:
    source = "a: 1\nx: 2\nb {\n  c: 3\n}\n"
    edits = Edits(source)
    a, x, b, c = entries_of(source)
    edits.insert_into(b.blocks[0], ["d: 4"])
    edits.replace(c.value, c.value_end, "5")
    edits.remove(x.start, x.end)
    edits.replace(a.start, a.start + 1, "A")
    assert edits.apply() == "A: 1\nb {\n  c: 5\n  d: 4\n}\n"
    assert Edits(source).apply() == source
