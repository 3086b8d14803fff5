"""Initializers of other frameworks as fillers: the distributions by published formulas, fields, refusals."""

from math import sqrt
from typing import Any

import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import FillerParameterError, UnknownFiller
from filler_client import FillerClient
from filler_server.fillers import get_filler
from filler_server.fillers.diagonal import Diagonal
from filler_server.fillers.distributions import Constant, Gaussian, Uniform
from filler_server.fillers.orthonormal import OrthonormalFrame
from filler_server.fillers.truncation import TruncatedGaussian
from filler_server.frameworks.names import ALIASES, NAMES
from tests.fillers.streams import filler_of

SHAPE = (20, 7, 3, 3)
IN, OUT = 7 * 9, 20 * 9
AVERAGE = (IN + OUT) / 2


def bounded(variance: float) -> Uniform:
    return Uniform(-sqrt(3 * variance), sqrt(3 * variance))


def cut(variance: float) -> TruncatedGaussian:
    """Keras and JAX: truncated at two, divided by the standard deviation within two."""
    std = sqrt(variance) / 0.87962566103423978
    return TruncatedGaussian(0.0, std, -2 * std, 2 * std)


PUBLISHED: dict[str, Any] = {
    "torch.uniform_": Uniform(0.0, 1.0),
    "torch.normal_": Gaussian(0.0, 1.0),
    "torch.trunc_normal_": TruncatedGaussian(0.0, 1.0, -2.0, 2.0),
    "torch.zeros_": Constant(0.0),
    "torch.ones_": Constant(1.0),
    "torch.xavier_uniform_": bounded(2 / (IN + OUT)),
    "torch.xavier_normal_": Gaussian(0.0, sqrt(2 / (IN + OUT))),
    "torch.kaiming_uniform_": bounded(2 / IN),
    "torch.kaiming_normal_": Gaussian(0.0, sqrt(2 / IN)),
    "torch.dirac_": Diagonal(1.0, 4, 8 * 9, 7, 20 * 63),
    "torch.orthogonal_": OrthonormalFrame(63, 1.0, 20, 63),
    "keras.zeros": Constant(0.0),
    "keras.ones": Constant(1.0),
    "keras.constant": Constant(0.0),
    "keras.random_normal": Gaussian(0.0, 0.05),
    "keras.random_uniform": Uniform(-0.05, 0.05),
    "keras.truncated_normal": TruncatedGaussian(0.0, 0.05, -0.1, 0.1),
    "keras.variance_scaling": cut(1 / IN),
    "keras.orthogonal": OrthonormalFrame(63, 1.0, 20, 63),
    "jax.zeros": Constant(0.0),
    "jax.ones": Constant(1.0),
    "jax.uniform": Uniform(0.0, 0.01),
    "jax.normal": Gaussian(0.0, 0.01),
    "jax.truncated_normal": TruncatedGaussian(0.0, 0.01, -0.02, 0.02),
    "jax.orthogonal": OrthonormalFrame(63, 1.0, 20, 63),
    **{
        f"{framework}.{name}": distribution
        for framework in ("keras", "jax")
        for name, distribution in {
            "glorot_uniform": bounded(1 / AVERAGE),
            "glorot_normal": cut(1 / AVERAGE),
            "he_uniform": bounded(2 / IN),
            "he_normal": cut(2 / IN),
            "lecun_uniform": bounded(1 / IN),
            "lecun_normal": cut(1 / IN),
        }.items()
    },
}
"""For weights [20, 7, 3, 3], which are [3, 3, 7, 20] in Keras and JAX."""


def numbers(distribution: Any) -> dict[str, Any]:
    return {name: getattr(distribution, name) for name in type(distribution).__dataclass_fields__}


@pytest.mark.parametrize("name", PUBLISHED)
def test_distributions_are_the_published_ones(name: str) -> None:
    found = get_filler(FillerParameter(type=name)).distribution(SHAPE, np.dtype(np.float64))
    assert type(found) is type(PUBLISHED[name])
    assert numbers(found) == pytest.approx(numbers(PUBLISHED[name]), rel=1e-6)


def test_all_are_tried() -> None:
    assert set(NAMES) - set(PUBLISHED) == {
        *("torch.constant_", "torch.eye_", "keras.identity", "jax.constant", "jax.variance_scaling")
    }


def test_those_that_need_more_or_other_shapes() -> None:
    client = FillerClient.embedded()
    assert (client.fill("torch.eye_", (3, 4)) == np.eye(3, 4)).all()
    assert (client.fill('type: "keras.Identity" value: 2', (3, 3)) == 2 * np.eye(3)).all()
    for kind in ("torch.constant_", "jax.constant"):
        assert (client.fill(f'type: "{kind}" value: 0.5', (3, 3)) == 0.5).all()


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_are_the_same(alias: str) -> None:
    assert ALIASES[alias] in NAMES
    one, other = (FillerParameter(type=name) for name in (alias, ALIASES[alias]))
    if alias != "keras.Identity" and "dentity" not in alias:
        shape, dtype = SHAPE, np.dtype(np.float32)
        assert get_filler(one).distribution(shape, dtype) == get_filler(other).distribution(shape, dtype)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('type: "torch.kaiming_normal_"', 'type: "msra"'),
        ('type: "torch.kaiming_normal_" variance_norm: FAN_OUT', 'type: "msra" variance_norm: FAN_OUT'),
        ('type: "torch.xavier_uniform_"', 'type: "xavier" variance_norm: AVERAGE'),
        ('type: "torch.xavier_normal_" value: 2', 'type: "variance_scaling_gaussian" value: 4 variance_norm: AVERAGE'),
        ('type: "torch.uniform_" min: -1', 'type: "uniform" min: -1 max: 1'),
        ('type: "jax.uniform" max: 3', 'type: "uniform" max: 3'),
        ('type: "jax.truncated_normal" std: 2 max: 1', 'type: "truncated_gaussian" std: 2 min: -4 max: 2'),
        ('type: "keras.variance_scaling" value: 2', 'type: "variance_scaling_truncated" value: 2'),
        ('type: "torch.normal_" std: 0 mean: 3', 'type: "constant" value: 3'),
        ('type: "keras.lecun_uniform"', 'type: "xavier"'),
    ],
)
def test_fields_are_the_frameworks_parameters(text: str, same: str) -> None:
    with FillerClient.embedded() as client:
        assert client.fill(text, SHAPE, name="w").tobytes() == client.fill(same, SHAPE, name="w").tobytes()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('type: "torch.zeros_" value: 1', "value"),
        ('type: "torch.kaiming_uniform_" min: -1', "min"),
        ('type: "torch.kaiming_uniform_" variance_norm: AVERAGE', "type"),
        ('type: "keras.he_normal" variance_norm: FAN_OUT', "variance_norm"),
        ('type: "jax.normal" mean: 1', "mean"),
        ('type: "torch.constant_"', "value"),
        ('type: "jax.variance_scaling" value: 2', "variance_norm"),
        ('type: "jax.variance_scaling" value: 2 variance_norm: FAN_OUT', "type"),
        ('type: "torch.normal_" std: -1', "std"),
        ('type: "torch.uniform_" min: 2', "min"),
        ('type: "torch.uniform_" sparse: 2', "sparse"),
    ],
)
def test_fields_that_do_not_fit_are_refused(text: str, field: str) -> None:
    with pytest.raises(FillerParameterError, match="Received: ") as caught:
        filler_of(text)
    assert caught.value.field == field


def test_unknown_names_name_the_nearest() -> None:
    with pytest.raises(UnknownFiller, match=r"did you mean 'keras\.he_normal'\?.*names of PyTorch, Keras and JAX"):
        filler_of('type: "keras.he_norml"')
    with pytest.raises(UnknownFiller, match=r"no filler of this type"):
        FillerClient.embedded().fill("keras.he_normal", (3, 3), stream="caffe")
