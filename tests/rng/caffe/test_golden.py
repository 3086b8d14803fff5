"""The stream against frozen values, and against those of real Caffe where they lie beside the checkout."""

import hashlib
import json
import os
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

from filler_server.rng.caffe.boost import Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.stream import Runs
from tests.fillers.streams import prepared
from tests.rng.caffe import golden

ROOT = Path(__file__).resolve().parents[3]
FROZEN = json.loads((ROOT / "tests" / "golden" / "caffe_v1.json").read_text())

RECORDED = {"fill": Profile.CAFFE, "fill_boost_1.58.0": Profile.CAFFE_1_56, "fill_boost_1.55.0": Profile.CAFFE_1_55}


@pytest.mark.parametrize("profile", list(Profile))
def test_values_are_the_frozen_ones(profile: Profile) -> None:
    assert golden.cases(profile) == FROZEN["profiles"][profile]


@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_NUM_THREADS": "1"},
        {"NUMBA_NUM_THREADS": "2"},
        {"NUMBA_NUM_THREADS": "8"},
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_NAME": "generic", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"},
    ],
    ids=lambda environment: ",".join(f"{name}={value}" for name, value in environment.items()),
)
def test_values_depend_on_no_thread_count_no_cpu_and_no_c_library(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.rng.caffe.golden"],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == FROZEN


@pytest.mark.parametrize(("folder", "least"), [("fill", 81), ("fill_boost_1.58.0", 30), ("fill_boost_1.55.0", 26)])
def test_bytes_and_draws_are_those_of_caffe(shared: Path, folder: str, least: int) -> None:
    profile = RECORDED[folder]
    cases = json.loads((shared / "golden" / folder / "manifest.json").read_text())["cases"]
    assert len(cases) >= least
    for case in cases:
        shape, count, dtype = tuple(case["shape"]), prod(case["shape"]), np.dtype(case["dtype"])
        start = EngineState.seeded(case["seed"]).skip(case["skip"])
        stream = CaffeStream(start, count, dtype, profile)
        out = np.empty(count, dtype)
        prepared(case["filler"], shape, dtype)(out, Runs.contiguous(0, count), stream)
        end = stream.end_state()
        got = (hashlib.sha256(out.tobytes()).hexdigest(), end.draws - start.draws, int(end.outputs(1)[0]))
        assert got == (case["sha256"], case["draws"], case["rng_next"]), case["id"]
