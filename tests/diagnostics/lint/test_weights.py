"""Weights that are zero or small on purpose, and nets that are meant for trained ones."""

from tests.diagnostics.lint.looking import DATA, LABEL, codes, look, product

LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "%s" bottom: "label" top: "loss" }\n'
XAVIER = 'num_output: 256 weight_filler { type: "xavier" }'
SMALL = 'num_output: 256 weight_filler { type: "gaussian" std: 0.001 }'


def relu(name: str) -> str:
    return f'layer {{ name: "{name}_relu" type: "TanH" bottom: "{name}" top: "{name}" }}\n'


def residual(fields: str) -> str:
    text = DATA + LABEL + product("stem", "data", XAVIER) + relu("stem")
    text += product("one", "stem", XAVIER) + relu("one") + product("two", "one", fields)
    text += 'layer { name: "sum" type: "Eltwise" bottom: "stem" bottom: "two" top: "sum" }\n'
    return text + product("scores", "sum", XAVIER) + LOSS % "scores"


def test_the_end_of_a_residual_branch_may_be_small_or_zero() -> None:
    assert codes(residual(SMALL)) == []
    assert codes(residual('num_output: 256 weight_filler { type: "constant" }')) == []
    assert codes(residual(SMALL).replace('bottom: "stem" bottom: "two"', 'bottom: "two" bottom: "two"')) == ["FIL007"]


def test_a_sum_of_unequal_branches_is_not_residual() -> None:
    text = residual(SMALL).replace('bottom: "stem" bottom: "two"', 'bottom: "other" bottom: "two"')
    text = text.replace('layer { name: "sum"', product("other", "stem", XAVIER) + 'layer { name: "sum"')
    assert codes(text) == ["FIL007"]


def test_the_last_layer_may_start_at_zero_or_small() -> None:
    for fields in ("num_output: 10", 'num_output: 10 weight_filler { type: "gaussian" std: 0.0001 }'):
        assert (
            codes(
                DATA + LABEL + product("ip", "data", XAVIER) + relu("ip") + product("out", "ip", fields) + LOSS % "out"
            )
            == []
        )


def test_a_net_for_deployment_needs_no_fillers() -> None:
    bare = "".join(
        product(f"ip{n}", f"ip{n - 1}" if n else "data", "num_output: 256") + relu(f"ip{n}") for n in range(5)
    )
    assert codes(DATA + bare) == []
    assert codes(DATA + bare + product("head", "ip4", XAVIER)) == []
    assert codes(DATA + LABEL + bare + LOSS % "ip4") == ["FIL002"]
    (finding,) = look(DATA + LABEL + bare + product("head", "ip4", XAVIER) + LOSS % "head")
    assert (finding.code, finding.layer) == ("FIL003", "ip0")
    assert "the same in 4 more layers" in finding.message


def test_one_hidden_layer_without_a_filler_is_found_without_a_loss_as_well() -> None:
    assert codes(DATA + product("ip", "data", "num_output: 256") + relu("ip") + product("out", "ip", XAVIER)) == [
        "FIL003"
    ]


def test_frozen_layers() -> None:
    frozen = product("ip", "data", XAVIER, "param { lr_mult: 0 }") + relu("ip") + product("out", "ip", XAVIER)
    assert codes(DATA + LABEL + frozen + LOSS % "out") == ["FIL027"]
    # A net that is not trained has no rates.
    assert codes(DATA + frozen) == []
    constant = frozen.replace('type: "xavier"', 'type: "constant" value: 0.01', 1)
    assert codes(DATA + LABEL + constant + LOSS % "out") == []


def test_stages_that_are_not_looked_at_are_no_findings() -> None:
    lower = product("low", "data", XAVIER, 'include { stage: "low" }').replace('top: "low"', 'top: "features"')
    upper = product("high", "data", XAVIER, 'include { stage: "high" }').replace('top: "high"', 'top: "features"')
    text = DATA + LABEL + lower + upper + product("out", "features", XAVIER) + LOSS % "out"
    assert codes(text) == []
