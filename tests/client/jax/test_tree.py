"""Trees of global arrays: one content on every mesh, each region computed once, and what is refused."""

import hashlib
from math import sqrt
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from caffe_filler.errors import FillerError, InvalidArgument
from filler_client import BlobSpec, FillerClient
from tests.processes import ServerProcess

pytestmark = pytest.mark.frameworks
jax = pytest.importorskip("jax")

import flax.linen as nn  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from flax import nnx  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

from filler_client.jax import _tree, fill_tree  # noqa: E402

CLIENT = FillerClient.embedded()
RULES = {"*.bias": "constant", "*.scale": 'type: "constant" value: 1', "*.experts": "msra", "*": "xavier"}


class Net(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(32, (3, 3))(x).mean((1, 2))
        x = nn.LayerNorm()(nn.Dense(64)(x))
        return nn.Dense(16, param_dtype=jnp.bfloat16)(x)


def shapes() -> Any:
    tree = jax.eval_shape(Net().init, jax.random.key(0), jnp.ones((1, 8, 8, 8)))["params"]
    return {**tree, "layers": {"experts": jax.ShapeDtypeStruct((8, 64, 96), jnp.float32)}}


def shardings(tree: Any, mesh: Mesh) -> Any:
    """The last two axes over the mesh, where they can be divided so."""

    def of(struct: Any) -> NamedSharding:
        if len(struct.shape) < 2:
            return NamedSharding(mesh, PartitionSpec())
        return NamedSharding(mesh, PartitionSpec(*[None] * (len(struct.shape) - 2), "x", "y"))

    return jax.tree.map(of, tree)


def mesh_of(*dims: int) -> Mesh:
    return Mesh(np.array(jax.devices()).reshape(dims), ("x", "y"))


def digest(tree: Any) -> str:
    return hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))).hexdigest()


AXES = "rule { name: '*.experts' layout: 'stack,in,out' filler { type: 'msra' } }"


@pytest.mark.parametrize("remote", [False, True])
def test_one_content_on_every_mesh(remote: bool, request: pytest.FixtureRequest) -> None:
    server: ServerProcess | None = request.getfixturevalue("server") if remote else None
    client = CLIENT if server is None else FillerClient(server.address)
    tree = shapes()
    alone = fill_tree(tree, None, [AXES, RULES], 1701, client=client)
    for dims in ((8, 1), (4, 2), (2, 4)):
        where = shardings(tree, mesh_of(*dims))
        filled = fill_tree(tree, where, [AXES, RULES], 1701, client=client)
        assert digest(filled) == digest(alone)
        assert jax.tree.map(lambda leaf: leaf.sharding, filled) == where
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), filled) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), tree
        )
    want = CLIENT.fill("xavier", (3, 3, 8, 32), seed=1701, name="Conv_0.kernel", layout="HWIO")
    assert np.asarray(alone["Conv_0"]["kernel"]).tobytes() == want.tobytes()
    assert float(alone["layers"]["experts"].std()) == pytest.approx(sqrt(2 / 64), rel=0.02)
    assert alone["Dense_1"]["kernel"].dtype == jnp.bfloat16
    assert np.asarray(alone["LayerNorm_0"]["scale"]).tolist() == [1] * 64


def test_replicas_are_computed_once_and_all_in_one_request_of_a_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[BlobSpec]] = []
    usual = FillerClient.fill_many

    def fill_many(self: FillerClient, blobs: list[BlobSpec], **options: Any) -> Any:
        asked.append(blobs)
        return usual(self, blobs, **options)

    monkeypatch.setattr(FillerClient, "fill_many", fill_many)
    tree = {"a": jax.ShapeDtypeStruct((8, 4), jnp.float32), "b": jax.ShapeDtypeStruct((8, 4), jnp.float32)}
    mesh = mesh_of(4, 2)
    where = {"a": NamedSharding(mesh, PartitionSpec("x")), "b": NamedSharding(mesh, PartitionSpec())}
    filled = fill_tree(tree, where, {"*": "xavier"}, 3)
    (specs,) = asked
    assert [(spec.name, spec.region) for spec in specs] == [
        *[("a", ((start, start + 2), (0, 4))) for start in (0, 2, 4, 6)],
        ("b", ((0, 8), (0, 4))),
    ]
    assert len(filled["a"].addressable_shards) == 8
    monkeypatch.setattr(_tree, "_AT_ONCE", 100)
    again = fill_tree(tree, where, {"*": "xavier"}, 3)
    assert len(asked) == 3
    assert digest(again) == digest(filled)


def test_trees_of_every_kind() -> None:
    struct = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    got = fill_tree([struct, (struct, {"w": struct})], None, {"*": "uniform"}, 5)
    for name, leaf in (("0", got[0]), ("1.0", got[1][0]), ("1.1.w", got[1][1]["w"])):
        assert np.asarray(leaf).tobytes() == CLIENT.fill("uniform", (2, 3), seed=5, name=name).tobytes()
    single = fill_tree(struct, None, {"*": "uniform"}, 5)
    assert np.asarray(single).tobytes() == CLIENT.fill("uniform", (2, 3), seed=5, name="").tobytes()
    assert fill_tree({}, None, {"*": "uniform"}, 5) == {}


def test_empty_arrays_and_scalars() -> None:
    tree = {"none": jax.ShapeDtypeStruct((0, 3), jnp.float32), "one": jax.ShapeDtypeStruct((), jnp.float32)}
    got = fill_tree(tree, NamedSharding(mesh_of(8, 1), PartitionSpec()), {"none": "xavier", "one": "uniform"}, 5)
    assert got["none"].shape == (0, 3)
    assert got["one"] == CLIENT.fill("uniform", (), seed=5, name="one")


def test_without_a_sharding_arrays_lie_on_the_default_device() -> None:
    for device in (None, "cpu", jax.devices()[3]):
        with jax.default_device(device):
            got = fill_tree(jax.ShapeDtypeStruct((3, 4), jnp.float32), None, ALL, 1)
            assert got.devices() == jnp.zeros(3).devices()


def test_boxes_of_flax_are_no_part_of_a_name() -> None:
    kernel = nn.with_partitioning(nn.initializers.zeros_init(), ("x", "y"))
    boxed = jax.eval_shape(nn.Dense(6, kernel_init=kernel).init, jax.random.key(0), jnp.ones((1, 4)))
    got = fill_tree(boxed, None, {"params.kernel": "xavier", "*": "constant"}, 2)
    want = CLIENT.fill("xavier", (4, 6), seed=2, name="params.kernel", layout="in,out")
    assert np.asarray(got["params"]["kernel"].value).tobytes() == want.tobytes()
    state = nnx.state(nnx.eval_shape(lambda: nnx.Linear(4, 6, rngs=nnx.Rngs(0))))
    filled = fill_tree(state, None, {"kernel": "xavier", "bias": "constant"}, 2)
    want = CLIENT.fill("xavier", (4, 6), seed=2, name="kernel", layout="in,out")
    assert np.asarray(jax.tree.leaves(filled)[1]).tobytes() == want.tobytes()


def test_biases_of_stacked_layers_have_no_fans() -> None:
    tree = {"layers": {"kernel": jax.ShapeDtypeStruct((3, 40, 60), jnp.float32)}}
    tree["layers"]["bias"] = jax.ShapeDtypeStruct((3, 60), jnp.float32)
    for filler in ("constant", "uniform", 'type: "gaussian" std: 0.1'):
        filled = fill_tree(tree, None, {"*.bias": filler, "*": "xavier"}, 1, batch_axis=0)
        want = CLIENT.fill(filler, (3, 60), seed=1, name="layers.bias")
        assert np.asarray(filled["layers"]["bias"]).tobytes() == want.tobytes()
        want = CLIENT.fill("xavier", (3, 40, 60), seed=1, name="layers.kernel", layout="stack,in,out")
        assert np.asarray(filled["layers"]["kernel"]).tobytes() == want.tobytes()
    for filler, words in (("xavier", "those of the batch aside, has no fans"), ("orthogonal", "array 'layers.bias'")):
        with pytest.raises(InvalidArgument, match=words):
            fill_tree(tree, None, {"*.bias": filler, "*": "xavier"}, 1, batch_axis=0)
    with pytest.raises(InvalidArgument, match="Received: batch_axis=2"):
        fill_tree(tree, None, {"*": "constant"}, 1, batch_axis=2)


def test_the_fan_of_another_array() -> None:
    tree = {
        "d": {"kernel": jax.ShapeDtypeStruct((40, 600), jnp.float32), "bias": jax.ShapeDtypeStruct((600,), jnp.float32)}
    }
    rules = "rule { name: '*.bias' fan_of: 'kernel' filler { type: 'xavier' } } rule { filler { type: 'msra' } }"
    got = fill_tree(tree, None, rules.replace("} rule", "}\nrule"), 1)
    assert float(got["d"]["bias"].std()) == pytest.approx(sqrt(1 / 40), rel=0.1)


KERNEL, BIAS = jax.ShapeDtypeStruct((4, 6), jnp.float32), jax.ShapeDtypeStruct((6,), jnp.float32)
TREE = {"a": {"kernel": KERNEL, "bias": BIAS}}
GOOD = {"*.kernel": "xavier", "*.bias": "constant"}
ALL, ODD = {"*": "xavier"}, PartitionSpec("x")
DEEP, OPEN = PartitionSpec(None, "x"), PartitionSpec("x", None)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fill_tree(TREE, None, {"*.kernel": "xavier"}, 1), "no rule fits 'a.bias'; a rule '*'"),
        (lambda: fill_tree(TREE, None, ALL, 1), "array 'a.bias': an array of less than two axes has no fans"),
        (lambda: fill_tree(TREE, None, GOOD, -1), "Received: seed=-1"),
        (lambda: fill_tree(TREE, None, {}, 1), "there are no rules"),
        (lambda: fill_tree(TREE, None, GOOD, 1, client="a:1"), "a client is a FillerClient"),
        (lambda: fill_tree({"a": 5}, None, GOOD, 1), "'a' is int"),
        (lambda: fill_tree({"a": np.zeros(3, np.int32)}, None, ALL, 1), "array 'a': no data type"),
        (lambda: fill_tree({"a": np.zeros((3, 4))}, None, ALL, 1), "needs jax.config.update('jax_enable_x64'"),
        (lambda: fill_tree({"a": {"b": KERNEL}, "a.b": KERNEL}, None, ALL, 1), "one name"),
        (lambda: fill_tree(TREE, {"b": None}, GOOD, 1), "shardings are no tree for these shapes"),
        (lambda: fill_tree(TREE, ODD, GOOD, 1), "such as NamedSharding(mesh, spec). Received: P"),
        (lambda: fill_tree(TREE, NamedSharding(mesh_of(8, 1), ODD), GOOD, 1), "array 'a.bias': "),
        (lambda: fill_tree(TREE, NamedSharding(mesh_of(8, 1), DEEP), GOOD, 1), "array 'a.bias': Sharding "),
        (lambda: fill_tree(TREE, NamedSharding(mesh_of(2, 4), OPEN), GOOD, 1), "array 'a.bias': Sharding "),
        (lambda: fill_tree(TREE, None, {"*.bias": "constant", "*": "bilinear"}, 1), "array 'a.kernel': "),
    ],
)
def test_what_is_refused(call: Any, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        call()
    assert words in str(caught.value)
    assert isinstance(caught.value, FillerError)


def test_a_subtree_of_none_stays_none() -> None:
    place = NamedSharding(mesh_of(8, 1), PartitionSpec())
    tree = {"l": {"bias": None, "kernel": KERNEL}}
    for given in (None, place, {"l": None}, {"l": {"bias": None, "kernel": place}}):
        got = fill_tree(tree, given, ALL, 1)
        assert got["l"]["bias"] is None
        assert got["l"]["kernel"].sharding.is_equivalent_to(place, 2) == (place in jax.tree.leaves(given))


def test_dtypes_of_ml_dtypes() -> None:
    got = fill_tree({"a": np.zeros((2, 3), ml_dtypes.bfloat16)}, None, {"*": "xavier"}, 1)
    assert got["a"].dtype == jnp.bfloat16
