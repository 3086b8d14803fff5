"""Initializers with the signature of `jax.nn.initializers`."""

import hashlib
import operator
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from google.protobuf import text_format
from jax.custom_batching import custom_vmap
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.caffe.caffe_pb2 import FillerParameter
from caffe_filler.errors import InvalidArgument
from filler_client._client import FillerClient
from filler_client._requests import FillerLike, check_seed, fill_request, filler_parameter
from filler_client.jax._axes import AxesLike, JaxAxes, check_fans
from filler_client.jax._sharded import placed, sharded

_WORD = 32


def initializer(
    filler: FillerLike,
    *,
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    seed: int | None = None,
    name: str | None = None,
    dtype: Any = None,
    client: FillerClient | None = None,
) -> "Initializer":
    """Return an initializer that fills arrays as a filler does, for Flax, Equinox and all that takes those of JAX.

    Values depend on the seed, the name, the whole shape and the filler, and on nothing else. Without a seed the key is
    the seed: a key of two words, as `jax.random.key(1701)` makes it, the number that they are (1701), another one a
    hash of its words. With a seed and without a name the name is `key:` and the words of the key in hexadecimal, so
    that arrays of different keys differ. With both the key counts for nothing.

    Under `jax.jit` the values come from a callback when the program runs; `jax.eval_shape` computes nothing; under
    `jax.vmap` each key has its own values. Haiku gives its initializers no key:
    `lambda shape, dtype: init(hk.next_rng_key(), shape, dtype)`.

    Args:
        filler: a FillerParameter, its prototxt, or the name of a type.
        in_axis: axis or axes of the inputs.
        out_axis: axis or axes of the outputs. All other axes but the batch are the receptive field's.
        batch_axis: axis or axes that count independent weights, such as stacked layers.
        seed: 0 to 2**64 - 1; None: the key.
        name: selects the random numbers.
        dtype: float32, float64, float16 or bfloat16, where a call gives none; None: JAX's default.
        client: who computes; this process by default.

    Raises:
        InvalidArgument: an argument cannot be what it should.
        PrototxtError: the text is not a FillerParameter.

    Example:
        nn.Dense(256, kernel_init=initializer("xavier"))
    """
    if client is not None and not isinstance(client, FillerClient):
        raise InvalidArgument(f"a client is a FillerClient. Received: {type(client).__name__}")
    return Initializer(
        filler_parameter(filler),
        JaxAxes(in_axis, out_axis, batch_axis),
        None if seed is None else check_seed(seed),
        name,
        dtype,
        FillerClient.embedded() if client is None else client,
    )


class Initializer:
    """A filler as an initializer of JAX, made by `initializer`; as functions are, it is equal to itself alone.

    It is no dataclass: Flax would look into it where it compares modules.
    """

    def __init__(
        self,
        filler: FillerParameter,
        axes: JaxAxes,
        seed: int | None,
        name: str | None,
        dtype: Any,
        client: FillerClient,
    ) -> None:
        self._filler = filler
        self._axes = axes
        self._seed = seed
        self._name = name
        self._dtype = dtype
        self._client = client

    def __repr__(self) -> str:
        return f"<initializer {text_format.MessageToString(self._filler, as_one_line=True)}>"

    def __call__(self, key: Any, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        """Return an array.

        Args:
            key: a key of `jax.random`, one of the new or of the old style.
            shape: its shape.
            dtype: its data type.
            out_sharding: where it lies; each device gets its own region alone, unless the call is traced.

        Raises:
            InvalidArgument: the filler cannot fill such an array, or the key is not a single one.
            FillerError: one of the tree in `caffe_filler.errors`.
        """
        wanted = dtype if dtype is not None else self._dtype if self._dtype is not None else jnp.float_
        real = jax.dtypes.canonicalize_dtype(dtypes.parse(wanted))
        dims = tuple(operator.index(dim) for dim in shape)
        is_traced = isinstance(key, jax.core.Tracer)
        if 0 in dims:
            array = jnp.zeros(dims, real)
            return placed(array, out_sharding) if is_traced else jax.device_put(array, out_sharding)
        axes = self._axes.of(dims)
        check_fans(self._filler, dims, axes)
        # What is wrong is told here, and not in a callback.
        fill_request(self._filler, dims, name=self._name or "", axes=axes)
        words = _words(key)

        def values(words: Any, region: Any = None) -> NDArray[Any]:
            seed, name = self._stream(np.asarray(words))
            return self._client.fill(self._filler, dims, seed=seed, name=name, dtype=real, axes=axes, region=region)

        if is_traced:
            return placed(self._called_back(values, jax.ShapeDtypeStruct(dims, real))(words), out_sharding)
        if isinstance(out_sharding, jax.sharding.Sharding):
            return sharded(dims, out_sharding, real, partial(values, words))
        return jax.device_put(values(words), out_sharding)

    def _stream(self, words: NDArray[Any]) -> tuple[int, str]:
        """Return the seed and the name that a key stands for."""
        if self._seed is None:
            return _seed(words), self._name or ""
        return self._seed, f"key:{words.astype('>u4').tobytes().hex()}" if self._name is None else self._name

    def _called_back(self, values: Any, result: jax.ShapeDtypeStruct) -> Any:
        def call(words: Any) -> Any:
            return jax.pure_callback(values, result, words, vmap_method="sequential")

        if self._seed is None or self._name is None:
            return call
        single = custom_vmap(call)

        @single.def_vmap
        def refuse(axis_size: int, in_batched: Any, words: Any) -> Any:
            raise InvalidArgument(
                f"under jax.vmap all {axis_size} arrays would be the same, as seed and name are given; without one of "
                f"them the key tells them apart. Received: seed={self._seed}, name={self._name!r}"
            )

        return single


def _words(key: Any) -> Any:
    """Return the words of a key, uint32 [n].

    Raises:
        InvalidArgument: it is not a single key.
    """
    dtype = getattr(key, "dtype", None)
    is_typed = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
    words = jax.random.key_data(key) if is_typed else key
    if getattr(words, "ndim", None) != 1 or getattr(words, "dtype", None) != jnp.uint32:
        received = f"{dtype}{list(key.shape)}" if hasattr(key, "shape") else repr(key)
        raise InvalidArgument(f"a key is one of jax.random.key or jax.random.PRNGKey. Received: {received}")
    return words


def _seed(words: NDArray[Any]) -> int:
    if words.size <= 2:
        return sum(int(word) << _WORD * place for place, word in enumerate(reversed(words.tolist())))
    return int.from_bytes(hashlib.blake2b(words.astype("<u4").tobytes(), digest_size=8).digest(), "little")
