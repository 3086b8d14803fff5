import pytest

from caffe_filler.tables import table_lines

COLUMNS = [("name", "left"), ("kind", "left"), ("values", "right"), ("sha256", "left")]


def test_columns_are_aligned() -> None:
    rows = [["a", "conv", "1,000", "ab"], ["longer", "fc", "1", ""]]
    assert list(table_lines(COLUMNS, rows, 80)) == [
        "name    kind  values  sha256",
        "a       conv   1,000  ab",
        "longer  fc         1",
    ]


def test_figures_stand_apart_where_all_is_too_wide() -> None:
    rows = [["a", "conv", "1,000", "ab"], ["b", "a kind with words", "", ""]]
    assert list(table_lines(COLUMNS, rows, 24)) == [
        "name  kind",
        "    values  sha256",
        "a     conv",
        "     1,000  ab",
        "b     a kind with words",
    ]


def test_columns_of_text_stand_below_each_other_where_all_are_too_wide() -> None:
    columns = [("tensor", "left"), ("first", "left"), ("second", "left")]
    assert list(table_lines(columns, [["conv1/0", "64x3x7x7", "64x3x3x3"]], 20)) == [
        "tensor   first",
        "    second",
        "conv1/0  64x3x7x7",
        "    64x3x3x3",
    ]


def test_the_last_cell_may_be_long_and_breaks_between_words() -> None:
    rows = [["a", "x 1x2, y 3x4, z 5x6", "", ""], ["b", "c", "12", "d"]]
    assert list(table_lines(COLUMNS, rows, 30))[1] == "a     x 1x2, y 3x4, z 5x6"
    assert list(table_lines(COLUMNS, rows, 18))[2:4] == ["a     x 1x2, y", "        3x4, z 5x6"]


@pytest.mark.parametrize("width", [1, 5, 20])
def test_no_word_is_cut(width: int) -> None:
    assert list(table_lines([("name", "left")], [["n" * 50]], width)) == ["name", "n" * 50]


def test_characters_of_east_asia_are_two_columns_wide() -> None:
    columns = [("name", "left"), ("values", "right")]
    assert list(table_lines(columns, [["卷积", "1"], ["conv", "2"], ["größe", "3"]], 80)) == [
        "name   values",
        "卷积        1",
        "conv        2",
        "größe       3",
    ]


def test_names_cannot_steer_a_terminal() -> None:
    assert list(table_lines([("name", "left")], [["a\x1b[2J"]], 80)) == ["name", "a\\x1b[2J"]
