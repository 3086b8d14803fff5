"""Parameters against their rules, from numbers that were measured."""

from dataclasses import replace
from math import sqrt

import pytest

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from filler_server.diagnostics.lint import Selection
from filler_server.diagnostics.lint.parameters import Measured, check_parameters

XAVIER = FillerParameter(type="xavier")
GOOD = Measured(
    "a.weight",
    (256, 1024),
    (256, 1024),
    rule="rule 1",
    filler=XAVIER,
    expected_mean=0.0,
    expected_std=sqrt(1 / 1024),
    count=256 * 1024,
    std=sqrt(1 / 1024),
    digest="a",
)


def found(*measured: Measured) -> list[tuple[str, str]]:
    findings = check_parameters(measured, Selection.of(), "model")
    return [(finding.code, finding.message) for finding in findings]


def test_what_is_as_declared_is_no_finding() -> None:
    assert found(GOOD, replace(GOOD, name="b", digest="b", std=GOOD.std * 1.019, mean=1e-4)) == []
    assert found(replace(GOOD, shape=(0, 4), held=(0, 4), count=0, expected_mean=None, expected_std=None)) == []
    few = replace(GOOD, shape=(4, 4), held=(4, 4), count=16, std=GOOD.std * 1.9)
    assert found(few) == []


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.05, "1.05 times as much"),
        (sqrt(2), "sqrt(2) times as much, the gain of a ReLU"),
        (sqrt(1 / 2), "without the gain of a ReLU"),
        (2, "as with the fans of input and output interchanged"),
        (0, "all values are 0"),
    ],
)
def test_another_spread_is_told_with_its_cause(factor: float, words: str) -> None:
    ((code, message),) = found(replace(GOOD, std=GOOD.std * factor))
    assert code == "FIL055"
    assert message.endswith(words)


def test_another_mean() -> None:
    ((code, message),) = found(replace(GOOD, mean=0.01))
    assert (code, message) == ("FIL055", "rule 1 promises the mean 0; measured: 0.01")


def test_constants_are_held_to_their_value() -> None:
    bias = replace(
        GOOD, shape=(8,), held=(8,), count=8, std=0.0, expected_std=0.0, expected_mean=0.1, mean=0.10009765625
    )
    assert found(bias) == []
    assert [code for code, _ in found(replace(bias, std=0.05))] == ["FIL055"]
    assert [code for code, _ in found(replace(bias, mean=0.2))] == ["FIL055"]


def test_the_spread_of_a_part_of_its_own() -> None:
    part = replace(GOOD, held=(256, 256), count=256 * 256, std=sqrt(1 / 256))
    ((code, message),) = found(part)
    assert code == "FIL056"
    assert "as for a tensor of 256x256" in message
    assert found(replace(part, std=GOOD.std)) == []


def test_what_is_not_filled() -> None:
    none = replace(GOOD, filler=None, rule="", expected_mean=None, expected_std=None)
    assert found(none) == [("FIL054", "no rule fits this parameter")]
    assert [code for code, _ in found(replace(GOOD, count=0))] == ["FIL054"]
    assert [code for code, _ in found(replace(GOOD, finite=False))] == ["FIL054"]


def test_bounds_that_never_count() -> None:
    wide = FillerParameter(type="truncated_gaussian", std=0.02, min=-2, max=2)
    declared = replace(GOOD, filler=wide, std=0.02, expected_std=0.02)
    assert found(declared, replace(declared, name="b", digest="b")) == [
        ("FIL057", "rule 1: its bounds lie 100 standard deviations from the mean")
    ]
    narrow = FillerParameter(type="truncated_gaussian", std=0.02, min=-0.06, max=0.06)
    assert found(replace(declared, filler=narrow)) == []


def test_random_values_that_are_the_same() -> None:
    assert found(GOOD, replace(GOOD, name="b")) == [("FIL058", "it holds the very values of 'a.weight'")]
    zeros = replace(GOOD, std=0.0, expected_std=0.0)
    assert found(zeros, replace(zeros, name="b")) == []


def test_findings_stand_in_the_order_of_the_parameters() -> None:
    last = replace(GOOD, name="c", digest="c", filler=None, expected_mean=None, expected_std=None)
    assert [code for code, _ in found(GOOD, replace(GOOD, name="b", digest="b", mean=1.0), last)] == [
        "FIL055",
        "FIL054",
    ]


def test_rows_that_are_zero_on_purpose() -> None:
    table = replace(GOOD, shape=(10, 1024), held=(10, 1024), count=10240, std=GOOD.std * sqrt(0.9), zero_rows=1)
    assert found(table) == []
    assert found(replace(table, zero_rows=0)) != []
