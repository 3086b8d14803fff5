"""Each name of Keras's and JAX's initializers against these themselves: Kolmogorov-Smirnov and moments."""

import os
from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from filler_client import FillerClient, translate
from filler_server.frameworks.names import NAMES

os.environ["KERAS_BACKEND"] = "jax"
pytestmark = pytest.mark.frameworks
jax = pytest.importorskip("jax")
keras = pytest.importorskip("keras")

SHAPE = (3, 3, 40, 200)
LAYOUT = "HWIO"

RANDOM = [
    "keras.initializers.RandomNormal()",
    "keras.initializers.RandomNormal(mean=1, stddev=0.5)",
    "keras.initializers.RandomUniform()",
    "keras.initializers.RandomUniform(-1, 3)",
    "keras.initializers.TruncatedNormal()",
    "keras.initializers.TruncatedNormal(0.5, 0.25)",
    "keras.initializers.VarianceScaling()",
    "keras.initializers.VarianceScaling(2, 'fan_out', 'untruncated_normal')",
    "keras.initializers.VarianceScaling(0.5, 'fan_avg', 'uniform')",
    "keras.initializers.GlorotNormal()",
    "keras.initializers.GlorotUniform()",
    "keras.initializers.HeNormal()",
    "keras.initializers.HeUniform()",
    "keras.initializers.LecunNormal()",
    "keras.initializers.LecunUniform()",
    "jax.nn.initializers.uniform()",
    "jax.nn.initializers.uniform(2.0)",
    "jax.nn.initializers.normal()",
    "jax.nn.initializers.truncated_normal()",
    "jax.nn.initializers.truncated_normal(0.5, lower=-1.0, upper=3.0)",
    "jax.nn.initializers.variance_scaling(2.0, 'fan_in', 'truncated_normal')",
    "jax.nn.initializers.variance_scaling(0.5, 'fan_avg', 'normal')",
    "jax.nn.initializers.variance_scaling(3.0, 'fan_out', 'uniform')",
    "jax.nn.initializers.glorot_normal()",
    "jax.nn.initializers.glorot_uniform()",
    "jax.nn.initializers.he_normal()",
    "jax.nn.initializers.he_uniform()",
    "jax.nn.initializers.kaiming_normal()",
    "jax.nn.initializers.kaiming_uniform()",
    "jax.nn.initializers.lecun_normal()",
    "jax.nn.initializers.lecun_uniform()",
    "jax.nn.initializers.xavier_normal()",
    "jax.nn.initializers.xavier_uniform()",
]
EXACT = [
    "keras.initializers.Zeros()",
    "keras.initializers.Ones()",
    "keras.initializers.Constant(0.3)",
    "keras.initializers.Identity(2.0)",
    "jax.nn.initializers.zeros",
    "jax.nn.initializers.ones",
    "jax.nn.initializers.constant(0.3)",
]
ORTHOGONAL = ["keras.initializers.Orthogonal(0.5)", "jax.nn.initializers.orthogonal(0.5)"]


def theirs(call: str, shape: tuple[int, ...], seed: int = 7) -> Any:
    initializer = eval(call, {"keras": keras, "jax": jax})  # the calls above
    if call.startswith("jax"):
        return np.asarray(initializer(jax.random.key(seed), shape), np.float64)
    keras.utils.set_random_seed(seed)
    return np.asarray(initializer(shape), np.float64)


def ours(call: str, shape: tuple[int, ...], layout: str, seed: int = 1701) -> Any:
    client = FillerClient.embedded()
    return client.fill(translate(call).filler, shape, seed=seed, name="w", layout=layout).astype(np.float64)


@pytest.mark.parametrize("call", RANDOM)
def test_distributions_are_theirs(call: str) -> None:
    mine, other = ours(call, SHAPE, LAYOUT), theirs(call, SHAPE)
    scale = other.std()
    assert abs(mine.mean() - other.mean()) < 5 * scale * sqrt(2 / mine.size)
    assert mine.std() == pytest.approx(scale, rel=5 * sqrt(2 / mine.size))
    assert stats.ks_2samp(mine.ravel(), other.ravel()).pvalue > 1e-4


@pytest.mark.parametrize("call", EXACT)
def test_values_are_theirs(call: str) -> None:
    np.testing.assert_array_equal(ours(call, (5, 7), "in,out"), theirs(call, (5, 7)))


@pytest.mark.parametrize("call", ORTHOGONAL)
def test_orthogonal_is_theirs_in_distribution(call: str) -> None:
    mine = [ours(call, (6, 9), "in,out", seed)[1, 2] for seed in range(150)]
    other = [theirs(call, (6, 9), seed)[1, 2] for seed in range(150)]
    assert stats.ks_2samp(mine, other).pvalue > 1e-3


def test_every_name_is_compared() -> None:
    named = [name for name in NAMES if name.startswith(("keras.", "jax."))]
    calls = " ".join((*RANDOM, *EXACT, *ORTHOGONAL)).lower().replace("_", "")
    assert [name for name in named if name.partition(".")[2].replace("_", "") not in calls] == []
