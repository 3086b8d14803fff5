"""Long work that ends when nobody wants its result, wherever it is."""

import time
from collections.abc import Callable
from contextvars import copy_context

import numpy as np
import pytest

from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import Cancelled, LimitExceeded
from filler_server.cancellation import cancel_when, checkpoint, metered
from filler_server.engine.computed import FilledBlob
from filler_server.engine.region import Region
from filler_server.fillers import get_filler
from filler_server.net.planner import plan_net
from filler_server.prototxt.reader import read_net
from filler_server.rng.caffe.mt19937 import EngineState
from filler_server.rng.caffe.stream import CaffeStream
from filler_server.rng.philox import PhiloxStream
from filler_server.rng.stream import RandomStream

NET = "\n".join(
    f'layer {{ name: "r{n}" type: "Input" top: "t{n}" input_param {{ shape {{ dim: 1 }} }} }}' for n in range(50)
)


def read_far(kind: str, stream: RandomStream, shape: tuple[int, ...]) -> None:
    count = shape[0] * shape[1]
    region = Region.flat(shape, count - 1, count)
    blob = FilledBlob("", get_filler(FillerParameter(type=kind)), stream, region, np.dtype(np.float32), shape=shape)
    blob.read(0, np.empty(1, np.float32))


LONG: dict[str, Callable[[], object]] = {
    "caffe gaussian": lambda: read_far(
        "gaussian", CaffeStream(EngineState.seeded(1), 2**40, np.dtype(np.float32)), (2**20, 2**20)
    ),
    "caffe uniform": lambda: read_far(
        "uniform", CaffeStream(EngineState.seeded(1), 2**50, np.dtype(np.float32)), (2**25, 2**25)
    ),
    "row sums": lambda: read_far("positive_unitball", PhiloxStream(1, ""), (2, 2**40)),
    "orthogonal": lambda: read_far("orthogonal", PhiloxStream(1, ""), (2**10, 2**11)),
    "reading text": lambda: read_net(NET.encode()),
    "planning": lambda: plan_net(read_net(NET.encode())),
}


def looks(work: Callable[[], object], most: int) -> int:
    """Return how often the work asked whether it is wanted, which it was `most` times."""
    asked = 0

    def unwanted() -> bool:
        nonlocal asked
        asked += 1
        return asked > most

    def run() -> None:
        cancel_when(unwanted)
        work()

    with pytest.raises(Cancelled):
        copy_context().run(run)
    return asked


@pytest.mark.parametrize("work", LONG)
def test_work_ends_between_its_blocks(work: str) -> None:
    """Some of it would take hours: that the test ends is the proof."""
    assert looks(LONG[work], 3) == 4


def test_work_that_is_wanted_goes_on() -> None:
    def run() -> None:
        cancel_when(lambda: False)
        checkpoint()
        cancel_when(lambda: True)
        cancel_when(None)
        checkpoint()

    copy_context().run(run)
    checkpoint()


def over() -> LimitExceeded:
    return LimitExceeded.over("seconds", 0, 1)


def test_work_ends_when_it_has_had_its_time() -> None:
    with pytest.raises(LimitExceeded, match="over the limit seconds"), metered(0.05, over):
        while True:
            checkpoint()
    checkpoint()


def test_time_in_which_others_work_does_not_count() -> None:
    with metered(0.05, over):
        time.sleep(0.2)
        for _ in range(1000):
            checkpoint()


def test_an_inner_meter_stands_alone() -> None:
    with metered(0, over):
        with metered(60, over):
            for _ in range(1000):
                checkpoint()
        with pytest.raises(LimitExceeded):
            for _ in range(1000):
                checkpoint()
