"""Global arrays whose devices have their own regions alone."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

Box: TypeAlias = tuple[tuple[int, int], ...]
"""Start and stop on each axis."""


def box_of(index: Any, shape: tuple[int, ...]) -> Box:
    """Return the region that JAX says by slices, some of them open."""
    return tuple(part.indices(dim)[:2] for part, dim in zip(index, shape, strict=True))


def boxes(shape: tuple[int, ...], sharding: jax.sharding.Sharding) -> list[Box]:
    """Return the regions that the devices of this process hold, replicas once, in the order of their places.

    Raises:
        ValueError: the sharding is none of such an array.
    """
    if isinstance(sharding, jax.sharding.NamedSharding):
        # What follows fails without a word where there are fewer axes than it names, or passes over it.
        sharding.check_compatible_aval(shape)
    held = sharding.addressable_devices_indices_map(shape).values()
    return sorted({box_of(index, shape) for index in held})


def assembled(
    shape: tuple[int, ...], sharding: jax.sharding.Sharding, dtype: np.dtype[Any], values: dict[Box, NDArray[Any]]
) -> jax.Array:
    """Return a global array from the values of each region that this process holds."""
    return jax.make_array_from_callback(shape, sharding, lambda index: values[box_of(index, shape)], dtype=dtype)


def placed(array: jax.Array, out_sharding: Any) -> jax.Array:
    """Return an array of a traced program where it shall lie: a sharding, a PartitionSpec, or None for anywhere."""
    if out_sharding is None:
        return array
    # Where explicit axes shard an array is part of its type, which no constraint can change.
    if jax.sharding.AxisType.Explicit in _kinds(out_sharding):
        return jax.sharding.reshard(array, out_sharding)
    return jax.lax.with_sharding_constraint(array, out_sharding)


def _kinds(out_sharding: Any) -> set[Any]:
    """Return the types of the axes that a sharding names; of those of the mesh around the program if it names none."""
    mesh, spec = jax.sharding.get_abstract_mesh(), out_sharding
    if isinstance(out_sharding, jax.sharding.NamedSharding):
        spec = out_sharding.spec
    elif not isinstance(out_sharding, jax.sharding.PartitionSpec):
        return set()
    named = {name for entry in spec if entry for name in ((entry,) if isinstance(entry, str) else entry)}
    if named and isinstance(out_sharding, jax.sharding.NamedSharding):
        mesh = out_sharding.mesh
    return {kind for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True) if name in named or not named}


def sharded(
    shape: tuple[int, ...],
    sharding: jax.sharding.Sharding,
    dtype: np.dtype[Any],
    fill: Callable[[Box], NDArray[Any]],
) -> jax.Array:
    """Return a global array whose regions are computed one by one, replicas once."""
    return assembled(shape, sharding, dtype, {box: fill(box) for box in boxes(shape, sharding)})
