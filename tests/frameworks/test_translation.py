"""Calls of initializers read, and translated to and fro."""

from contextlib import suppress

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

import filler_client
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, InvalidArgument, UnknownFiller
from filler_client import translate
from filler_server.frameworks.calls import read_call
from filler_server.frameworks.names import NAMES
from filler_server.frameworks.translation import table

CALLS = {
    "torch.nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))": 'type: "variance_scaling_uniform" value: 0.33333334',
    "nn.init.kaiming_uniform_(w, a=5 ** 0.5, mode='fan_out')": (
        'type: "variance_scaling_uniform" value: 0.33333334 variance_norm: FAN_OUT'
    ),
    "init.kaiming_normal_(conv.weight.data, 0, 'fan_out', nonlinearity='relu')": 'type: "msra" variance_norm: FAN_OUT',
    "kaiming_normal_": 'type: "msra"',
    "torch.nn.init.kaiming_uniform_(w, nonlinearity='linear')": 'type: "xavier"',
    "torch.nn.init.xavier_uniform_(w)": 'type: "xavier" variance_norm: AVERAGE',
    "nn.init.xavier_uniform_(w, gain=nn.init.calculate_gain('relu'), generator=g)": (
        'type: "variance_scaling_uniform" value: 2 variance_norm: AVERAGE'
    ),
    "nn.init.normal_(w, std=0.02)": 'type: "gaussian" mean: 0 std: 0.02',
    "torch.nn.init.normal_(tensor=w, mean=-1, std=+2)": 'type: "gaussian" mean: -1 std: 2',
    "nn.init.trunc_normal_(w, std=.02)": 'type: "truncated_gaussian" min: -2 max: 2 mean: 0 std: 0.02',
    "nn.init.constant_(b, 1 / 4)": 'type: "constant" value: 0.25',
    "nn.init.dirac_(w)": 'type: "dirac" value: 1',
    "nn.init.orthogonal_(w, gain=nn.init.calculate_gain('tanh'))": 'type: "orthogonal" value: 1.6666666',
    "keras.initializers.HeNormal(seed=3)": 'type: "variance_scaling_truncated" value: 2',
    "tf.keras.initializers.GlorotUniform()": 'type: "xavier" variance_norm: AVERAGE',
    "keras.initializers.VarianceScaling(2, distribution='untruncated_normal')": 'type: "msra"',
    "TruncatedNormal(stddev=0.5)": 'type: "truncated_gaussian" min: -1 max: 1 mean: 0 std: 0.5',
    "keras.initializers.Orthogonal(gain=2)": 'type: "orthogonal" value: 2',
    "he_normal": 'type: "variance_scaling_truncated" value: 2',
    "jax.nn.initializers.lecun_normal(in_axis=-2, out_axis=-1)": 'type: "variance_scaling_truncated" value: 1',
    "nn.initializers.zeros_init()": 'type: "constant" value: 0',
    "flax.nnx.initializers.ones_init()": 'type: "constant" value: 1',
    "flax.linen.initializers.xavier_uniform()": 'type: "xavier" variance_norm: AVERAGE',
    "jax.nn.initializers.variance_scaling(2.0, 'fan_out', 'normal', dtype=jnp.float32)": (
        'type: "msra" variance_norm: FAN_OUT'
    ),
    "jax.nn.initializers.truncated_normal(0.5, upper=1.0)": (
        'type: "truncated_gaussian" min: -1 max: 0.5 mean: 0 std: 0.5'
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_are_translated(call: str) -> None:
    assert translate(call).text == CALLS[call]
    assert str(translate(call)).startswith(f"caffe  {CALLS[call]}")


@pytest.mark.parametrize("filler", dict.fromkeys(CALLS.values()))
def test_what_is_translated_back_means_the_same(filler: str) -> None:
    found = translate(filler)
    assert found.filler == text_format.Parse(filler, FillerParameter())
    assert any(found.calls.values())
    for call in found.calls.values():
        if call is not None:
            again = read_call(call)[1]
            assert again.type == found.filler.type
            for entry, value in found.filler.ListFields()[1:]:
                assert getattr(again, entry.name) == pytest.approx(value, rel=1e-6), call


scales = st.floats(0.015625, 64, width=32)


@given(st.sampled_from(["uniform", "gaussian", "truncated"]), scales, st.sampled_from(["FAN_IN", "FAN_OUT", "AVERAGE"]))
def test_any_variance_scaling_comes_back(kind: str, scale: float, norm: str) -> None:
    found = translate(f'type: "variance_scaling_{kind}" value: {scale} variance_norm: {norm}')
    assert (found.calls["torch"] is None) == (kind == "truncated" or (norm != "AVERAGE" and scale > 2 * (1 + 3e-8)))
    for call in found.calls.values():
        if call is not None:
            again = read_call(call)[1]
            own = {"xavier": ("uniform", 1), "msra": ("gaussian", 2)}.get(again.type)
            assert (own or (again.type.removeprefix("variance_scaling_"), again.value)) == (
                kind,
                pytest.approx(scale, rel=2e-6),
            )
            assert again.variance_norm == found.filler.variance_norm


def test_caffes_own_say_what_they_are() -> None:
    xavier, msra = translate("xavier"), translate(FillerParameter(type="msra"))
    assert xavier.calls == {
        "torch": "torch.nn.init.kaiming_uniform_(w, nonlinearity='linear')",
        "keras": "keras.initializers.LecunUniform()",
        "jax": "jax.nn.initializers.lecun_uniform()",
    }
    assert any("lecun_uniform" in note for note in xavier.notes)
    assert msra.calls["torch"] == "torch.nn.init.kaiming_normal_(w)"
    assert any("truncated" in note for note in msra.notes)
    assert any("[in, out]" in note for note in msra.notes)
    assert (xavier.is_caffe, translate("he_normal").is_caffe) == (True, False)
    for filler in ("bilinear", "positive_unitball", 'type: "gaussian" sparse: 3'):
        assert set(translate(filler).calls.values()) == {None}


def test_what_differs_is_said() -> None:
    assert any("±1 / sqrt(fan_in)" in note for note in translate("torch.kaiming_uniform_").notes)
    assert any("divided by 0.8796" in note for note in translate("keras.he_normal").notes)
    assert any("AVERAGE" in note for note in translate("torch.xavier_uniform_").notes)
    assert any("multiples of std in JAX" in note for note in translate("torch.trunc_normal_").notes)
    assert any("LAPACK" in note for note in translate("orthogonal").notes)


def test_the_table_has_all() -> None:
    sources = [entry.source for entry in table()]
    assert {source.partition("(")[0] for source in sources} == set(NAMES)
    assert filler_client.Translation is type(table()[0])


WRONG = {
    "a b": "is a name or a call",
    "": "is a name or a call",
    "he_normal(" + "(" * 400: "is a name or a call",
    "x" * 2000: "is a name or a call",
    "__import__('os').system('true')": "called by its name",
    "he_normal()()": "called by its name",
    "torch.nn.init.uniform_(3)": "the first argument of PyTorch's initializers is the tensor",
    "keras.HeNormal(scale=2)": "unexpected keyword argument 'scale'",
    "torch.nn.init.normal_(w, 1, 2, 3)": "too many positional arguments",
    "torch.nn.init.uniform_(-0.1, 0.1)": "the first argument of PyTorch's initializers is the tensor",
    "torch.nn.init.uniform_(-1 / math.sqrt(5), 1 / math.sqrt(5))": "the first argument of PyTorch's initializers is",
    "torch.nn.init.kaiming_normal_('fan_out')": "the first argument of PyTorch's initializers is the tensor",
    "torch.nn.init.normal_(w, *args)": "arguments are",
    "torch.nn.init.kaiming_normal_(*args)": "one by one",
    "torch.nn.init.normal_(w, **options)": "one by one",
    "torch.nn.init.normal_(w, std='x')": "std is a number",
    "torch.nn.init.normal_(w, std=x)": "Received: 'x'",
    "torch.nn.init.normal_(w, std=True)": "Received: 'True'",
    "torch.nn.init.normal_(w, std=9 ** 9 ** 9 ** 9)": "arithmetic",
    "torch.nn.init.normal_(w, std=1 / 0)": "arithmetic",
    "torch.nn.init.normal_(w, std=open('x'))": "arithmetic",
    "torch.nn.init.kaiming_normal_(w, mode='fan_avg')": "fan_in or fan_out",
    "torch.nn.init.kaiming_normal_(w, nonlinearity='gelu')": "nonlinearity is one of",
    "torch.nn.init.dirac_(w, groups=2)": "one group",
    "torch.nn.init.xavier_uniform_(w, gain=-2)": "0 or more. Received: gain=-2",
    "torch.nn.init.xavier_normal_(w, gain=-2)": "0 or more. Received: gain=-2",
    "keras.initializers.VarianceScaling(mode='fan')": "mode is one of",
    "keras.initializers.VarianceScaling(distribution='cauchy')": "distribution is one of",
    "jax.nn.initializers.variance_scaling(1.0)": "missing a required argument",
    "jax.nn.initializers.he_normal(in_axis=0)": "axis 0 is out",
    "constant()": "differ: write which is meant",
    # The second argument is the dtype.
    "jax.nn.initializers.truncated_normal(0.5, -1.0, 3.0)": "too many positional arguments",
    "truncated_normal": "differ: write which is meant",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_initializer_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_call(text)
    assert WRONG[text] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch.nn.init.xavier_unifrom_(w)", r"did you mean 'torch\.xavier_uniform_'"),
        ("nowhere.he_normal()", "no initializer of this name"),
        ("torch.nn.init.sparse_(w, 0.1)", "exact number of zeros"),
        ("jax.nn.initializers.delta_orthogonal()", "middle of a kernel"),
    ],
)
def test_unknown_names_are_refused(text: str, message: str) -> None:
    with pytest.raises(UnknownFiller, match=message):
        translate(text)


@pytest.mark.parametrize(
    "text",
    [
        "torch.nn.init.normal_(w, std=-1)",
        'type: "uniform" min: 3',
        "uniform_(w, 2, 1)",
        "torch.nn.init.trunc_normal_(w, std=0)",
        "torch.nn.init.trunc_normal_(w, std=1e-320)",
        "torch.nn.init.kaiming_uniform_(w, a=1e30)",
        "torch.nn.init.kaiming_normal_(w, a=1e200)",
        'type: "truncated_gaussian" std: 0 min: -1 max: 1',
        'type: "torch.trunc_normal_" std: 0',
        'type: "variance_scaling_uniform" value: 0',
        'type: "variance_scaling_uniform" value: -1',
        'type: "variance_scaling_gaussian" value: -1 variance_norm: AVERAGE',
    ],
)
def test_what_makes_no_filler_is_refused(text: str) -> None:
    for told in (translate, filler_client.explain):
        with pytest.raises(FillerParameterError):
            told(text)


@given(st.text(max_size=60))
def test_any_text_is_translated_or_refused(text: str) -> None:
    with suppress(InvalidArgument, UnknownFiller):
        read_call(text)


@pytest.mark.parametrize(
    "call",
    [
        "kaiming_uniform_(w, nonlinearity='tanh')",
        "kaiming_normal_(w, mode='fan_out', nonlinearity='selu')",
        "kaiming_uniform_(w, a=0.3)",
        "kaiming_normal_(w, a=0.2)",
        "xavier_uniform_(w, gain=0.3)",
    ],
)
def test_a_call_of_torch_comes_back_as_it_is(call: str) -> None:
    assert translate(f"torch.nn.init.{call}").calls["torch"] == f"torch.nn.init.{call}"
