"""The fillers against bytes of Caffe itself, as far as they do not depend on the normal generator."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import FillerParameterError, ShapeError, UnknownFiller
from filler_server.rng.stream import Runs, Values
from tests.fillers.streams import GivenStream, fill, filler_of


class Mt19937Uniform(GivenStream):
    """Caffe's uniform values: MT19937 and Boost's uniform_real, which may reject an output and take the next."""

    def __init__(self, seed: int, skip: int) -> None:
        super().__init__(())
        self._generator = np.random.MT19937()
        self._generator._legacy_seeding(seed)  # type: ignore[attr-defined]
        self._generator.random_raw(skip)

    def uniform(self, out: Values, runs: Runs, low: float, high: float) -> None:
        number = out.dtype.type
        end = int(runs.starts[-1] + runs.bounds[-1] - runs.bounds[-2])
        beyond = np.nextafter(number(high), number(np.inf))
        accepted = self.values.astype(out.dtype)
        while accepted.size < end:
            outputs = self._generator.random_raw(end - accepted.size).astype(np.uint32).astype(out.dtype)
            drawn = outputs / number(2**32) * (beyond - number(low)) + number(low)
            accepted = np.append(accepted, drawn[drawn < beyond])
        self.values = accepted
        super().uniform(out, runs, low, high)


@pytest.fixture(scope="module")
def manifest(shared: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((shared / "golden" / "fill" / "manifest.json").read_text())["cases"]
    return cases


@pytest.mark.parametrize("kind", ["constant", "bilinear", "uniform", "xavier", "positive_unitball"])
def test_bytes_are_those_of_caffe(manifest: list[dict[str, Any]], kind: str) -> None:
    # Intervals near the largest float, which Boost computes in halves, are left to the tests of Caffe's own stream.
    cases = [case for case in manifest if case["type"] == kind and (kind == "constant" or "e+38" not in case["filler"])]
    assert len(cases) >= 6
    for case in cases:
        random = Mt19937Uniform(case["seed"], case["skip"])
        got = fill(case["filler"], tuple(case["shape"]), case["dtype"], random)
        assert hashlib.sha256(got.tobytes()).hexdigest() == case["sha256"], case["id"]


def test_what_caffe_refuses_is_refused(shared: Path) -> None:
    cases = json.loads((shared / "golden" / "fill" / "errors.json").read_text())["cases"]
    assert len(cases) >= 50
    for case in cases:
        filler = case["params"] if case["params"].startswith("type") else f'type: "{case["type"]}" {case["params"]}'
        too_long_for_caffe = "INT_MAX" in case.get("message", "")
        not_finite = "inf" in case["params"] or "nan" in case["params"]
        if (case["returncode"] == 0 and not not_finite) or too_long_for_caffe:
            filler_of(filler).check(tuple(case["shape"]))
            continue
        with pytest.raises((FillerParameterError, ShapeError, UnknownFiller), match="Received: "):
            filler_of(filler).check(tuple(case["shape"]))
