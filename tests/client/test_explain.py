"""Fillers, initializers and modules explained."""

import json
from typing import Any

import pytest

import filler_client
from caffe_filler.errors import FillerParameterError, InvalidArgument, ShapeError, UnknownFiller
from filler_server.fillers import registered
from filler_server.frameworks.modules import MODULES, module_of
from filler_server.frameworks.names import NAMES

FORMULAS = {
    'type: "constant" value: 0.1': "x = 0.1",
    'type: "uniform" min: -0.5 max: 2': "x ~ U[-0.5, 2]",
    'type: "gaussian" mean: 1 std: 0.02': "x ~ N(1, 0.02^2)",
    'type: "gaussian" std: 0.5 sparse: 16': "x ~ N(0, 0.5^2) with probability 16 / 64 = 0.25, else 0",
    'type: "xavier"': "x ~ U[-0.142857, 0.142857], 0.142857 = sqrt(3 / 147)",
    'type: "xavier" variance_norm: AVERAGE': "x ~ U[-0.0427504, 0.0427504], 0.0427504 = sqrt(3 / ((147 + 3136) / 2))",
    'type: "msra" variance_norm: FAN_OUT': "x ~ N(0, 0.0252538^2), 0.0252538 = sqrt(2 / 3136)",
    'type: "variance_scaling_truncated" value: 2': (
        "x ~ N(0, 0.132605^2) given |x| <= 0.265209, 0.132605 = sqrt(2 / 147) / 0.879626"
    ),
    'type: "variance_scaling_uniform" value: 0.5': "x ~ U[-0.101015, 0.101015], 0.101015 = sqrt(1.5 / 147)",
    'type: "truncated_gaussian" std: 0.5 max: 2': "x ~ N(0, 0.5^2) given -1 <= x <= 2",
    'type: "positive_unitball"': "x = u / (the sum of u over its row), u ~ U[0, 1], 64 rows of 147 values",
    'type: "bilinear"': "x = (1 - |i / 4 - 0.75|) (1 - |j / 4 - 0.75|), 0 <= i, j < 7",
    'type: "orthogonal" value: 2': "a matrix of 64 x 147 with orthonormal rows, times 2",
    'type: "dirac"': "x[i, i, 3, 3] = 1 for i < 3, else 0",
}
SHAPE = (64, 3, 7, 7)


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_have_their_numbers(text: str) -> None:
    (part,) = filler_client.explain(text, SHAPE).parts
    assert part.formula is not None
    assert part.formula.numbers == FORMULAS[text]
    assert (part.fan_in, part.fan_out) == (147, 3136)


@pytest.mark.parametrize("kind", registered())
def test_every_type_is_explained(kind: str) -> None:
    shape = (6, 4) if kind == "identity" else (6, 4, 3, 3)
    found = filler_client.explain(kind, shape)
    (part,) = found.parts
    assert part.formula is not None
    assert part.distribution is not None
    assert part.description
    assert (part.bars is None) == (kind == "constant")
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["parameters"][0]["std"] == pytest.approx(
        part.distribution.std
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_initializer_is_explained(name: str) -> None:
    if name in ("jax.constant", "torch.constant_", "jax.variance_scaling"):
        pytest.skip("it has no defaults")
    shape = (6, 4, 3, 3) if "dirac" in name else (6, 4)
    assert filler_client.explain(name, shape).parts[0].distribution is not None


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("shape", [None, (12, 5)])
def test_every_module_is_explained(name: str, shape: Any) -> None:
    found = filler_client.explain(name, shape)
    assert [part.name for part in found.parts] == [parameter.name for parameter in MODULES[name].parameters]
    assert (shape is None) == any("shape" in note and "formulas numbers" in note for note in found.notes) or all(
        part.distribution for part in found.parts
    )
    assert str(found)


def test_a_module_has_the_numbers_of_its_shape() -> None:
    weight, bias = filler_client.explain("torch.nn.Conv2d", SHAPE).parts
    assert weight.distribution is not None
    assert bias.distribution is not None
    assert weight.distribution.maximum == pytest.approx(147**-0.5)
    assert bias.distribution.maximum == pytest.approx(147**-0.5)
    assert bias.formula is not None
    assert bias.formula.symbols == "x ~ U[-s, s], s = 1 / sqrt(fan_in)"
    kernel, recurrent, _ = filler_client.explain("keras.layers.LSTM", (40, 7)).parts
    assert kernel.formula is not None
    assert kernel.formula.numbers is not None
    assert "sqrt(3 / ((7 + 40) / 2))" in kernel.formula.numbers
    assert recurrent.shape == (40, 10)
    for part in filler_client.explain("torch.nn.LSTM", (40, 7)).parts:
        assert part.distribution is not None
        assert part.distribution.maximum == pytest.approx(10**-0.5)


def test_modules_have_the_prefixes_under_which_they_are_imported() -> None:
    names = [
        "nn.Linear",
        "tf.keras.layers.Dense",
        "layers.Dense",
        "nn.Dense",
        "linen.Conv",
        "nnx.Linear",
        "nn.Conv2d()",
    ]
    found = [filler_client.explain(name).source for name in names]
    assert found == [
        "torch.nn.Linear",
        "keras.layers.Dense",
        "keras.layers.Dense",
        "flax.linen.Dense",
        "flax.linen.Conv",
        "flax.nnx.Linear",
        "torch.nn.Conv2d",
    ]
    assert module_of("Linear") is None


@pytest.mark.parametrize("text", ["xavier", "msra", "positive_unitball", "bilinear", "orthogonal", "keras.HeNormal"])
def test_a_shape_is_asked_for_where_it_counts(text: str) -> None:
    with pytest.raises(ShapeError, match=r"give shape=\(64, 3, 7, 7\)"):
        filler_client.explain(text)


@pytest.mark.parametrize("text", ["gaussian", "uniform", "constant", "truncated_gaussian", "torch.normal_"])
def test_a_shape_is_not_asked_for_elsewhere(text: str) -> None:
    assert filler_client.explain(text).parts[0].distribution is not None


def test_unknown_names_are_told_with_the_nearest() -> None:
    for text, near in (
        ("xavir", "did you mean 'xavier'"),
        ("torch.nn.Liner", "did you mean 'torch.nn.Linear'"),
        ("keras.layers.Dens", "did you mean 'keras.layers.Dense'"),
        ("keras.HeNorml", "did you mean 'keras.HeNormal'"),
        ('type: "gausian"', "did you mean 'gaussian'"),
    ):
        with pytest.raises(UnknownFiller, match=near):
            filler_client.explain(text)


@pytest.mark.parametrize("text", ["", "  ", "1 + 1", "x" * 5000, "torch.nn.Linear(3, 4)", "\x1b[31m", "é"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises((InvalidArgument, UnknownFiller)):
        filler_client.explain(text)


def test_wrong_shapes_and_fields_are_refused() -> None:
    with pytest.raises(ShapeError, match="height == width"):
        filler_client.explain("bilinear", (1, 1, 3, 4))
    with pytest.raises(ShapeError, match="every dimension"):
        filler_client.explain("xavier", (3, 0))
    with pytest.raises(ShapeError, match="at least one axis"):
        filler_client.explain("xavier", ())
    with pytest.raises(FillerParameterError, match="above 0"):
        filler_client.explain('type: "gaussian" std: -1')
    with pytest.raises(InvalidArgument, match="multiple of 4"):
        filler_client.explain("torch.nn.LSTM", (7, 3))
    with pytest.raises(InvalidArgument, match="two axes or more"):
        filler_client.explain("torch.nn.Linear", (7,))


def test_it_shows_as_text_and_as_a_table() -> None:
    found = filler_client.explain('type: "gaussian" std: 0.5')
    assert str(found).isascii()
    assert repr(found).startswith("Explained('type: \"gaussian\" std: 0.5'")
    assert "█" in "\n".join(found.lines(plain=False))
    html = found._repr_html_()
    assert "<caption>type: &quot;gaussian&quot; std: 0.5</caption>" in html
    assert "<pre>" in html


@pytest.mark.parametrize(
    "text",
    [
        'type: "constant" value: nan',
        'type: "constant" value: inf',
        'type: "gaussian" mean: 3e38 std: 1e38',
        'type: "uniform" min: 1 max: 1',
        'type: "uniform" min: -3e38 max: 3e38',
        'type: "truncated_gaussian" min: -inf max: inf',
        'type: "gaussian" std: 1e-45',
    ],
)
def test_odd_values_are_explained(text: str) -> None:
    found = filler_client.explain(text)
    assert str(found)
    json.dumps(found.as_dict(), allow_nan=False)
