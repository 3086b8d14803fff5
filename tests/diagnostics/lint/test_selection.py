import pytest

from caffe_filler.errors import InvalidArgument
from filler_server.diagnostics.lint import Selection, rules


def test_all_by_default() -> None:
    assert Selection.of().codes == set(rules())


def test_codes_and_prefixes_in_any_case() -> None:
    assert Selection.of(["FIL003", "fil01"]).codes == {"FIL003"} | {
        code for code in rules() if code.startswith("FIL01")
    }
    assert Selection.of(["FIL00"], ["FIL003"]).codes == {code for code in rules() if code.startswith("FIL00")} - {
        "FIL003"
    }
    assert Selection.of(["FIL003"], ["FIL"]).codes == set()


@pytest.mark.parametrize("pattern", ["FIL999", "", "E501", " ", "FIL0035"])
def test_unknown_codes_are_refused(pattern: str) -> None:
    for name in ("select", "ignore"):
        with pytest.raises(InvalidArgument, match=f"{name}: no rule has a code that begins so"):
            Selection.of(**{name: [pattern]})


def test_a_string_is_not_a_sequence_of_codes() -> None:
    with pytest.raises(InvalidArgument, match="a sequence of codes"):
        Selection.of("FIL003")
