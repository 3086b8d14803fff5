"""Fillers of every type, and blobs of them."""

from typing import Any

import numpy as np

from filler_server.diagnostics.statistics.blob import Looked, look
from filler_server.diagnostics.statistics.promise import judge
from filler_server.diagnostics.statistics.significance import holm
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import RandomStream
from filler_server.tensors import ArrayTensor
from tests.fillers.streams import filler_of

OF_CAFFE = {
    'type: "constant" value: 0.1': (6, 4, 3, 3),
    'type: "gaussian" std: 0.01': (6, 4, 3, 3),
    'type: "gaussian" mean: 1 std: 0.02': (9, 7),
    'type: "gaussian" std: 0.1 sparse: 3': (8, 30),
    'type: "uniform" min: -0.1 max: 0.3': (5, 31),
    'type: "positive_unitball"': (12, 11),
    'type: "xavier"': (6, 4, 3, 3),
    'type: "xavier" variance_norm: AVERAGE': (33,),
    'type: "msra" variance_norm: FAN_OUT': (6, 4, 3, 3),
    'type: "bilinear"': (3, 1, 4, 4),
}
OTHERS = {
    'type: "truncated_gaussian" mean: 0.1 std: 0.5': (6, 4, 3, 3),
    'type: "truncated_gaussian" std: 1 min: 0.5 max: inf': (20, 9),
    'type: "variance_scaling_uniform" value: 0.3': (6, 4, 3, 3),
    'type: "variance_scaling_gaussian" variance_norm: AVERAGE': (6, 4, 3, 3),
    'type: "variance_scaling_truncated" value: 2': (6, 4, 3, 3),
    'type: "orthogonal" value: 1.4': (8, 3, 3, 3),
    'type: "orthogonal"': (30, 8),
    'type: "identity" value: 0.5': (9, 7),
    'type: "dirac"': (6, 4, 3, 3),
}


def looked(text: str, tensor: Any, filled_as: str | None = None) -> Looked:
    """The findings of a blob that should be as a filler says."""
    return look(tensor, judge(filler_of(text), tensor.shape, tensor.dtype), None)


def filled(text: str, shape: tuple[int, ...], seed: int, dtype: Any, stream: RandomStream | None = None) -> Any:
    """A blob of a filler."""
    random = PhiloxStream(seed, "w/0") if stream is None else stream
    return FilledBlob("w/0", filler_of(text), random, Region.whole(shape), np.dtype(dtype), shape=shape)


def array(values: Any) -> ArrayTensor:
    """An array as a blob."""
    return ArrayTensor("w/0", np.asarray(values))


def is_alarm(found: Looked, significance: float) -> bool:
    """Whether a blob is said not to be as promised."""
    assert found.judgement is not None
    probabilities = [test.probability for test in found.judgement.tests]
    return bool(found.judgement.faults) or min(holm(probabilities), default=1.0) <= significance
