"""The library in this process, a server and the asynchronous client give the same bytes, whatever is asked."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from caffe_filler.errors import FillerError
from filler_client import AsyncFillerClient, FanAxes, FillerClient, Flat, Stream, digest
from tests.processes import ServerProcess

T = TypeVar("T")

FILLERS = {
    "constant": 'type: "constant" value: 0.3',
    "gaussian": 'type: "gaussian" mean: 1 std: 0.1',
    "sparse gaussian": 'type: "gaussian" std: 0.1 sparse: 1',
    "positive_unitball": 'type: "positive_unitball"',
    "uniform": 'type: "uniform" min: -1 max: 3',
    "xavier": 'type: "xavier" variance_norm: AVERAGE',
    "msra": 'type: "msra" variance_norm: FAN_OUT',
    "bilinear": 'type: "bilinear"',
}
DTYPES = ["f32", "f64", "f16", "bf16"]


class Clients:
    """The same calls through every client."""

    def __init__(self, address: str) -> None:
        self.embedded = FillerClient.embedded()
        self.remote = FillerClient(address, timeout=60)
        self._address = address

    def asynchronously(self, call: Callable[[AsyncFillerClient], Awaitable[T]]) -> T:
        async def run() -> T:
            async with AsyncFillerClient(self._address, timeout=60) as client:
                return await call(client)

        return asyncio.run(run())


@pytest.fixture(scope="module")
def clients(server: ServerProcess) -> Iterator[Clients]:
    clients = Clients(server.address)
    yield clients
    clients.remote.close()


def equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def shards(shape: tuple[int, ...], kind: str, ranks: int) -> list[Any]:
    """Return the region of each rank when a blob is split by rows, by columns, or flat; some may hold nothing."""
    length = {"row": shape[0], "column": shape[1], "flat": int(np.prod(shape))}[kind]
    bounds = [length * rank // ranks for rank in range(ranks + 1)]
    ranges = list(itertools.pairwise(bounds))
    if kind == "flat":
        return [Flat(*each) for each in ranges]
    return [[slice(*each)] if kind == "row" else [slice(None), slice(*each)] for each in ranges]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filler", FILLERS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_eight_shards_in_any_order_are_the_whole(
    clients: Clients, filler: str, dtype: str, data: st.DataObject
) -> None:
    if filler == "bilinear":
        side = data.draw(st.integers(1, 20))
        shape = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)), side, side)
    else:
        shape = tuple(data.draw(st.lists(st.integers(1, 24), min_size=2, max_size=4)))
    seed = data.draw(st.integers(0, 2**64 - 1))
    text = FILLERS[filler]
    whole = clients.embedded.fill(text, shape, seed=seed, name="w", dtype=dtype)
    assert equal(clients.remote.fill(text, shape, seed=seed, name="w", dtype=dtype), whole)
    for kind, axis in (("row", 0), ("column", 1), ("flat", 0)):
        regions = shards(shape, kind, 8)
        parts: dict[int, NDArray[Any]] = {}
        for rank in random.Random(seed).sample(range(8), 8):
            parts[rank] = clients.remote.fill(text, shape, seed=seed, name="w", dtype=dtype, region=regions[rank])
        joined = np.concatenate([parts[rank] for rank in range(8)], axis=axis).reshape(shape)
        assert equal(joined, whole), kind


LAYOUTS = [
    ("xavier", (24, 40), "in,out"),
    ("msra", (3, 24, 40), "stack,in,out"),
    ("sparse gaussian", (3, 24, 40), "in,stack,out"),
    ("positive_unitball", (3, 24, 40), "stack,out,in"),
    ("bilinear", (6, 6, 5, 4), "HWIO"),
    ('type: "orthogonal"', (24, 3, 40), "in,stack,out"),
    ('type: "dirac"', (3, 3, 5, 4), "H,W,in,out"),
    ('type: "identity"', (3, 24, 40), "stack,in,out"),
]


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize(("filler", "shape", "layout"), LAYOUTS)
def test_layouts(clients: Clients, filler: str, shape: tuple[int, ...], layout: str, dtype: str) -> None:
    """A shard that is asked for alone has the values of the whole, with the whole's fan."""
    text, axes = FILLERS.get(filler, filler), FanAxes.from_layout(layout, shape)
    whole = clients.embedded.fill(text, shape, seed=3, name="w", dtype=dtype, layout=layout)
    assert equal(clients.remote.fill(text, shape, seed=3, name="w", dtype=dtype, axes=axes), whole)
    awaited = clients.asynchronously(
        lambda client: client.fill(text, shape, seed=3, name="w", dtype=dtype, layout=layout)
    )
    assert equal(awaited, whole)
    assert clients.remote.digest(text, shape, seed=3, name="w", dtype=dtype, layout=layout) == digest(whole)
    for kind, axis in (("row", 0), ("column", 1), ("flat", 0)):
        parts = [
            client.fill(text, shape, seed=3, name="w", dtype=dtype, layout=layout, region=region)
            for client, region in zip(itertools.cycle([clients.remote, clients.embedded]), shards(shape, kind, 3))
        ]
        assert equal(np.concatenate(parts, axis=axis).reshape(shape), whole), kind


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filler", ["sparse gaussian", "positive_unitball", "uniform", "msra"])
@pytest.mark.parametrize("stream", ["caffe", "caffe-1.56", "caffe-1.55"])
def test_caffe_streams(clients: Clients, stream: Stream, filler: str, dtype: str) -> None:
    shape, text = (24, 7, 11), FILLERS[filler]
    whole = clients.embedded.fill(text, shape, seed=1701, dtype=dtype, stream=stream)
    assert equal(clients.remote.fill(text, shape, seed=1701, dtype=dtype, stream=stream), whole)
    assert not equal(whole, clients.embedded.fill(text, shape, seed=1701, dtype=dtype))
    for kind, axis in (("row", 0), ("column", 1), ("flat", 0)):
        parts = [
            clients.remote.fill(text, shape, seed=1701, dtype=dtype, stream=stream, region=region)
            for region in shards(shape, kind, 3)
        ]
        assert equal(np.concatenate(parts, axis=axis).reshape(shape), whole), kind


def test_a_net_over_the_caffe_stream(clients: Clients, nets: Path) -> None:
    net, inputs = nets / "siamese_mnist.prototxt", {"pair_data": (64, 2, 28, 28)}
    whole = clients.embedded.init_net(net, inputs=inputs, seed=1701, stream="caffe")
    remote = clients.remote.init_net(net, inputs=inputs, seed=1701, stream="caffe")
    assert all(equal(remote[name], array) for name, array in whole.items())
    assert equal(whole["conv1_p/0"], whole["conv1/0"])
    # A selection, out of order, is the same values.
    some = clients.remote.init_net(
        net, inputs=inputs, seed=1701, stream="caffe", blobs={"ip2/0": None, "conv1/0": Flat(7, 400)}
    )
    assert equal(some["ip2/0"], whole["ip2/0"])
    assert equal(some["conv1/0"], whole["conv1/0"].reshape(-1)[7:400])
    undrawn = clients.remote.init_net(net, inputs=inputs, seed=1701, stream="caffe", data_draws="none")
    assert not equal(undrawn["conv1/0"], whole["conv1/0"])


def test_a_large_blob_in_shards(clients: Clients) -> None:
    shape = (1000, 3001)
    for text in FILLERS.values():
        if "bilinear" in text:
            continue
        whole = clients.embedded.fill(text, shape, seed=1, name="w")
        assert equal(clients.remote.fill(text, shape, seed=1, name="w"), whole)
        column = clients.remote.fill(text, shape, seed=1, name="w", region=[slice(None), slice(1000, 2001)])
        assert equal(column, np.ascontiguousarray(whole[:, 1000:2001]))


@pytest.mark.parametrize("filler", FILLERS)
def test_async_gives_the_same(clients: Clients, filler: str) -> None:
    shape = (16, 3, 5, 5)
    whole = clients.embedded.fill(FILLERS[filler], shape, seed=5, dtype="f64")
    assert equal(clients.asynchronously(lambda client: client.fill(FILLERS[filler], shape, seed=5, dtype="f64")), whole)


NETS = [
    ("lenet.prototxt", {}, None),
    ("lenet_train_test.prototxt", {"data": (64, 1, 28, 28)}, None),
    ("siamese_mnist.prototxt", {"pair_data": (64, 2, 28, 28)}, None),
    ("inline_blobs.prototxt", {}, None),
    ("googlenet_deploy.prototxt", {}, {"conv1/7x7_s2/0": None, "loss3/classifier/0": Flat(1000, 90_000)}),
]


@pytest.mark.parametrize(("net", "inputs", "blobs"), NETS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nets(clients: Clients, nets: Path, net: str, inputs: Any, blobs: Any, dtype: str) -> None:
    path = nets / net
    embedded = clients.embedded.init_net(path, inputs=inputs, seed=9, dtype=dtype, blobs=blobs)
    remote = clients.remote.init_net(path, inputs=inputs, seed=9, dtype=dtype, blobs=blobs)
    awaited = clients.asynchronously(
        lambda client: client.init_net(path, inputs=inputs, seed=9, dtype=dtype, blobs=blobs)
    )
    assert list(embedded) == list(remote) == list(awaited)
    assert embedded
    for name, array in embedded.items():
        assert equal(remote[name], array), name
        assert equal(awaited[name], array), name


@pytest.mark.parametrize(("net", "inputs", "blobs"), NETS)
def test_plans(clients: Clients, nets: Path, net: str, inputs: Any, blobs: Any) -> None:
    plan = clients.embedded.plan_net(nets / net, inputs=inputs)
    assert clients.remote.plan_net(nets / net, inputs=inputs) == plan
    assert clients.asynchronously(lambda client: client.plan_net(nets / net, inputs=inputs)) == plan
    assert plan.parameters > 0


def test_fillers(clients: Clients) -> None:
    listed = clients.embedded.list_fillers()
    assert clients.remote.list_fillers() == listed
    assert clients.asynchronously(lambda client: client.list_fillers()) == listed


def test_a_value_of_a_net_is_the_value_of_its_filler(clients: Clients, nets: Path) -> None:
    weights = clients.remote.init_net(nets / "lenet_train_test.prototxt", inputs={"data": (64, 1, 28, 28)}, seed=7)
    assert equal(clients.embedded.fill("xavier", (20, 1, 5, 5), seed=7, name="conv1/0"), weights["conv1/0"])


def test_receives_into_arrays_of_the_caller(clients: Clients, nets: Path) -> None:
    for client in (clients.embedded, clients.remote):
        out = np.full((20, 1, 5, 5), np.nan, np.float32)
        assert client.fill("msra", out.shape, seed=2, out=out) is out
        assert np.isfinite(out).all()
        mine = {"ip1/0": np.full((500, 800), np.nan, np.float32)}
        received = dict(client.fill_net(nets / "lenet.prototxt", seed=2, out=mine))
        assert received["ip1/0"] is mine["ip1/0"]
        assert np.isfinite(mine["ip1/0"]).all()


BAD_CALLS: dict[str, Callable[[FillerClient, Path], object]] = {
    "unknown filler": lambda client, nets: client.fill("xaver", (3, 3)),
    "wrong case": lambda client, nets: client.fill("MSRA", (3, 3)),
    "std": lambda client, nets: client.fill('type: "gaussian" std: -1', (3, 3)),
    "region": lambda client, nets: client.fill("msra", (3, 3), region=Flat(0, 10)),
    "float16": lambda client, nets: client.fill('type: "constant" value: 1e6', (3, 3), dtype="f16"),
    "unknown blob": lambda client, nets: client.init_net(nets / "lenet.prototxt", blobs=["conv1/2"]),
    "unknown dims": lambda client, nets: client.init_net(nets / "unknown_dims.prototxt"),
    "syntax": lambda client, nets: client.plan_net("layer {\n name: 3x }"),
    "misspelled": lambda client, nets: client.plan_net('layer { name: "a" magic: 1 }\nlayer { naem: "b" }'),
    "warned of": lambda client, nets: client.plan_net('layer { name: "a" type: "ReLU" bottom: "b" magic: 1 }'),
    "strict": lambda client, nets: client.plan_net('layer { name: "a" type: "DummyData" magic: 1 }', strict=True),
    "strict and lenient": lambda client, nets: client.plan_net(nets / "lenet.prototxt", strict=True, lenient=True),
    "net": lambda client, nets: client.plan_net('layer { name: "a" type: "ReLU" bottom: "b" top: "b" }'),
    "input": lambda client, nets: client.plan_net(nets / "lenet.prototxt", inputs={"dat": (1, 1, 28, 28)}),
    "out shape": lambda client, nets: client.fill("msra", (3, 3), out=np.empty((3, 4), np.float32)),
    "out dtype": lambda client, nets: client.fill("msra", (3, 3), out=np.empty((3, 3), np.float64)),
    "layout": lambda client, nets: client.fill("msra", (3, 3), layout="in,out,kernel"),
    "axes": lambda client, nets: client.fill("msra", (3, 3), axes=FanAxes(2)),
    "axes of no type": lambda client, nets: client.fill("msra", (3, 3), axes=(0, 1)),  # type: ignore[arg-type]
    "axes and layout": lambda client, nets: client.fill("msra", (3, 3), axes=FanAxes(0, 1), layout="in,out"),
    "rows apart": lambda client, nets: client.fill("positive_unitball", (3, 3), layout="in,out"),
    "dirac of a matrix": lambda client, nets: client.fill("dirac", (3, 3), layout="in,out"),
    "out order": lambda client, nets: client.fill("msra", (3, 4), out=np.empty((4, 3), np.float32).T),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_errors_are_the_same_here_and_there(clients: Clients, nets: Path, case: str) -> None:
    raised: list[FillerError] = []
    for client in (clients.embedded, clients.remote):
        with pytest.raises(FillerError) as caught:
            BAD_CALLS[case](client, nets)
        raised.append(caught.value)
    here, there = raised
    assert type(here) is type(there)
    assert str(here) == str(there)
    assert here.violations == there.violations
    assert here.metadata == there.metadata
    assert here.warnings == there.warnings
