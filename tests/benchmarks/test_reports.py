"""Tables, the files of a run, and the verdicts on targets."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import targets
from tests.benchmarks.effort import QUICK
from tests.benchmarks.results import Comparison, Results, Run
from tests.benchmarks.statistics import Spread
from tests.benchmarks.tables import Table, digits, size, with_quartiles


def test_a_table_is_aligned() -> None:
    table = Table("Speeds", ["who", "GB/s"], notes=["warm"])
    table.add("ours", "10.5")
    table.add("a peer", "9")
    assert table.markdown() == (
        "### Speeds\n\n| who    | GB/s |\n| ------ | ---: |\n| ours   | 10.5 |\n| a peer |    9 |\n\n- warm\n"
    )
    with pytest.raises(ValueError, match="2 columns"):
        table.add("one cell")


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1234"), (99.96, "100.0"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123")]
)
def test_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_units() -> None:
    assert [size(nbytes) for nbytes in (512, 64 << 10, 3 << 19, 1 << 30)] == ["512 B", "64 KiB", "1.5 MiB", "1 GiB"]
    assert with_quartiles(Spread(2, 1, 3, 9)) == "2.00 [1.00, 3.00]"


def fill(contenders: dict[str, float], distribution: str = "normal") -> Comparison:
    runs = {name: [Run(seconds), Run(2 * seconds)] for name, seconds in contenders.items()}
    return Comparison("Generation", (distribution, "4 MiB", "1 thread"), 4 << 20, runs, {"JAX rbg": "not installed"})


def test_speeds_and_ratios() -> None:
    comparison = fill({"ours: gaussian": 1.0, "MKL Philox": 2.0})
    assert comparison.rate("ours: gaussian").upper == pytest.approx((4 << 20) * (1 + 0.75) / 2, rel=0.1)
    ratio = comparison.faster("ours: gaussian", "MKL Philox")
    assert ratio is not None
    assert (ratio.lower, ratio.median, ratio.upper) == (2, 2, 2)
    assert comparison.faster("ours: gaussian", "JAX rbg") is None


def test_the_report_in_both_forms(tmp_path: Path) -> None:
    results = Results({"CPU": "a fast one"}, [fill({"ours: msra": 1.0})])
    results.tables.append(("Generation", Table("Speeds", ["who"])))
    markdown, document = results.write(tmp_path / "folder" / "today")
    assert markdown.read_text().startswith("# Benchmarks of caffe-filler\n\n- CPU: a fast one\n\n## Generation\n")
    (comparison,) = json.loads(document.read_text())["comparisons"]
    assert [run["seconds"] for run in comparison["runs"]["ours: msra"]] == [1.0, 2.0]
    assert comparison["unavailable"] == {"JAX rbg": "not installed"}


def test_verdicts_are_those_of_the_numbers() -> None:
    peers = {"MKL Philox": 2.0, "MKL ARS5": 0.5, "NumPy PCG64": 15.0, "NumPy SFC64": 13.0}
    results = Results({}, [fill({"ours: gaussian": 1.0, "ours: msra": 1.6, **peers})])
    found = {(target.work, target.measure): cases for target, cases in targets.judged(results)}
    assert [measure for _, measure in found] == ["x MKL Philox (icdf)", "x MKL ARS5 (icdf)", "x NumPy's best"]
    gaussian, msra = found["gaussian, msra", "x NumPy's best"]
    assert gaussian[0] == "gaussian, 4 MiB, 1 thread"
    assert (gaussian[1], msra[1]) == pytest.approx((13, 13 / 1.6))
    targets.run(QUICK, results, print)
    ((section, table),) = results.tables
    assert section == "Targets"
    assert [row[-1] for row in table.rows] == ["not met (1 of 2)", "not met", "not met (1 of 2)"]


def test_a_target_may_be_a_ceiling() -> None:
    target = targets.Target("work", "s", 3, at_most=True)
    assert target.met_by(3)
    assert not target.met_by(3.1)
