"""Each rule finds the net on its page that is not so, and leaves alone the one that is nearly the same."""

import re

import pytest

from caffe_filler.errors import NotFound
from filler_server.diagnostics.lint import rule_of, rules
from tests.diagnostics.lint.looking import DATA, LABEL, codes, look, product

NETS = [code for code, rule in rules().items() if rule.scope != "parameters"]
"""Rules about nets and solvers; those about parameters have tests of their own."""

EXAMPLE = re.compile(r"^```prototxt\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", NETS)
def test_the_examples_of_the_page(code: str) -> None:
    rule = rules()[code]
    bad, good = EXAMPLE.findall(rule.page)
    assert code in codes(bad)
    assert code not in codes(good)


@pytest.mark.parametrize("code", rules())
def test_every_rule_has_a_page(code: str) -> None:
    assert rules()[code].page.startswith(f"# {code} {rules()[code].name}\n")


@pytest.mark.parametrize(
    ("layer", "is_found"),
    [
        ('type: "Tile" tile_param { tiles: 2 }', True),
        ('type: "Concat" bottom: "data"', True),
        ('type: "Permute" permute_param { order: [0, 2, 1, 3] }', True),
        ('type: "Concat"', False),
        ('type: "ReLU"', False),
    ],
)
def test_another_shape_in_place(layer: str, is_found: bool) -> None:
    net = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 3, 2, 4] } } }\n'
        'layer { name: "relu" type: "ReLU" bottom: "data" top: "relu" }\n'
        f'layer {{ name: "it" bottom: "relu" top: "relu" {layer} }}\n'
    )
    assert ("FIL052" in codes(net)) == is_found


@pytest.mark.parametrize(
    ("fields", "is_found"),
    [
        ("num_output: 1 transpose: true", False),
        ("num_output: 2 transpose: true", True),
        ("num_output: 1", False),
        ("num_output: 2", True),
    ],
)
def test_constant_weights_of_one_unit_are_no_finding(fields: str, is_found: bool) -> None:
    constant = f'{fields} weight_filler {{ type: "constant" value: 0.1 }}'
    net = DATA + product("ip", "data", constant)
    net += product("next", "ip", 'num_output: 10 weight_filler { type: "xavier" }')
    assert ("FIL004" in codes(net)) == is_found


@pytest.mark.parametrize(
    ("layer", "is_found"),
    [
        ('type: "BNLL"', True),
        ('type: "Log" log_param { shift: 4 }', True),
        ('type: "Clip" clip_param { min: -1 max: 1 }', True),
        ('type: "Power" power_param { power: 2 }', True),
        ('type: "Power" power_param { scale: 2 shift: 1 }', False),
        ('type: "Exp"', False),
        ('type: "ELU"', False),
        ('type: "PReLU"', False),
    ],
)
def test_a_gradient_from_an_overwritten_bottom(layer: str, is_found: bool) -> None:
    net = DATA + LABEL + product("ip", "data", 'num_output: 10 weight_filler { type: "xavier" }')
    net += f'layer {{ name: "it" bottom: "ip" top: "ip" {layer} }}\n'
    loss = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }\n'
    assert ("FIL052" in codes(net + loss)) == is_found
    assert "FIL052" not in codes(net)


@pytest.mark.parametrize(
    ("fields", "statistics", "is_found"),
    [
        ("", "", True),
        ("axis: 2", "", False),
        ("", "batch_norm_param { use_global_stats: true }", False),
    ],
)
def test_a_bias_that_a_batch_norm_takes_away(fields: str, statistics: str, is_found: bool) -> None:
    net = DATA.replace("256", "5, 256") + product("ip", "data", f"num_output: 10 bias_filler {{ value: 1 }} {fields}")
    net += f'layer {{ name: "bn" type: "BatchNorm" bottom: "ip" top: "bn" {statistics} }}\n'
    assert ("FIL020" in codes(net)) == is_found


def test_codes_names_and_sentences() -> None:
    assert list(rules()) == sorted(rules())
    assert all(re.fullmatch(r"FIL[0-9]{3}", code) and rule.code == code for code, rule in rules().items())
    names = [rule.name for rule in rules().values()]
    assert len(set(names)) == len(names) >= 40
    assert all(rule.why.endswith(".") and rule.mend.endswith(".") for rule in rules().values())


def test_a_rule_by_code_or_name_in_any_case() -> None:
    assert rule_of("fil003") is rule_of("Zero-Weights") is rules()["FIL003"]
    with pytest.raises(NotFound, match="did you mean 'zero-weights'"):
        rule_of("zero-weight")


@pytest.mark.parametrize("code", [code for code in NETS if code != "FIL001"])
def test_a_finding_stands_where_its_example_has_it(code: str) -> None:
    bad, _ = EXAMPLE.findall(rules()[code].page)
    lines = bad.split("\n")
    for finding in look(bad, code):
        assert finding.line is not None
        assert finding.column is not None
        assert lines[finding.line - 1][finding.column - 1 :].strip()
