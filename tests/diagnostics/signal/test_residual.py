"""Theory against many seeds: residual blocks, of which the branches go along with the sums that they are part of."""

from functools import cache
from statistics import fmean

import pytest

from filler_client import FillerClient
from tests.diagnostics.signal.residual import Squares, net, run

SEEDS = 60


@cache
def runs(*, gated: bool) -> list[tuple[Squares, Squares, Squares]]:
    return [run(seed, gated=gated) for seed in range(SEEDS)]


def means(parts: list[Squares]) -> Squares:
    return {name: fmean(part[name] for part in parts) for name in parts[0]}


@pytest.mark.parametrize("gate", [None, "Scale", "Axpy"])
def test_theory_is_the_mean_over_many_seeds(gate: str | None) -> None:
    measured = runs(gated=gate is not None)
    values, gradients, blobs = (means([made[part] for made in measured]) for part in range(3))
    report = FillerClient.embedded().signal(net(gate))
    found = {value.layer: value for value in report.values}
    for name, square in values.items():
        assert found[name].mean_square == pytest.approx(square, rel=0.1), name
    for name, square in gradients.items():
        assert found[name].gradient_mean_square == pytest.approx(square, rel=0.2), name
    parameters = {parameter.name: parameter for parameter in report.parameters}
    for name, square in blobs.items():
        # Where a channel's sum of gradients cancels, little is left, of which less is known.
        assert parameters[name].gradient_mean_square == pytest.approx(square, rel=0.5), name
