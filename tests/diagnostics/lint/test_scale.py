import pytest

from tests.diagnostics.lint.looking import DATA, LABEL, codes, look, product, stack


@pytest.mark.parametrize(
    ("filler", "activation", "code"),
    [
        ('type: "gaussian" std: 0.03', "ReLU", "FIL007"),
        ('type: "gaussian" std: 0.2', "ReLU", "FIL008"),
        ('type: "uniform" min: -0.02 max: 0.02', "TanH", "FIL007"),
        ('type: "uniform" min: -0.3 max: 0.3', "TanH", "FIL008"),
        ('type: "gaussian" std: 1', "Sigmoid", "FIL008"),
        ('type: "xavier"', "ReLU", "FIL009"),
        ('type: "xavier"', "PReLU", "FIL009"),
        ('type: "msra"', "TanH", "FIL010"),
        ('type: "xavier"', "Sigmoid", "FIL047"),
    ],
)
def test_what_is_found(filler: str, activation: str, code: str) -> None:
    assert codes(stack(4, filler, activation)) == [code]


@pytest.mark.parametrize(
    ("filler", "activation"),
    [
        ('type: "msra"', "ReLU"),
        ('type: "xavier"', "TanH"),
        ('type: "gaussian" std: 0.06', "ReLU"),
        ('type: "gaussian" std: 0.1', "TanH"),
        ('type: "gaussian" std: 0.3', "Sigmoid"),
        ('type: "gaussian" std: 1 sparse: 15', "Sigmoid"),
        ('type: "orthogonal"', "TanH"),
    ],
)
def test_what_is_not(filler: str, activation: str) -> None:
    assert codes(stack(4, filler, activation)) == []


def test_a_net_of_one_layer_says_nothing_of_its_depth() -> None:
    (finding,) = look(stack(2, 'type: "gaussian" std: 0.01'))
    # The first layer reads the data, whose scale is not known.
    assert finding.layer == "ip2"
    assert finding.message == "std 0.01 over 256 inputs before a ReLU makes the root mean square 0.11 times what it was"
    assert finding.mend == "A std of 0.088 keeps the signal."


def test_the_depth_is_counted_along_one_way() -> None:
    (finding,) = look(stack(5, 'type: "gaussian" std: 0.01'), "FIL007")
    assert "4 such layers one after the other together 0.00016 times" in finding.message
    assert finding.message.endswith(
        "the same in 3 more layers: 'ip3' (0.11 times, std 0.088), 'ip4' (0.11 times, std 0.088), "
        "'ip5' (0.11 times, std 0.088)"
    )


def test_a_normalization_forgives() -> None:
    text = stack(3, 'type: "gaussian" std: 0.001', "BatchNorm")
    assert not {"FIL007", "FIL008"} & set(codes(text))


def test_a_huge_gain_is_found_whatever_follows() -> None:
    huge = 'type: "gaussian" std: 1e30'
    assert [finding.layer for finding in look(stack(2, huge, "Exp"), "FIL008")] == ["ip2"]
    assert look(stack(2, 'type: "gaussian" std: 0.2', "Exp"), "FIL008") == []
    assert look(stack(2, huge, "MVN"), "FIL008") == []


def _layers(*layers: str) -> str:
    """Return a net of inner products between the data and a loss, with a ReLU where none is named."""
    text, bottom = DATA + LABEL, "data"
    for number, layer in enumerate(layers):
        fields, _, activation = layer.partition(" | ")
        text += product(f"ip{number}", bottom, fields)
        kind = activation or 'type: "ReLU"'
        text += f'layer {{ name: "act{number}" {kind} bottom: "ip{number}" top: "act{number}" }}\n'
        bottom = f"act{number}"
    text += product("scores", bottom, 'num_output: 10 weight_filler { type: "xavier" }')
    return text + 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }\n'


MSRA = 'num_output: 256 weight_filler { type: "msra" }'


# `filler signal --simulate` measures factors of 0.73 (uniform), 0.99 (positive_unitball) and 13 (gaussian).
@pytest.mark.parametrize(
    ("filler", "found"),
    [
        ('type: "uniform" max: 0.01', []),
        ('type: "positive_unitball"', []),
        ('type: "gaussian" mean: 0.05 std: 0.005', ["FIL008"]),
        ('type: "gaussian" mean: 0.0005 std: 0.01', ["FIL007"]),
    ],
)
def test_weights_with_a_mean_add_up_what_their_inputs_have_in_common(filler: str, found: list[str]) -> None:
    text = _layers(MSRA, f"num_output: 256 weight_filler {{ {filler} }}")
    assert codes(text) == found


def test_the_mend_of_weights_with_a_mean_is_one_without() -> None:
    text = _layers(MSRA, 'num_output: 256 weight_filler { type: "gaussian" mean: 0.05 std: 0.005 }')
    (finding,) = look(text, "FIL008")
    assert finding.message.startswith("mean 0.05 and std 0.005 over 256 inputs before a ReLU makes")
    assert finding.mend == "Take weights whose mean is 0."


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('num_output: 512 weight_filler { type: "xavier" }', "leaves 0.71 of"),
        ('num_output: 512 weight_filler { type: "xavier" variance_norm: FAN_OUT }', "leaves 0.5 of"),
        ('num_output: 128 weight_filler { type: "xavier" variance_norm: FAN_OUT }', None),
        ('num_output: 256 weight_filler { type: "xavier" } | type: "PReLU"', "leaves 0.73 of"),
        ('num_output: 256 weight_filler { type: "xavier" } | type: "ReLU" relu_param { negative_slope: 0.9 }', None),
        ('num_output: 256 weight_filler { type: "xavier" } | type: "PReLU" prelu_param { filler { value: 1 } }', None),
        ('num_output: 256 weight_filler { type: "xavier" } | type: "ELU"', None),
        ('num_output: 256 weight_filler { type: "xavier" } | type: "BNLL"', None),
    ],
)
def test_what_xavier_leaves_before_a_relu(layer: str, message: str | None) -> None:
    found = look(_layers(layer), "FIL009")
    assert [message in finding.message for finding in found if message] == [True] * (message is not None)
    assert bool(found) == (message is not None)


@pytest.mark.parametrize(
    ("number", "norm", "message"),
    [(256, "FAN_IN", "1.41 times"), (64, "FAN_OUT", "2.83 times"), (512, "FAN_OUT", None), (768, "AVERAGE", None)],
)
def test_what_msra_makes_without_a_relu(number: int, norm: str, message: str | None) -> None:
    filler = f'weight_filler {{ type: "msra" variance_norm: {norm} }}'
    found = look(_layers(f'num_output: {number} {filler} | type: "TanH"'), "FIL010")
    assert [finding.message.split(" makes the root mean square ")[1] for finding in found] == (
        [f"{message} as large"] if message else []
    )


def test_small_weights_before_a_softplus_are_not_too_small() -> None:
    # log(1 + exp(x)) of small numbers is 0.69.
    small = 'num_output: 256 weight_filler { type: "gaussian" std: 0.001 } | type: "BNLL"'
    assert look(_layers(MSRA, small), "FIL007") == []
