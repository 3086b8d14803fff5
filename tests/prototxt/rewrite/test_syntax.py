import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_filler.errors import LimitExceeded
from filler_server.prototxt.limits import ReadLimits
from filler_server.prototxt.rewrite.syntax import Entry, comments, read_entries

LIMITS = ReadLimits()


def entries_of(source: str) -> list[Entry]:
    entries, error = read_entries(source, LIMITS)
    assert error is None
    return entries


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("a: 1", "1"),
        ("a: - 1.5e3", "- 1.5e3"),
        ("a: MAX", "MAX"),
        ("a: 'x' \"y\"\n'z'", "'x' \"y\"\n'z'"),
        ("a: [1, [2, 3], 'x' 'y']", "[1, [2, 3], 'x' 'y']"),
        ("a { b: 1 }", "{ b: 1 }"),
        ("a: < b: 1 >", "< b: 1 >"),
        ("a: [{ b: 1 }, < >]", "[{ b: 1 }, < >]"),
        ("[some.extension]: 1", "1"),
        ("12: 1", "1"),
    ],
)
@pytest.mark.parametrize("separator", ["", ";", ",", " ;"])
def test_the_offsets_of_a_field(field: str, value: str, separator: str) -> None:
    source = f"# first\n  {field}{separator} # last\nnext: 1"
    entry, following = entries_of(source)
    assert entry.name == field[: len(entry.name)]
    assert source[entry.start : entry.value_end] == field
    assert source[entry.value : entry.value_end] == value
    assert source[entry.start : entry.end] == field + separator
    assert entry.is_list == value.startswith("[")
    assert following.name == "next"


def test_blocks() -> None:
    source = "a { b { c: 1 d: 2 } } e: [{ f: 1 }, { }, < g: 1 >] h: [1]"
    a, e, h = entries_of(source)
    assert [child.name for child in a.blocks[0].entries] == ["b"]
    assert [child.name for child in a.blocks[0].entries[0].blocks[0].entries] == ["c", "d"]
    assert [[child.name for child in block.entries] for block in e.blocks] == [["f"], [], ["g"]]
    assert [source[block.close] for block in (*a.blocks, *e.blocks)] == ["}", "}", "}", ">"]
    assert h.blocks == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("", []),
        ("a: 1 b", ["a"]),
        ("a: 1 b: $", ["a"]),
        ("a { b: 1 } c { d: 1", ["a"]),
        ("a: 1 }", ["a"]),
        ("a: [1 2]", []),
        ("\a", []),
    ],
)
def test_what_is_malformed_gives_the_fields_before(source: str, names: list[str]) -> None:
    entries, error = read_entries(source, LIMITS)
    assert [entry.name for entry in entries] == names
    assert (error is None) == (source == "")


def test_limits() -> None:
    for source in ("a { a { a { } } }", "a: [[[1]]]"):
        assert read_entries(source, ReadLimits(nesting=3))[1] is None
        with pytest.raises(LimitExceeded, match="nesting=2"):
            read_entries(source, ReadLimits(nesting=2))
    with pytest.raises(LimitExceeded, match="fields=2"):
        read_entries("a: 1 b { c: 1 }", ReadLimits(fields=2))


def test_comments() -> None:
    source = "a: '#1' # 2 \r\nb: \"\\\"#3\" # '4\n#\n# 5"
    assert list(comments(source, 0, len(source))) == ["# 2", "# '4", "#", "# 5"]
    assert list(comments(source, source.index("b"), source.index("# '4"))) == []


@given(st.lists(st.sampled_from(["a", ":", "{", "}", "[", "]", "1", "'x'", ",", ";", "-", "\n", "# c\n"]), max_size=12))
def test_entries_cover_all_tokens(tokens: list[str]) -> None:
    source = " ".join(tokens)
    entries, error = read_entries(source, LIMITS)
    position = 0
    for entry in entries:
        assert position <= entry.start < entry.value < entry.value_end <= entry.end
        between = source[position : entry.start]
        assert between.replace("# c", "").isspace() or between == ""
        position = entry.end
    if error is None:
        assert not source[position:].replace("# c", "").strip()
