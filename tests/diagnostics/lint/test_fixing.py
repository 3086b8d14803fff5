"""`fix_file` mends what is certain, and leaves the rest of the text alone."""

import pytest

from filler_server.diagnostics.lint import Selection, rules
from filler_server.diagnostics.lint.fixing import fix_file
from filler_server.net.planner import plan_net
from filler_server.prototxt import read_net
from tests.diagnostics.lint.looking import DATA, codes, product
from tests.diagnostics.lint.test_rules import EXAMPLE


def fixed(text: str, **options: list[str]) -> str:
    return fix_file(text.encode(), "net", Selection.of(**options)).data.decode()


def test_a_field_that_does_nothing_goes_and_comments_stay() -> None:
    text = DATA + product("ip", "data", 'num_output: 4 weight_filler { type: "xavier"  # as usual\n std: 0.1 # why\n }')
    expected = DATA + product("ip", "data", 'num_output: 4 weight_filler { type: "xavier"  # as usual\n # why\n }')
    assert [word for word in fixed(text).split() if word != "#"] == [word for word in expected.split() if word != "#"]
    assert "# as usual" in fixed(text)
    assert "# why" in fixed(text)


def test_names_are_corrected_where_they_stand() -> None:
    text = DATA + product("ip", "data", 'num_output: 4 weight_fillr { type: "xavier" }') + "# a comment"
    assert fixed(text) == text.replace("fillr", "filler")
    loss = (
        'layer { name: "p" type: "HingeLoss" bottom: "data" bottom: "data" top: "p" loss_param { normalization: FUL } }'
    )
    assert "normalization: FULL }" in fixed(DATA + loss)


def test_types_of_layers_are_left_to_people() -> None:
    text = DATA + 'layer { name: "r" type: "ReLUU" bottom: "data" top: "r" }\n'
    text += 'layer { name: "c" type: "Convolutoin" bottom: "data" top: "c" }\n'
    assert codes(text)[-1] == "FIL033"
    assert fixed(text) == text


def test_rates_of_statistics_become_zero() -> None:
    layer = 'layer { name: "bn" type: "BatchNorm" bottom: "data" top: "bn" %s}\n'
    for number in (1, 2, 3):
        result = fixed(DATA + layer % ("param { lr_mult: 1 } " * number))
        assert result.count("lr_mult: 0") == number
        assert "FIL022" not in codes(result)


def test_old_nets_are_upgraded_and_then_mended() -> None:
    text = (
        'input: "data" input_dim: 8 input_dim: 3 input_dim: 9 input_dim: 9\n# the one layer\n'
        'layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"\n'
        '  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" std: 1 } } }\n'
    )
    result = fixed(text)
    assert codes(result) == []
    assert "# the one layer" in result
    assert plan_net(read_net(result.encode())).parameters == 4 * 27 + 4


@pytest.mark.parametrize("code", [code for code, rule in rules().items() if rule.fixes])
def test_the_examples_of_the_pages(code: str) -> None:
    bad, _ = EXAMPLE.findall(rules()[code].page)
    result = fixed(bad)
    assert code not in codes(result)
    before, after = (plan_net(read_net(text.encode(), lenient=True)) for text in (bad, result))
    assert [layer.name for layer in before.layers] == [layer.name for layer in after.layers]
    assert [layer.tops for layer in before.layers] == [layer.tops for layer in after.layers]
    assert [blob.shape for blob in before.blobs] == [blob.shape for blob in after.blobs]


def test_only_what_is_selected_and_not_ignored_is_mended() -> None:
    text = DATA + product("ip", "data", 'num_output: 4 weight_filler { type: "xavier" std: 0.1 }')
    assert fixed(text, ignore=["FIL005"]) == text
    assert fixed(text, select=["FIL032"]) == text
    assert fixed(f"# filler: ignore[FIL]\n{text.removeprefix(DATA)}").count("std") == 1


def test_a_mend_that_does_not_hold_keeps_no_other_from_being_made() -> None:
    first = product("ip", "data", "num_output: 4 num_ouput: 5")
    second = product("other", "data", 'num_output: 4 weight_fillr { type: "xavier" std: 0.1 }')
    result = fixed(DATA + first + second)
    assert result == DATA + first + second.replace("fillr", "filler").replace(" std: 0.1", "")


def test_what_would_not_be_read_is_left_alone() -> None:
    text = DATA + product("ip", "data", "num_output: 4 num_ouput: 5")
    assert fixed(text) == text


def test_files_that_cannot_be_read_and_binary_ones_stay() -> None:
    for data in (b"layer {", b"", read_net(DATA.encode()).net.SerializeToString()):
        result = fix_file(data, "net", Selection.of())
        assert (result.data, result.findings) == (data, ())


def test_windows_line_ends_and_marks_stay() -> None:
    text = "\ufeff" + (DATA + product("ip", "data", 'num_output: 4 weight_fillr { type: "xavier" }')).replace(
        "\n", "\r\n"
    )
    assert fixed(text) == text.replace("fillr", "filler")
