"""Expectations of normal variables, held to closed forms."""

from math import acos, log, pi, sqrt

import numpy as np
import pytest

from filler_server.diagnostics.signal.normal import (
    NODES,
    WEIGHTS,
    Kernel,
    expectations,
    largest,
    normal_cdf,
    quantiles,
    winners,
)
from filler_server.diagnostics.signal.probabilities import probabilities, shared_square, softmax


@pytest.mark.parametrize(("power", "moment"), [(0, 1), (1, 0), (2, 1), (4, 3), (6, 15)])
def test_the_nodes_have_the_moments_of_a_normal_variable(power: int, moment: float) -> None:
    assert WEIGHTS @ NODES**power == pytest.approx(moment, abs=1e-6)


@pytest.mark.parametrize("correlation", [-0.9, -0.3, 0.0, 0.3, 0.9, 1.0])
def test_the_kernel_of_relu_is_the_arc_cosine_kernel(correlation: float) -> None:
    kernel = Kernel(np.maximum(NODES, 0))
    angle = acos(correlation)
    exact = (sqrt(1 - correlation**2) + (pi - angle) * correlation) / (2 * pi)
    found = kernel(np.full(5, correlation))
    assert found == pytest.approx(np.full(5, exact), abs=1e-3)
    assert kernel.inverse(found) == pytest.approx(np.full(5, correlation), abs=1e-2)


@pytest.mark.parametrize("number", [1, 96, 97, 250])
def test_many_kernels_at_once_are_each_as_it_is_alone(number: int) -> None:
    random = np.random.default_rng(3)
    points, correlations = random.standard_normal((number, len(NODES))), random.uniform(-1, 1, (number, 7))
    alone = [Kernel(own)(pairs) for own, pairs in zip(points, correlations, strict=True)]
    assert expectations(points, correlations) == pytest.approx(np.array(alone), abs=1e-12)


@pytest.mark.parametrize(("number", "mean"), [(1, 0.0), (2, 1 / sqrt(pi)), (4, 1.02938), (9, 1.48501), (100, 2.50759)])
def test_the_largest_of_independent_normal_variables(number: int, mean: float) -> None:
    points, variance = largest(number, 0.0)
    assert WEIGHTS @ points == pytest.approx(mean, abs=2e-3)
    assert 0 < variance <= 1 + 1e-6


def test_the_largest_of_correlated_variables_has_the_common_part_of_all() -> None:
    points, _ = largest(4, 0.64)
    assert WEIGHTS @ points == pytest.approx(0.6 * 1.02938, abs=2e-3)
    assert largest(4, 1.0)[1] == 1


def test_small_values_seldom_win() -> None:
    share = winners(4, 0.0) ** 2
    assert WEIGHTS @ share == pytest.approx(1)
    # The largest of four is positive in 15 of 16 cases.
    assert WEIGHTS @ (share * (NODES > 0)) == pytest.approx(15 / 16, abs=1e-4)


def test_quantiles_of_a_mixture_keep_its_zeros() -> None:
    points = quantiles(np.append(NODES, 0.0), np.append(WEIGHTS / 2, 0.5))
    assert WEIGHTS @ (points == 0) == pytest.approx(0.5, abs=0.06)
    assert WEIGHTS @ points**2 == pytest.approx(0.5, rel=0.05)


def test_the_distribution_function() -> None:
    assert normal_cdf(np.array([-20, -1.959964, 0, 1.959964, 20])) == pytest.approx([0, 0.025, 0.5, 0.975, 1], abs=1e-6)


@pytest.mark.parametrize(("variance", "number"), [(0.0, 10), (0.5, 2), (1.0, 10), (4.0, 1000), (25.0, 10), (1e4, 5)])
def test_softmax_against_drawn_numbers(variance: float, number: int) -> None:
    drawn = sqrt(variance) * np.random.default_rng(1).standard_normal((4000, number))
    highest = drawn.max(1, keepdims=True)
    terms = np.exp(drawn - highest)
    chances = terms / terms.sum(1, keepdims=True)
    found = softmax(variance, number)
    assert found.square == pytest.approx((chances**2).sum(1).mean(), rel=0.04)
    assert found.log_sum == pytest.approx((highest[:, 0] + np.log(terms.sum(1))).mean(), rel=0.04)


def test_softmax_of_equal_numbers() -> None:
    assert softmax(0.0, 7) == (1 / 7, log(7))
    assert softmax(3.0, 1) == (1.0, 0.0)
    assert shared_square(10, 2.0, 0.0) == pytest.approx(0.1)
    assert shared_square(10, 2.0, 1.0) == softmax(2.0, 10).square


@pytest.mark.parametrize("number", [2, 10, 100])
@pytest.mark.parametrize("variance", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.9])
def test_two_softmaxes_of_correlated_numbers(number: int, variance: float, correlation: float) -> None:
    rng = np.random.default_rng(number)
    common, *own = rng.standard_normal((3, 400_000 // number, number))
    numbers = [sqrt(variance) * (sqrt(correlation) * common + sqrt(1 - correlation) * part) for part in own]
    terms = [np.exp(part - part.max(1, keepdims=True)) for part in numbers]
    first, second = (part / part.sum(1, keepdims=True) for part in terms)
    excess = float((first * second).sum(1).mean()) - 1 / number
    assert shared_square(number, variance, correlation) - 1 / number == pytest.approx(excess, rel=0.5)


@pytest.mark.parametrize("number", [2, 10, 1000])
@pytest.mark.parametrize("excess", [0.0, 1e-9, 1e-3, 0.1, 0.5])
def test_probabilities_have_their_mean_and_mean_square(number: int, excess: float) -> None:
    square = 1 / number + (1 - 1 / number) * excess
    found = probabilities(square, number)
    assert number * (WEIGHTS @ found) == pytest.approx(1, rel=1e-11)
    assert number * (WEIGHTS @ found**2) == pytest.approx(square, rel=1e-12)
    assert np.all(np.diff(found) >= 0)
