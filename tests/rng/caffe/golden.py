"""Computes tests/golden/caffe_v1.json, frozen values of the caffe stream.

What a change of the code changes in the values:

    python -m tests.rng.caffe.golden | diff tests/golden/caffe_v1.json -

The same code gives the bytes of real Caffe for every case that was recorded from it. Whoever has no such recordings
has this file: it never changes.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any

import numpy as np

from filler_server.rng.caffe.boost import Profile
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.stream import Runs
from tests.fillers.streams import prepared
from tests.rng.caffe.reference import FUNCTIONS

FILLERS: list[tuple[str, tuple[int, ...]]] = [
    ('type: "constant" value: 0.3', (5,)),
    ('type: "bilinear"', (2, 1, 5, 5)),
    ('type: "uniform"', (13, 7)),
    ('type: "uniform" min: -0.07 max: 0.07', (64, 32, 3, 3)),
    ('type: "uniform" min: 2.5 max: 2.5', (300,)),
    ('type: "uniform" min: -3.2e38 max: 3.3e38', (300,)),
    ('type: "xavier"', (96, 3, 11, 11)),
    ('type: "xavier" variance_norm: AVERAGE', (120, 84)),
    ('type: "positive_unitball"', (6, 2500)),
    ('type: "gaussian"', ()),
    ('type: "gaussian" std: 0.01', (77_777,)),
    ('type: "gaussian" mean: 0.2 std: 0.5 sparse: 6', (40, 500)),
    ('type: "gaussian" std: 2 sparse: 0', (9, 9)),
    ('type: "gaussian" std: 2 sparse: 9', (9, 9)),
    ('type: "msra"', (200, 100, 3, 3)),
    ('type: "msra" variance_norm: FAN_OUT', (31, 17)),
]
SEEDS = [(0, 0), (1701, 0), (2**32 - 1, 1249)]


def libm_digest(functions: Callable[[str, Any], Callable[[Any], Any]] = lambda name, real: FUNCTIONS[name]) -> str:
    """Return what tells one library's log, cos and sin from another's, to the last bit."""
    digest = hashlib.sha256()
    for real in (np.float32, np.float64):
        for name in ("log", "cos", "sin"):
            function = functions(name, real)
            values = np.array([function(real(k * 6.2831 / 5000)) for k in range(1, 5000)], real)
            digest.update(values.tobytes())
    return digest.hexdigest()


def cases(profile: Profile) -> list[dict[str, Any]]:
    """All cases of a profile as they are computed now."""
    found = []
    for (text, shape), dtype, (seed, skip) in product(FILLERS, (np.float32, np.float64), SEEDS):
        if profile != Profile.CAFFE and "gaussian" not in text and "msra" not in text:
            continue
        count = prod(shape)
        start = EngineState.seeded(seed).skip(skip)
        stream = CaffeStream(start, count, np.dtype(dtype), profile)
        out = np.empty(count, dtype)
        prepared(text, shape, dtype)(out, Runs.contiguous(0, count), stream)
        end = stream.end_state()
        found.append(
            {
                "filler": text,
                "shape": list(shape),
                "dtype": np.dtype(dtype).name,
                "seed": seed,
                "skip": skip,
                "draws": end.draws - start.draws,
                "rng_next": int(end.outputs(1)[0]),
                "first": [float(value).hex() for value in out[:3]],
                "sha256": hashlib.sha256(out.astype(out.dtype.newbyteorder("<")).tobytes()).hexdigest(),
            }
        )
    return found


if __name__ == "__main__":
    profiles = [Profile(name) for name in sys.argv[1:]] or list(Profile)
    frozen = {
        "what": "values of the caffe stream, and a digest of log, cos and sin",
        "libm": libm_digest(),
        "profiles": {profile.value: cases(profile) for profile in profiles},
    }
    print(json.dumps(frozen, indent=1))
