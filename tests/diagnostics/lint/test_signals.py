"""Textbook cases of signals over many layers."""

import pytest

from tests.diagnostics.lint.looking import DATA, LABEL, look, product, stack


@pytest.mark.parametrize(
    ("depth", "filler", "activation", "code", "words"),
    [
        (20, 'type: "gaussian" std: 0.01', "ReLU", "FIL011", {"forward", "backward"}),
        (20, 'type: "xavier"', "ReLU", "FIL011", {"forward", "backward"}),
        (12, 'type: "xavier"', "Sigmoid", "FIL011", {"backward"}),
        (6, 'type: "gaussian" std: 1', "ReLU", "FIL012", {"forward", "backward"}),
    ],
)
def test_what_vanishes_and_what_explodes(depth: int, filler: str, activation: str, code: str, words: set[str]) -> None:
    found = look(stack(depth, filler, activation), "FIL011", "FIL012")
    assert {finding.code for finding in found} == {code}
    assert {finding.message.partition(",")[0] for finding in found} == words
    assert all(finding.layer is not None and finding.layer.startswith("ip") for finding in found)


@pytest.mark.parametrize(("filler", "activation"), [('type: "msra"', "ReLU"), ('type: "xavier"', "TanH")])
def test_what_keeps_its_size(filler: str, activation: str) -> None:
    assert look(stack(30, filler, activation), "FIL011", "FIL012") == []


def test_batch_norm_forgives() -> None:
    text, bottom = DATA + LABEL, "data"
    for number in range(40):
        name = f"ip{number}"
        text += product(name, bottom, 'num_output: 256 weight_filler { type: "gaussian" std: 0.01 }')
        for kind in ("BatchNorm", "Scale", "ReLU"):
            text += f'layer {{ name: "{name}_{kind}" type: "{kind}" bottom: "{name}" top: "{name}" }}\n'
        bottom = name
    text += product("scores", bottom, 'num_output: 10 weight_filler { type: "xavier" }')
    text += 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }\n'
    assert look(text, "FIL007", "FIL011", "FIL012") == []


def test_two_layers_have_no_course() -> None:
    assert look(stack(1, 'type: "gaussian" std: 1e-6'), "FIL011", "FIL012") == []


ZERO_SCALE = 'layer { name: "zero" type: "Scale" bottom: "ip1" top: "zero" scale_param { filler { value: 0 } } }\n'
CANCELLED = """layer { name: "zero" type: "Eltwise" bottom: "ip1" bottom: "ip1" top: "zero"
  eltwise_param { coeff: [1, -1] } }
"""


def _with(layer: str, bottom: str) -> str:
    """A short net with a layer in front of its classifier."""
    head, tail = stack(1, 'type: "msra"').split('layer {\n  name: "scores"')
    return head + layer + 'layer {\n  name: "scores"' + tail.replace('bottom: "ip1"', f'bottom: "{bottom}"')


@pytest.mark.parametrize("layer", [ZERO_SCALE, CANCELLED])
def test_a_signal_that_ends_is_found_in_short_nets(layer: str) -> None:
    (found,) = look(_with(layer, "zero"), "FIL011")
    assert found.layer == "zero"
    assert found.message == "forward, the signal ends: layer 'scores' gets nothing but zeros"


def test_a_residual_branch_may_start_with_zeros() -> None:
    total = 'layer { name: "sum" type: "Eltwise" bottom: "ip1" bottom: "zero" top: "sum" }\n'
    assert look(_with(ZERO_SCALE + total, "sum"), "FIL011") == []
