"""The frozen values of the philox stream, on every way to compute them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rng import philox_golden

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "philox_v1.json"


@pytest.fixture(scope="module")
def frozen() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"]
    return cases


def test_values_are_the_frozen_ones(frozen: list[dict[str, Any]]) -> None:
    assert philox_golden.cases() == frozen, f"the contract is broken; see {philox_golden.__file__}"


@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_NUM_THREADS": "1"},
        {"NUMBA_NUM_THREADS": "2"},
        {"NUMBA_NUM_THREADS": "8"},
        {"NUMBA_NUM_THREADS": "8", "NUMBA_THREADING_LAYER": "omp"},
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_FEATURES": "-avx512f"},
        {"NUMBA_CPU_FEATURES": "-avx512f,-avx2"},
        {"NUMBA_CPU_FEATURES": "-avx512f,-avx2,-fma"},
    ],
    ids=lambda environment: ",".join(f"{name}={value}" for name, value in environment.items()),
)
def test_values_depend_on_no_thread_count_and_no_cpu(frozen: list[dict[str, Any]], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.rng.philox_golden"],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["cases"] == frozen
