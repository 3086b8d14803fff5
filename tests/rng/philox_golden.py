"""Computes tests/golden/philox_v1.json, the frozen values of the philox stream.

What a change of the code changes in the values:

    python -m tests.rng.philox_golden | diff tests/golden/philox_v1.json -

The values are a contract with everyone who has ever named a seed. From the release on the file never changes; a new
contract gets a new version and a file of its own.
"""

import hashlib
import json
from typing import Any

import numpy as np

from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import Runs

DISTRIBUTIONS: list[tuple[str, tuple[float, ...], list[type[Any]]]] = [
    ("uniform", (0.0, 1.0), [np.float32, np.float64]),
    ("uniform", (-0.1, 0.3), [np.float32, np.float64]),
    ("gaussian", (0.0, 1.0), [np.float32, np.float64]),
    ("gaussian", (0.5, 0.01), [np.float32, np.float64]),
    ("bernoulli", (0.3,), [np.bool_]),
]
PLACES = [
    (0, "", 0, 64),
    (1701, "conv1/0", 0, 1000),
    (1701, "conv1/1", 0, 1000),
    (1701, "conv1/0", 123_457, 999),
    (2**64 - 1, "später/0", 0, 64),
    (2**32, "fc6/0", 2**34 - 5, 37),
    (42, "fc6/0", 2**62 - 3, 37),
    (42, "fc6/0", 3, 300_001),
]


def cases() -> list[dict[str, Any]]:
    """All cases as they are computed now."""
    found = []
    for seed, name, start, count in PLACES:
        for kind, params, dtypes in DISTRIBUTIONS:
            for dtype in dtypes:
                out = np.empty(count, dtype)
                getattr(PhiloxStream(seed, name), kind)(out, Runs.contiguous(start, count), *params)
                first = [str(bool(x)) if dtype is np.bool_ else float(x).hex() for x in out[:4]]
                little_endian = out.astype(out.dtype.newbyteorder("<"))
                found.append(
                    {
                        "seed": seed,
                        "name": name,
                        "law": kind,
                        "params": list(params),
                        "dtype": np.dtype(dtype).name,
                        "start": start,
                        "count": count,
                        "first": first,
                        "sha256": hashlib.sha256(little_endian.tobytes()).hexdigest(),
                    }
                )
    return found


if __name__ == "__main__":
    print(json.dumps({"what": "values of the philox stream, contract version 1", "cases": cases()}, indent=1))
