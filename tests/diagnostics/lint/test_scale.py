import pytest

from tests.diagnostics.lint.looking import codes, look, stack


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
