"""Layer types by Caffe's names: how each is set up, how many bottoms and tops it takes, and its traits.

A further type is a function from `LayerContext` to `SetUp` under `register`:

    @register("Twice", bottoms=exactly(1), tops=exactly(1))
    def twice(layer: LayerContext) -> SetUp:
        return SetUp([layer.bottoms[0]])

Traits are what other rooms need to know of a type: what its set-up draws from Caffe's engine, what its blobs are, and
which shapes they had in old files. They stand at its registration, so that a new type is one function in one place.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from caffe_filler.caffe import caffe_pb2
from caffe_filler.nearest import nearest
from filler_server.net.layer import LayerContext, SetUp

SetUpFunction: TypeAlias = Callable[[LayerContext], SetUp]

SeedRule: TypeAlias = Callable[[caffe_pb2.LayerParameter, caffe_pb2.Phase], int | None]
"""Returns how many outputs of the engine a layer draws at set-up to seed engines of its own, None if unknown."""


class BlobCount(NamedTuple):
    """Numbers of blobs that a layer takes or produces; `most` None is no limit."""

    least: int = 0
    most: int | None = None


CountRule: TypeAlias = BlobCount | Callable[[LayerContext], BlobCount]
"""A count, or how it follows from the layer's parameters."""


def exactly(number: int) -> BlobCount:
    """Exactly this many blobs."""
    return BlobCount(number, number)


def at_least(number: int) -> BlobCount:
    """This many blobs or more."""
    return BlobCount(number)


def between(least: int, most: int) -> BlobCount:
    """From `least` to `most` blobs."""
    return BlobCount(least, most)


def no_seeds(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> int:
    """Return 0: the set-up draws nothing but the values of the layer's blobs."""
    return 0


def unknown_seeds(parameter: caffe_pb2.LayerParameter, phase: caffe_pb2.Phase) -> None:
    """Return None: the set-up draws, but no public source tells how much."""
    return


def up_to(*roles: str) -> tuple[tuple[str, ...], ...]:
    """Return the roles of blobs of which the last ones may be missing.

    >>> up_to("weight", "bias")
    (('weight',), ('weight', 'bias'))
    """
    return tuple(roles[:number] for number in range(1, len(roles) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerType:
    """A layer type.

    Attributes:
        name: Caffe's name for it.
        set_up: the function that finds its tops and learnable blobs.
        bottoms: how many bottoms it takes.
        tops: how many tops it produces.
        one_top_per_bottom: whether there must be as many tops as bottoms.
        loss: whether it is a loss, which weighs 1 unless said otherwise and makes up for tops not named.
        keeps_shape_in_place: whether it is refused with a top in place of a bottom of another shape; BVLC's losses are.
        open_blobs: whether it may have learnable blobs that nothing in the prototxt tells.
        fork_fields: the paths of fields outside of BVLC's schema that its set-up asks for.
        fork: whether only forks have it. Another fork may have another type of that name, so that one which does not
            fit is not refused but as good as unknown.
        seeds: how many outputs of Caffe's engine its set-up draws before it fills its blobs, to seed other engines.
        refilled: how many of its blobs, the last ones, are filled again at each further timestep of the unrolled net.
        blob_roles: what its blobs are, one sequence of names for each number of blobs that it can have.
        blob_axes: how many axes each of its blobs has, as far as the type alone tells and old files had four of them
            (`Blob::LegacyShape`); None for a blob that may have any number.
    """

    name: str
    set_up: SetUpFunction
    bottoms: CountRule
    tops: CountRule
    one_top_per_bottom: bool
    loss: bool
    keeps_shape_in_place: bool
    open_blobs: bool
    fork_fields: frozenset[str]
    fork: bool
    seeds: SeedRule
    refilled: int
    blob_roles: tuple[tuple[str, ...], ...]
    blob_axes: tuple[int | None, ...]

    def roles(self, blobs: int, counts: Sequence[int | None] = ()) -> tuple[str, ...]:
        """Return what the blobs of a layer of this type are, in their order, if it has so many; () if it never has.

        The words are the same for all types: `weight` and `bias` are multiplied with and added to the input;
        `scale` multiplies each channel; `slope` is that of a PReLU; `mean` and `variance` are statistics, which
        `factor` divides; those of LSTM and RNN have Caffe's names of the unrolled net (`W_xc`, `b_c`, `W_hc`).

        Args:
            blobs: how many blobs the layer has.
            counts: how many values each has, where that is known. It tells apart the forms of BatchNorm with five
                blobs: a `factor` has one value.
        """
        forms = [roles for roles in self.blob_roles if len(roles) == blobs]
        fitting = (
            roles
            for roles in forms
            if all(count in (None, 1) for role, count in zip(roles, counts, strict=False) if role == "factor")
        )
        return next(fitting, forms[0] if forms else ())

    def modern_shape(self, index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that a blob has today whose shape in an old file is this one, of four axes.

        The leading axes of 1 that old files put in front of a bias (1, 1, 1, N) or of the weight of an inner product
        (1, 1, M, N) are dropped. The shape stays as it is where the type does not tell, or they are not 1.
        """
        axes = self.blob_axes[index] if index < len(self.blob_axes) else None
        extra = 0 if axes is None else len(shape) - axes
        return shape[extra:] if extra > 0 and all(dim == 1 for dim in shape[:extra]) else shape


_types: dict[str, LayerType] = {}


def register(
    name: str,
    *,
    bottoms: CountRule,
    tops: CountRule,
    one_top_per_bottom: bool = False,
    loss: bool = False,
    keeps_shape_in_place: bool = False,
    open_blobs: bool = False,
    fork_fields: Iterable[str] = (),
    fork: bool = False,
    seeds: SeedRule = no_seeds,
    refilled: int = 0,
    roles: Sequence[tuple[str, ...]] = (),
    blob_axes: Sequence[int | None] = (),
) -> Callable[[SetUpFunction], SetUpFunction]:
    """Return a decorator that registers a set-up function under a type name; the attributes are LayerType's.

    Raises:
        ValueError: the name is taken.
    """

    def add(set_up: SetUpFunction) -> SetUpFunction:
        if name in _types:
            raise ValueError(f"layer type already registered. Received: name={name!r}")
        _types[name] = LayerType(
            name=name,
            set_up=set_up,
            bottoms=bottoms,
            tops=tops,
            one_top_per_bottom=one_top_per_bottom,
            loss=loss,
            keeps_shape_in_place=keeps_shape_in_place or (loss and not fork),
            open_blobs=open_blobs,
            fork_fields=frozenset(fork_fields),
            fork=fork,
            seeds=seeds,
            refilled=refilled,
            blob_roles=tuple(roles),
            blob_axes=tuple(blob_axes),
        )
        return set_up

    return add


register_fork = partial(register, fork=True)
"""`register` for a type that only forks have."""


def layer_type(name: str) -> LayerType | None:
    """Return the layer type of this name, which must match exactly, or None."""
    return _types.get(name)


def resolve_layer_type(name: str, fields: Collection[str]) -> LayerType | None:
    """Return the layer type that a name in a file can only mean, or None.

    Args:
        name: the type as the file has it.
        fields: paths of what its reader passed over in the layer. With `type` among them the name is that of a V1 type
            of a fork, such as `ROI_POOLING`, and case and underscores do not count.
    """
    for block, kinds in _FORMER_NAMES.items():
        if block in fields and name in kinds:
            return _types.get(kinds[name])
    if name in _types:
        return _types[name]
    for prefix in _BACKENDS:
        if name.startswith(prefix) and name.removeprefix(prefix) in _types:
            return _types[name.removeprefix(prefix)]
    if "type" not in fields:
        return None
    return next((kind for known, kind in _types.items() if _plain(known) == _plain(name)), None)


_FORMER_NAMES = {"lstm_param": {"LSTM": "Lstm"}}
"""By a block that tells them: types of forks under names that BVLC later gave to others."""

_BACKENDS = ("CuDNN", "MKLDNN", "MKL")
"""Prefixes of a type's name for implementations of it that have the same parameters."""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def layer_type_names() -> tuple[str, ...]:
    """Return the names of all registered layer types, sorted."""
    return tuple(sorted(_types))


def nearest_type_name(name: str) -> str | None:
    """Return the registered name most like the given one, or None where nothing is near."""
    return nearest(name, _types, cutoff=0.75)


def check_blob_counts(layer: LayerContext, kind: LayerType) -> None:
    """Check the numbers of bottoms and tops as Caffe's `CheckBlobCounts` does.

    Raises:
        NetError: there are too few.
        Extended: there are more than the type has, which a fork's may have.
    """
    parameter = layer.parameter
    given = {"bottoms": list(parameter.bottom), "tops": list(parameter.top)}
    for rule, number, verb, blobs in (
        (kind.bottoms, len(layer.bottoms), "takes", "bottom blob(s) as input"),
        (kind.tops, layer.num_tops, "produces", "top blob(s) as output"),
    ):
        least, most = rule if isinstance(rule, BlobCount) else rule(layer)
        if number < least:
            quantity = str(least) if most == least else f"at least {least}"
            layer.refuse(f"{kind.name} Layer {verb} {quantity} {blobs}", **given)
        if most is not None and number > most:
            quantity = str(most) if most == least else f"at most {most}"
            layer.extended(f"{kind.name} Layer {verb} {quantity} {blobs}", **given)
    if kind.one_top_per_bottom and len(layer.bottoms) != layer.num_tops:
        layer.extended(
            f"{kind.name} Layer produces one top blob as output for each bottom blob input",
            **given,
        )


def automatic_tops(kind: LayerType | None) -> int:
    """Return how many tops Caffe makes up, without a name, where a layer of this type names fewer."""
    return kind.tops.least if kind is not None and kind.loss and isinstance(kind.tops, BlobCount) else 0
