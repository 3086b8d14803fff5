"""Lines of source."""

import ast

from filler_server.models.torch.text import broken, dictionary, docstring, indented, statements


def test_a_line_that_fits_stays() -> None:
    assert broken("a = f(b, c)", 11) == ["a = f(b, c)"]


def test_a_long_line_is_broken_in_its_longest_bracket() -> None:
    assert broken("a[1] = f(bb, cc)", 15) == ["a[1] = f(", "    bb, cc", ")"]
    assert broken('f("(", g(c, dd, eee, ffff), [e, e])', 16) == [
        "f(",
        '    "(",',
        "    g(",
        "        c,",
        "        dd,",
        "        eee,",
        "        ffff,",
        "    ),",
        "    [e, e],",
        ")",
    ]
    assert broken("def forward(self, x) -> y:", 20) == ["def forward(", "    self, x", ") -> y:"]


def test_a_line_without_a_bracket_stays() -> None:
    assert broken("a + b + c", 5) == ["a + b + c"]
    assert broken("# a comment (long)", 5) == ["# a comment (long)"]


def test_indentation() -> None:
    assert indented(["a", "", "b"]) == ["    a", "", "    b"]
    assert statements(["a"], 2) == ["        a"]


def test_docstrings_hold_any_text() -> None:
    for text, read in [
        ("one", "one"),
        ('a "b" \\ c', 'a "b" \\ c'),
        ('"""', '"""'),
        ("ends with \\", "ends with \\"),
        ("x\ny\u2028", "x\ny\u2028"),
    ]:
        lines = docstring([text, text])
        assert len(lines) == 3
        assert ast.literal_eval("\n".join(lines)) == f"{read}\n{read}\n"
    assert docstring(["one"]) == ['"""one"""']


def test_dictionaries() -> None:
    assert dictionary({"a": 1.0, 'b"': "c"}) == '{"a": 1.0, "b\\"": "c"}'
