import pytest

from filler_server.diagnostics.explain.plot import Bars, bars, plot
from filler_server.fillers.distributions import Constant, Gaussian, MaskedGaussian, Uniform


def test_bars_hold_the_shares_of_the_values() -> None:
    found = bars(Uniform(-1.0, 3.0), 8)
    assert found is not None
    assert (found.low, found.high) == (-1.0, 3.0)
    assert found.shares == pytest.approx([0.125] * 8)
    found = bars(Gaussian(2.0, 1.0), 61)
    assert found is not None
    assert sum(found.shares) == pytest.approx(0.998)
    assert found.shares.index(max(found.shares)) == 30


def test_a_value_with_a_probability_of_its_own_stands_in_its_bar() -> None:
    found = bars(MaskedGaussian(Gaussian(0.0, 1.0), 0.1), 61)
    assert found is not None
    assert max(found.shares) > 0.9
    assert bars(Constant(3.0), 10) is None


def test_lines() -> None:
    of = Bars(-1.0, 1.0, (0.0, 0.001, 0.25, 0.5, 0.25))
    assert plot(of, 2, plain=True) == ["   #", " .###", "-----", "-1  1"]
    assert plot(of, 1, plain=False)[0] == " ▁▄█▄"
