"""The rule that fits a parameter, and what it fills it with."""

from math import sqrt

import pytest

from caffe_filler.errors import FillerParameterError, InvalidArgument, ShapeError
from filler_server.rules import Assignment, Parameter, Rules, read_rules

LINEAR = ("Mine", "my.nets.Mine", "Linear", "torch.nn.modules.linear.Linear")


def rules(*texts: str) -> Rules:
    return read_rules("\n".join(f"rule {{ {text} }}" for text in texts).encode())


def assigned(found: Assignment | None) -> Assignment:
    assert found is not None
    return found


def index(checked: Rules, name: str, **facts: object) -> int | None:
    found = checked.assign(Parameter(name, (4, 3), **facts))  # type: ignore[arg-type]
    return None if found is None else found.index


def test_the_first_rule_that_fits_counts() -> None:
    checked = rules('name: "a.*" filler { type: "msra" }', 'name: "*" filler { type: "xavier" }')
    assert index(checked, "a.weight") == 0
    assert index(checked, "b.a.weight") == 1
    assert index(rules('name: "a" filler { type: "msra" }'), "b") is None


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("*.weight", ["a.weight", "a.b.weight", ".weight"], ["weight", "a.weights", "A.WEIGHT"]),
        ("layers.?.w", ["layers.1.w"], ["layers.12.w", "layers..w"]),
        ("layers.[02].*", ["layers.0.w", "layers.2."], ["layers.1.w"]),
        ("[!a]*", ["b"], ["a", ""]),
        ("*", ["", "a", "ä.ß", "a\nb"], []),
        ("a.w", ["a.w"], ["axw", "a.w\n"]),
        ("(a|b)+", ["(a|b)+"], ["a"]),
    ],
)
def test_patterns_are_those_of_a_shell(pattern: str, fits: list[str], not_: list[str]) -> None:
    checked = rules(f'name: "{pattern}" filler {{ type: "msra" }}')
    assert all(index(checked, name) == 0 for name in fits)
    assert all(index(checked, name) is None for name in not_)


def test_a_pattern_takes_time_as_the_name_is_long() -> None:
    checked = rules('name: "' + "*a" * 40 + '" filler { type: "msra" }')
    assert index(checked, "a" * 4000 + "b") is None


def test_classes_are_compared_with_and_without_their_modules() -> None:
    for pattern in ("Linear", "Lin*", "torch.nn.*.Linear", "my.nets.*"):
        assert index(rules(f'module: "{pattern}" filler {{ type: "msra" }}'), "w", module=LINEAR) == 0
    for pattern in ("nets*", "*Mine.*", "torch.nn.Linear", "linear"):
        assert index(rules(f'module: "{pattern}" filler {{ type: "msra" }}'), "w", module=LINEAR) is None
    # The Python module of a class is not its name.
    assert index(rules('module: "*nets*" filler { type: "msra" }'), "w", module=LINEAR) is None


def test_a_module_may_have_to_lie_in_another() -> None:
    checked = rules('within: "Block" name: "*.w" filler { type: "msra" }')
    assert index(checked, "a.w", within=("Block", "my.Block")) == 0
    assert index(checked, "a.w", module=("Block",)) is None
    assert index(checked, "a.b", within=("Block",)) is None


def test_a_buffer_is_filled_only_where_a_pattern_names_it() -> None:
    others = 'name: ["*mean", "running_*", "*"] filler { type: "msra" }'
    checked = rules(others, 'name: "*.running_mean" filler { type: "constant" }')
    assert index(checked, "bn.running_mean", is_buffer=True) == 1
    assert index(checked, "bn.running_var", is_buffer=True) is None
    assert index(rules('filler { type: "msra" }'), "mask", is_buffer=True) is None
    assert index(rules('name: "mask" filler { type: "msra" }'), "mask", is_buffer=True) == 0


def test_expectations_are_those_of_the_whole_tensor() -> None:
    found = assigned(rules('filler { type: "xavier" variance_norm: FAN_OUT }').assign(Parameter("w", (6, 4, 3, 3))))
    assert (found.fan_in, found.fan_out, found.mean) == (36, 54, 0)
    assert found.std == pytest.approx(sqrt(1 / 54))
    assert found.stream == "w"


def test_a_bias_is_filled_by_the_fan_of_its_weight() -> None:
    checked = rules(
        'fan_of: "weight" filler { type: "variance_scaling_uniform" value: 0.33333333 }',
        'fan_of: "weight" filler { type: "msra" }',
    )
    bias = Parameter("a.bias", (5,), siblings={"weight": (5, 16), "bias": (5,)})
    found = assigned(checked.assign(bias))
    assert (found.filler.type, found.fan_in) == ("uniform", 16)
    assert (found.filler.min, found.filler.max) == (pytest.approx(-0.25), pytest.approx(0.25))
    assert found.std == pytest.approx(0.25 / sqrt(3))
    assert checked.assign(Parameter("a.bias", (5,), siblings={"bias": (5,)})) is None


@pytest.mark.parametrize(("kind", "filled"), [("msra", "gaussian"), ("jax.lecun_normal", "truncated_gaussian")])
def test_values_by_another_fan_keep_their_distribution(kind: str, filled: str) -> None:
    found = assigned(
        rules(f'fan_of: "w" filler {{ type: "{kind}" }}').assign(Parameter("b", (5,), siblings={"w": (5, 8)}))
    )
    own = assigned(rules(f'filler {{ type: "{kind}" }}').assign(Parameter("w", (5, 8))))
    assert found.filler.type == filled
    assert found.std == pytest.approx(own.std, rel=1e-6)


@pytest.mark.parametrize("axes", ['layout: "stack,in,out"', "axes { stacks: 0 inputs: 1 outputs: 2 }", 'layout: "SIO"'])
def test_axes_of_other_layouts_and_stacks_have_their_own_fans(axes: str) -> None:
    checked = rules(f'{axes} filler {{ type: "xavier" variance_norm: FAN_OUT }}')
    found = assigned(checked.assign(Parameter("w", (3, 8, 5))))
    assert (found.fan_in, found.fan_out) == (8, 5)
    assert found.std == pytest.approx(sqrt(1 / 5))
    assert found.axes is not None
    assert (found.axes.inputs, found.axes.outputs, found.axes.stacks) == ((1,), (2,), (0,))


def test_axes_belong_to_the_parameter_whose_fan_counts() -> None:
    checked = rules('layout: "in,out" fan_of: "kernel" filler { type: "msra" }')
    found = assigned(checked.assign(Parameter("bias", (5,), siblings={"kernel": (8, 5)})))
    assert (found.fan_in, found.axes) == (8, None)
    assert found.std == pytest.approx(sqrt(2 / 8))


@pytest.mark.parametrize("axes", ['layout: "in"', 'layout: "in,oot"', "axes { inputs: 2 }", "axes { inputs: [0, 0] }"])
def test_axes_that_a_parameter_does_not_have_are_refused(axes: str) -> None:
    with pytest.raises(InvalidArgument, match="parameter 'w', rule 1"):
        rules(f'{axes} filler {{ type: "msra" }}').assign(Parameter("w", (8, 5)))


def test_a_stream_takes_the_place_of_the_name() -> None:
    checked = rules('name: "conv1.weight" stream: "conv1/0" filler { type: "msra" }')
    assert assigned(checked.assign(Parameter("conv1.weight", (2, 3)))).stream == "conv1/0"


def test_what_cannot_be_filled_is_said_with_parameter_and_rule() -> None:
    with pytest.raises(ShapeError, match=r"parameter 'scale', rule 1: \*: "):
        rules('name: "*" filler { type: "xavier" }').assign(Parameter("scale", ()))
    with pytest.raises(FillerParameterError):
        rules('filler { type: "gaussian" sparse: 5 }').assign(Parameter("w", (3, 2)))


def test_nothing_is_expected_of_no_values() -> None:
    found = assigned(rules('filler { type: "xavier" }').assign(Parameter("w", (0, 3))))
    assert (found.mean, found.std, found.fan_in) == (None, None, None)
    found = assigned(rules('filler { type: "constant" value: 2 }').assign(Parameter("scale", ())))
    assert (found.mean, found.std, found.fan_in) == (2, 0, None)
