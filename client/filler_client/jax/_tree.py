"""Trees of arrays, filled by rules: each device gets its own region alone."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from caffe_filler import dtypes
from caffe_filler.errors import FillerError, InvalidArgument
from caffe_filler.printable import printable
from filler_client._client import FillerClient
from filler_client._many import BlobSpec
from filler_client._requests import check_seed
from filler_client._rules import RulesLike, rules_of
from filler_client.jax._axes import AxesLike, JaxAxes, check_fans
from filler_client.jax._sharded import Box, assembled, boxes

if TYPE_CHECKING:
    from filler_server.rules import Assignment

_AT_ONCE = 256 << 20
"""About so many bytes are held in the memory of the host at a time, before devices have them."""

_LISTED = 8


class _Leaf(NamedTuple):
    """An array of the tree.

    Attributes:
        name: its name.
        shape: shape of the whole array.
        dtype: its data type.
        sharding: where it lies.
        boxes: the regions that this process holds.
        assignment: what fills it; None leaves it to zeros, as it has no values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    sharding: jax.sharding.Sharding
    boxes: list[Box]
    assignment: "Assignment | None"


def fill_tree(
    shapes: Any,
    shardings: Any,
    rules: RulesLike,
    seed: int,
    *,
    in_axis: AxesLike = -2,
    out_axis: AxesLike = -1,
    batch_axis: AxesLike = (),
    client: FillerClient | None = None,
) -> Any:
    """Return a tree of global arrays, each filled by the first rule that fits its name.

    An array's values depend on the seed, its name, its whole shape and its filler, and on nothing else: not on the
    mesh, nor on how many processes there are. Each process computes what its devices hold, replicas once, without
    speaking to the others. Fans are those of whole arrays.

    The name of an array is its path in the tree with dots between the keys, such as `params.Dense_0.kernel`; the
    attribute `value` of boxes such as Flax's `nn.Partitioned` is no part of it.

    Args:
        shapes: tree of `jax.ShapeDtypeStruct` or arrays, such as `jax.eval_shape(model.init, key, x)` gives it.
        shardings: tree of shardings, or of prefixes of it, such as one sharding for all; None: that of each shape, or
            else the default device.
        rules: the path of a file of `InitRules`, their text or the message; the name of a ready-made set; a mapping
            from patterns of names to fillers; or a sequence of these.
        seed: 0 to 2**64 - 1.
        in_axis: axis or axes of the inputs, where a rule does not say them by `axes` or `layout`.
        out_axis: axis or axes of the outputs, likewise.
        batch_axis: axis or axes that count independent weights, likewise.
        client: who computes; this process by default.

    Raises:
        InvalidArgument: no rule fits an array, two of them have one name, one cannot hold a blob, or rules, shardings
            or seed cannot be what they should; nothing was computed.
        FillerError: one of the tree in `caffe_filler.errors`.
        OSError: a file of rules cannot be read.

    Example:
        shapes = jax.eval_shape(model.init, jax.random.key(0), x)
        params = fill_tree(shapes, shardings, {"*.bias": "constant", "*.kernel": "xavier"}, seed=1701)
    """
    seed = check_seed(seed)
    if client is None:
        client = FillerClient.embedded()
    if not isinstance(client, FillerClient):
        raise InvalidArgument(f"a client is a FillerClient. Received: {type(client).__name__}")
    paths, structure = jax.tree_util.tree_flatten_with_path(shapes)
    leaves = _leaves(paths, _shardings(shardings, shapes), rules, JaxAxes(in_axis, out_axis, batch_axis))
    arrays: dict[str, jax.Array] = {}
    for group in _groups(leaves):
        arrays |= _filled(group, seed, client)
    return jax.tree_util.tree_unflatten(structure, [arrays[leaf.name] for leaf in leaves])


def _leaves(paths: Sequence[Any], shardings: Sequence[Any], rules: RulesLike, axes: JaxAxes) -> list[_Leaf]:
    from filler_server.rules import parameters_of

    names = [_name(path) for path, _ in paths]
    _check_names(names)
    checked = rules_of(rules, names)
    shapes = {name: _shape_of(name, struct) for name, (_, struct) in zip(names, paths, strict=True)}
    parameters = parameters_of(shapes)
    leaves, unmatched = [], []
    for name, (_, struct), given in zip(names, paths, shardings, strict=True):
        shape, dtype = shapes[name], _dtype_of(name, struct)
        sharding = _sharding_of(name, struct, given)
        with _Within(name):
            found = checked.assign(parameters[name], axes.of)
            if found is not None and 0 not in shape:
                check_fans(found.filler, shape, found.axes)
            held = boxes(shape, sharding)
        if found is None:
            unmatched.append(name)
        leaves.append(_Leaf(name, shape, dtype, sharding, held, found))
    if unmatched:
        listed = ", ".join(f"'{printable(name)}'" for name in unmatched[:_LISTED])
        more = f" and {len(unmatched) - _LISTED} more" if len(unmatched) > _LISTED else ""
        raise InvalidArgument(f"no rule fits {listed}{more}; a rule '*' at the end fits every array")
    return leaves


def _groups(leaves: Sequence[_Leaf]) -> Iterator[list[_Leaf]]:
    """Yield arrays of one data type that together do not take too much memory."""
    for dtype in dict.fromkeys(leaf.dtype for leaf in leaves):
        group: list[_Leaf] = []
        nbytes = 0
        for leaf in leaves:
            if leaf.dtype == dtype:
                group.append(leaf)
                nbytes += sum(_count(box) for box in leaf.boxes) * dtype.itemsize
                if nbytes > _AT_ONCE:
                    yield group
                    group, nbytes = [], 0
        if group:
            yield group


def _filled(leaves: Sequence[_Leaf], seed: int, client: FillerClient) -> dict[str, jax.Array]:
    """Return arrays of one data type, by one request."""
    wanted = [(leaf, box) for leaf in leaves for box in leaf.boxes if _count(box)]
    values: dict[str, dict[Box, NDArray[Any]]] = {
        leaf.name: {
            box: np.zeros([stop - start for start, stop in box], leaf.dtype) for box in leaf.boxes if not _count(box)
        }
        for leaf in leaves
    }
    specs = [
        BlobSpec(leaf.assignment.filler, leaf.shape, leaf.assignment.stream, box, leaf.assignment.axes)
        for leaf, box in wanted
        if leaf.assignment is not None
    ]
    for (leaf, box), array in zip(wanted, client.fill_many(specs, seed=seed, dtype=leaves[0].dtype), strict=True):
        values[leaf.name][box] = array
    return {leaf.name: assembled(leaf.shape, leaf.sharding, leaf.dtype, values[leaf.name]) for leaf in leaves}


def _count(box: Box) -> int:
    count = 1
    for start, stop in box:
        count *= stop - start
    return count


def _name(path: Sequence[Any]) -> Any:
    is_boxed = bool(path) and isinstance(path[-1], jax.tree_util.GetAttrKey) and path[-1].name == "value"
    return jax.tree_util.keystr(tuple(path[:-1] if is_boxed else path), simple=True, separator=".")


def _check_names(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidArgument(
                "two arrays of one name would be filled alike; keys with dots can be renamed. "
                f"Received: '{printable(name)}'"
            )
        seen.add(name)


def _shape_of(name: str, struct: Any) -> tuple[int, ...]:
    if not (hasattr(struct, "shape") and hasattr(struct, "dtype")):
        raise InvalidArgument(
            f"the leaves of shapes have a shape and a dtype. Received: '{printable(name)}' is {type(struct).__name__}"
        )
    return tuple(struct.shape)


def _dtype_of(name: str, struct: Any) -> np.dtype[Any]:
    try:
        dtype = dtypes.parse(struct.dtype)
    except FillerError as error:
        raise error.within(f"array '{printable(name)}'") from None
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise InvalidArgument(
            f"array '{printable(name)}' needs jax.config.update('jax_enable_x64', True). Received: dtype={dtype}"
        )
    return dtype


def _shardings(shardings: Any, shapes: Any) -> list[Any]:
    def is_leaf(entry: Any) -> bool:
        return entry is None or isinstance(entry, jax.sharding.Sharding | jax.sharding.PartitionSpec)

    found: list[Any] = []

    def spread(sharding: Any, part: Any) -> None:
        found.extend([sharding] * len(jax.tree_util.tree_leaves(part)))

    try:
        # tree_broadcast would count a None among the shapes, which is no array, as one.
        jax.tree_util.tree_map(spread, shardings, shapes, is_leaf=is_leaf)
    except ValueError as error:
        raise InvalidArgument(f"shardings are no tree for these shapes: {error}") from None
    return found


def _sharding_of(name: str, struct: Any, given: Any) -> jax.sharding.Sharding:
    sharding = getattr(struct, "sharding", None) if given is None else given
    if sharding is None:
        return jax.sharding.SingleDeviceSharding(_default_device())
    if not isinstance(sharding, jax.sharding.Sharding):
        raise InvalidArgument(
            f"a sharding is one of jax.sharding, such as NamedSharding(mesh, spec). "
            f"Received: {sharding!r} for '{printable(name)}'"
        )
    return sharding


def _default_device() -> Any:
    """Return where JAX puts arrays of this process that are given no place."""
    given = jax.config.jax_default_device
    return jax.local_devices(backend=given)[0] if given is None or isinstance(given, str) else given


class _Within:
    """Names the array of which an error is; what JAX says of a sharding is an error of this tree, too."""

    def __init__(self, name: str) -> None:
        self._context = f"array '{printable(name)}'"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, FillerError):
            error.within(self._context)
        elif isinstance(error, ValueError):
            raise InvalidArgument(f"{self._context}: {error}") from error
