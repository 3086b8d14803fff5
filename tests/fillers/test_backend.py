"""Execution of distributions, beyond what the tests of each filler see."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import InvalidArgument
from filler_server.fillers import backend
from filler_server.fillers.distributions import Gaussian, MaskedGaussian, Uniform
from filler_server.rng.stream import Runs
from tests.fillers.streams import STREAM, GivenStream
from tests.flat_index import FlatIndex, NoStream


def test_a_distribution_may_bring_what_fills() -> None:
    out = np.empty(5, np.float32)
    backend.prepare(FlatIndex(scale=2.0))(out, Runs.contiguous(3, 5), NoStream())
    assert out.tolist() == [6, 8, 10, 12, 14]


def test_what_a_distribution_brings_goes_before_that_of_its_base() -> None:
    class Half(Uniform):
        def fill(self, out: Any, runs: Runs, random: Any) -> None:
            out.fill(self.mean)

    out = np.empty(2, np.float32)
    backend.prepare(Half(0.0, 1.0))(out, Runs.contiguous(0, 2), NoStream())
    assert out.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("what", [None, "uniform", 3.0])
def test_only_distributions_are_executed(what: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"fill\(out, runs, random\). Received: "):
        backend.prepare(what)


@pytest.mark.parametrize("starts", [[0], [7, 40, 2000]])
def test_masks_are_drawn_in_blocks(starts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = np.append(np.arange(len(starts)) * 300, 1000)
    runs = Runs(np.array(starts), bounds)
    fill = backend.prepare(MaskedGaussian(Gaussian(0.0, 1.0), 0.5))
    want, got = np.empty(1000, np.float32), np.empty(1000, np.float32)
    fill(want, runs, STREAM)
    monkeypatch.setattr(backend, "_BLOCK", 64)
    random = GivenStream(np.arange(5000), np.ones(5000))
    fill(got, runs, random)
    assert max(random.sizes["bernoulli"]) < 2 * 64
    fill(got, runs, STREAM)
    assert got.tobytes() == want.tobytes()


def test_masks_of_a_long_blob_take_little_memory() -> None:
    out = np.empty(1 << 24, np.float32)
    fill = backend.prepare(MaskedGaussian(Gaussian(0.0, 1.0), 0.5))
    # Kernels are compiled when they are first called.
    fill(out, Runs.contiguous(0, out.size), STREAM)
    tracemalloc.start()
    fill(out, Runs.contiguous(0, out.size), STREAM)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
