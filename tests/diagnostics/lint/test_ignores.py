from tests.diagnostics.lint.looking import DATA, LABEL, codes, product

ODD = product(
    "ip", "data", 'num_output: 4 weight_filler { type: "xavier" std: 0.1 } bias_filler { type: "uniform" std: 2 }'
)


def test_without_a_comment_both_fields_are_found() -> None:
    assert codes(DATA + ODD) == ["FIL005", "FIL005"]


def test_a_comment_counts_for_its_line() -> None:
    lines = ODD.split("\n")
    for number, left in enumerate((2, 2, 0, 2)):
        marked = [f"{line}  # filler: ignore[FIL005]" if at == number else line for at, line in enumerate(lines)]
        assert len(codes(DATA + "\n".join(marked))) == left


def test_one_before_a_layer_counts_for_the_whole_layer() -> None:
    assert codes(f"{DATA}# filler: ignore[FIL005] on purpose\n{ODD}") == []
    assert codes(f"{DATA}# filler: ignore[FIL005]\n# and why\n\n{ODD}{ODD.replace('ip', 'other')}") == [
        "FIL005",
        "FIL005",
    ]
    assert codes(f"{DATA}# filler: ignore[fil00, FIL9]\n{ODD}") == ["FIL045"]


def test_one_on_a_line_of_its_own_counts_for_the_next_line() -> None:
    text = ODD.replace("  inner_product", "  # filler: ignore[FIL005]\n  inner_product")
    assert codes(DATA + text) == []


def test_strings_are_no_comments() -> None:
    text = ODD.replace('"ip"', '"# filler: ignore[FIL005]"')
    assert codes(DATA + text) == ["FIL005", "FIL005"]


def test_other_codes_and_other_words_ignore_nothing() -> None:
    assert codes(f"{DATA}# filler: ignore[FIL003]\n{ODD}") == ["FIL005", "FIL005"]
    assert codes(f"{DATA}# filler: ignore\n{ODD}") == ["FIL005", "FIL005"]
    assert codes(f"{DATA}# filler: ignore[]\n{ODD}") == ["FIL005", "FIL005"]
    assert "FIL045" in codes(f"{DATA}{LABEL}# filler: ignore[Ω]\n")
