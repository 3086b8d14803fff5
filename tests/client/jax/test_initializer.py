"""Initializers of JAX: the values of a fill, under every transformation, in Flax's modules."""

from math import sqrt
from typing import Any

import numpy as np
import pytest

from caffe_filler.errors import FillerError, InvalidArgument, ShapeError
from filler_client import FillerClient
from tests.processes import ServerProcess

pytestmark = pytest.mark.frameworks
jax = pytest.importorskip("jax")

import flax.linen as nn  # noqa: E402
import jax.numpy as jnp  # noqa: E402
from flax import nnx  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

from filler_client.jax import initializer  # noqa: E402

CLIENT = FillerClient.embedded()
KEY = jax.random.key(1701)


def equal(one: Any, other: Any) -> bool:
    mine, yours = np.asarray(one), np.asarray(other)
    return mine.dtype == yours.dtype and mine.shape == yours.shape and mine.tobytes() == yours.tobytes()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16, "float32", np.float32])
@pytest.mark.parametrize("key", [KEY, jax.random.PRNGKey(1701)])
def test_the_key_is_the_seed(key: Any, dtype: Any) -> None:
    got = initializer("xavier")(key, (6, 4), dtype)
    assert isinstance(got, jax.Array)
    assert equal(got, CLIENT.fill("xavier", (6, 4), seed=1701, name="", layout="in,out", dtype=dtype))


def test_other_keys_are_seeds_too() -> None:
    """The words of another generator, and large ones."""
    large = initializer("xavier")(jax.random.key(2**40 + 5), (6, 4))
    low = initializer("xavier")(jax.random.wrap_key_data(jnp.array([2**8, 5], jnp.uint32)), (6, 4))
    assert equal(low, CLIENT.fill("xavier", (6, 4), seed=2**40 + 5, name="", layout="in,out"))
    rbg = [initializer("xavier")(jax.random.key(number, impl="rbg"), (6, 4)) for number in (0, 1)]
    assert len({np.asarray(array).tobytes() for array in (large, *rbg)}) == 3


def test_seed_and_name() -> None:
    others = jax.random.key(0), jax.random.key(1)
    both = [initializer("xavier", seed=7, name="w")(key, (6, 4)) for key in others]
    assert all(equal(array, CLIENT.fill("xavier", (6, 4), seed=7, name="w", layout="in,out")) for array in both)
    named = initializer("xavier", name="w")(KEY, (6, 4))
    assert equal(named, CLIENT.fill("xavier", (6, 4), seed=1701, name="w", layout="in,out"))
    seeded = [initializer("xavier", seed=7)(key, (6, 4)) for key in others]
    assert equal(seeded[1], CLIENT.fill("xavier", (6, 4), seed=7, name="key:0000000000000001", layout="in,out"))
    assert not equal(*seeded)


@pytest.mark.parametrize("norm", ["FAN_IN", "FAN_OUT", "AVERAGE"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((40, 60), {}),
        ((3, 3, 20, 40), {}),
        ((60, 40), {"in_axis": -1, "out_axis": 0}),
        ((6, 40, 60), {"batch_axis": 0}),
        ((6, 5, 40, 20), {"in_axis": (1, 2), "batch_axis": (0,)}),
    ],
)
def test_fans_are_those_of_jax(shape: tuple[int, ...], axes: dict[str, Any], norm: str) -> None:
    mode = {"FAN_IN": "fan_in", "FAN_OUT": "fan_out", "AVERAGE": "fan_avg"}[norm]
    theirs = jax.nn.initializers.variance_scaling(1.0, mode, "uniform", **axes)(KEY, shape)
    ours = initializer(f'type: "xavier" variance_norm: {norm}', **axes)(KEY, shape)
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.02)
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.05)


def test_stacked_layers_have_the_std_of_one() -> None:
    stacked = initializer("msra", batch_axis=0)(KEY, (8, 128, 256))
    assert [float(layer.std()) for layer in stacked] == [pytest.approx(sqrt(2 / 128), rel=0.02)] * 8


def test_under_the_transformations_of_jax() -> None:
    init = initializer("xavier")
    want = init(KEY, (6, 4))
    assert equal(jax.jit(lambda key: init(key, (6, 4)))(KEY), want)
    shape = jax.eval_shape(lambda key: init(key, (6, 4), jnp.bfloat16), KEY)
    assert (shape.shape, shape.dtype) == ((6, 4), jnp.bfloat16)
    keys = jax.random.split(KEY, 3)
    for stacked in (
        jax.vmap(lambda key: init(key, (6, 4)))(keys),
        jax.jit(jax.vmap(lambda key: init(key, (6, 4))))(keys),
    ):
        for key, array in zip(keys, stacked, strict=True):
            assert equal(array, init(key, (6, 4)))
    assert equal(jax.lax.map(lambda key: init(key, (6, 4)), keys), stacked)


def test_arrays_that_a_vmap_would_make_the_same_are_refused() -> None:
    keys = jax.random.split(KEY, 3)
    mapped = jax.vmap(lambda key: initializer("xavier", seed=1, name="w")(key, (6, 4)))
    for call in (mapped, jax.jit(mapped)):
        with pytest.raises(InvalidArgument, match="all 3 arrays would be the same, as seed and name are given"):
            call(keys)
    for options in ({"seed": 1}, {"name": "w"}):
        layers = jax.vmap(lambda key, options=options: initializer("xavier", **options)(key, (6, 4)))(keys)
        assert not bool((layers[0] == layers[1]).any())
    same = jax.jit(lambda key: initializer("xavier", seed=1, name="w")(key, (6, 4)))(KEY)
    assert equal(same, CLIENT.fill("xavier", (6, 4), seed=1, name="w", layout="in,out"))


def test_each_device_gets_its_own_region() -> None:
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))
    sharding = NamedSharding(mesh, PartitionSpec("x", "y"))
    init = initializer("xavier")
    for got in (
        init(KEY, (8, 6), out_sharding=sharding),
        jax.jit(lambda key: init(key, (8, 6), out_sharding=sharding))(KEY),
    ):
        assert got.sharding.is_equivalent_to(sharding, 2)
        assert equal(got, init(KEY, (8, 6)))


@pytest.mark.parametrize("spec", [PartitionSpec("x", "y"), PartitionSpec(None, ("x", "y")), PartitionSpec()])
def test_axes_of_a_mesh_may_be_explicit(spec: Any) -> None:
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)
    init, shape, keys = initializer("xavier"), (8, 16), jax.random.split(KEY, 3)
    want = init(KEY, shape)
    with jax.set_mesh(mesh):
        empty = jax.jit(lambda key: init(key, (0, 16), out_sharding=spec))(KEY)
        assert empty.sharding.is_equivalent_to(NamedSharding(mesh, spec), 2)
        for place in (NamedSharding(mesh, spec), spec):
            make = lambda key, place=place: init(key, shape, out_sharding=place)  # noqa: E731 - it is transformed
            for got in (make(KEY), jax.jit(make)(KEY)):
                assert got.sharding.is_equivalent_to(NamedSharding(mesh, spec), 2)
                assert equal(got, want)
            stacked = PartitionSpec(None, *spec)
            for layers in (jax.vmap(make)(keys), jax.jit(jax.vmap(make))(keys)):
                assert layers.sharding.is_equivalent_to(NamedSharding(mesh, stacked), 3)
                assert equal(layers[1], init(keys[1], shape))


def test_arrays_without_values_lie_where_they_shall() -> None:
    place = jax.sharding.SingleDeviceSharding(jax.devices()[3])
    init = initializer("xavier")
    for got in (
        init(KEY, (0, 16), out_sharding=place),
        jax.jit(lambda key: init(key, (0, 16), out_sharding=place))(KEY),
    ):
        assert got.shape == (0, 16)
        assert got.devices() == {jax.devices()[3]}


class Net(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        init = initializer("msra")
        x = nn.relu(nn.Conv(16, (3, 3), kernel_init=init, bias_init=initializer("constant"))(x)).mean((1, 2))
        blocks = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=4)
        x, _ = blocks()(x, None)
        return nn.Dense(10, kernel_init=initializer("jax.lecun_normal"))(x)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x: Any, _: Any) -> Any:
        return nn.relu(nn.Dense(16, kernel_init=initializer("msra"))(x)), None


def test_a_module_of_flax() -> None:
    x = jnp.ones((2, 8, 8, 32))
    params = Net().init(jax.random.key(3), x)["params"]
    again = jax.jit(Net().init)(jax.random.key(3), x)["params"]
    assert jax.tree.all(jax.tree.map(equal, params, again))
    assert float(params["Conv_0"]["kernel"].std()) == pytest.approx(sqrt(2 / (9 * 32)), rel=0.05)
    layers = params["ScanBlock_0"]["Dense_0"]["kernel"]
    assert layers.shape == (4, 16, 16)
    assert float(layers.std()) == pytest.approx(sqrt(2 / 16), rel=0.1)
    assert len({np.asarray(layer).tobytes() for layer in layers}) == 4
    assert not params["Conv_0"]["bias"].any()
    assert jnp.isfinite(Net().apply({"params": params}, x)).all()


class Remembered(nn.Module):
    kernel_init: Any

    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.remat(nn.Dense)(4, kernel_init=self.kernel_init)(x)


def test_a_module_that_has_it_can_be_hashed() -> None:
    init = initializer("xavier")
    assert repr(init) == '<initializer type: "xavier">'
    module = nn.jit(Remembered)(init)
    assert hash(module) == hash(nn.jit(Remembered)(init))
    for _ in range(2):
        kernel = module.init(jax.random.key(3), jnp.ones((1, 600)))["params"]["CheckpointDense_0"]["kernel"]
        assert float(kernel.std()) == pytest.approx(sqrt(1 / 600), rel=0.1)


def test_a_module_of_nnx() -> None:
    layer = nnx.Linear(40, 60, kernel_init=initializer("xavier"), rngs=nnx.Rngs(0))
    other = nnx.Linear(40, 60, kernel_init=initializer("xavier"), rngs=nnx.Rngs(1))
    assert float(layer.kernel[...].std()) == pytest.approx(sqrt(1 / 40), rel=0.05)
    assert not bool((layer.kernel[...] == other.kernel[...]).any())


def test_a_server_computes(server: ServerProcess) -> None:
    with FillerClient(server.address) as client:
        for init in (initializer("xavier", client=client), initializer("xavier")):
            assert equal(jax.jit(lambda key, init=init: init(key, (6, 4)))(KEY), initializer("xavier")(KEY, (6, 4)))


def test_biases_and_arrays_without_values() -> None:
    assert equal(initializer('type: "constant" value: 2')(KEY, (5,)), np.full(5, 2, np.float32))
    assert equal(initializer('type: "uniform"')(KEY, ()), CLIENT.fill("uniform", (), seed=1701, name=""))
    assert initializer("xavier")(KEY, (0, 5), jnp.bfloat16).shape == (0, 5)


def test_float64_is_what_jax_makes_of_it() -> None:
    assert initializer("xavier")(KEY, (3, 4), jnp.float64).dtype == jnp.float32
    with jax.enable_x64(True):
        assert initializer("xavier", dtype="f64")(KEY, (3, 4)).dtype == jnp.float64


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: initializer("xavier")(KEY, (5,)), InvalidArgument, "less than two axes has no fans"),
        (lambda: initializer("xavier", in_axis=2)(KEY, (5, 6)), InvalidArgument, "Received: in_axis=2"),
        (lambda: initializer("xavier", out_axis=-3)(KEY, (5, 6)), InvalidArgument, "Received: out_axis=-3"),
        (lambda: initializer("xavier", in_axis=-1)(KEY, (5, 6)), InvalidArgument, "axis 1 in inputs and in outputs"),
        (lambda: initializer("xavier", batch_axis="0")(KEY, (5, 6)), InvalidArgument, "Received: batch_axis='0'"),
        (lambda: initializer("dirac")(KEY, (5, 6)), ShapeError, "needs a blob of three axes"),
        (lambda: initializer("xavier")(KEY, (-5, 6)), ShapeError, "every dimension"),
        (lambda: initializer("xavier")(KEY, (5, 6), jnp.int32), InvalidArgument, "no data type that a blob can have"),
        (lambda: initializer("xavier")(jax.random.split(KEY, 2), (5, 6)), InvalidArgument, "a key is one of"),
        (lambda: initializer("xavier")(7, (5, 6)), InvalidArgument, "Received: 7"),
        (lambda: initializer("xavier", seed=-1), InvalidArgument, "Received: seed=-1"),
        (lambda: initializer("xavier", client="host:1"), InvalidArgument, "a client is a FillerClient. Received: str"),
        (lambda: initializer('type: "xaver'), FillerError, "Received: "),
        (lambda: initializer("xaver")(KEY, (5, 6)), FillerError, "did you mean 'xavier'"),
        (lambda: jax.jit(lambda key: initializer("dirac")(key, (5, 6)))(KEY), ShapeError, "three axes"),
    ],
)
def test_what_is_refused(make: Any, error: Any, words: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert words in str(caught.value)
