"""Medians, ratios of rounds, and strict alternation."""

from functools import partial

import pytest

from tests.benchmarks.statistics import NotAvailable, alternate, paired_ratio, spread


def test_quartiles() -> None:
    found = spread([5, 1, 4, 2, 3])
    assert (found.lower, found.median, found.upper, found.count) == (2, 3, 4, 5)
    assert found.scaled(10).median == 30


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")]])
def test_no_spread_of_nothing(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="Received"):
        spread(samples)


def test_a_ratio_is_that_of_the_same_round() -> None:
    # The machine slows down tenfold in the last round; the ratio stays.
    found = paired_ratio([2, 4, 40], [1, 2, 20])
    assert (found.lower, found.median, found.upper) == (2, 2, 2)
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1, 2], [1])


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def contender(name: str) -> int:
        order.append(name)
        return len(order)

    samples, failed = alternate({name: partial(contender, name) for name in "ABC"}, 3)
    assert "".join(order) == "ABCABCABC"
    assert samples == {"A": [1, 4, 7], "B": [2, 5, 8], "C": [3, 6, 9]}
    assert failed == {}


def test_one_that_fails_is_left_out_and_named() -> None:
    calls = []

    def breaks() -> int:
        calls.append(1)
        if len(calls) == 2:
            raise NotAvailable("out of memory")
        return 0

    samples, failed = alternate({"breaks": breaks, "runs": lambda: 1}, 4)
    assert len(calls) == 2
    assert samples == {"runs": [1, 1, 1, 1]}
    assert failed == {"breaks": "out of memory"}
