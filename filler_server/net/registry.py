"""Layer types by Caffe's names: how each is set up, and how many bottoms and tops it takes.

A further type is a function from `LayerContext` to `SetUp` under `register`:

    @register("Twice", bottoms=exactly(1), tops=exactly(1))
    def twice(layer: LayerContext) -> SetUp:
        return SetUp([layer.bottoms[0]])
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

from caffe_filler.nearest import nearest
from filler_server.net.layer import LayerContext, SetUp

SetUpFunction: TypeAlias = Callable[[LayerContext], SetUp]


class BlobCount(NamedTuple):
    """How many blobs a layer takes or produces; `most` None is no limit."""

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


@dataclass(frozen=True, slots=True)
class LayerType:
    """A layer type.

    Attributes:
        name: Caffe's name for it.
        set_up: the function that finds its tops and learnable blobs.
        bottoms: how many bottoms it takes.
        tops: how many tops it produces.
        one_top_per_bottom: whether there must be as many tops as bottoms.
        loss: whether it is a loss, which weighs 1 unless said otherwise and makes up for tops not named.
        open_blobs: whether it may have learnable blobs that nothing in the prototxt tells.
        fork_fields: the paths of fields outside of BVLC's schema that its set-up asks for.
        fork: whether only forks have it. Another fork may have another type of that name, so that one which does not
            fit is not refused but as good as unknown.
    """

    name: str
    set_up: SetUpFunction
    bottoms: CountRule
    tops: CountRule
    one_top_per_bottom: bool
    loss: bool
    open_blobs: bool
    fork_fields: frozenset[str]
    fork: bool


_types: dict[str, LayerType] = {}


def register(
    name: str,
    *,
    bottoms: CountRule,
    tops: CountRule,
    one_top_per_bottom: bool = False,
    loss: bool = False,
    open_blobs: bool = False,
    fork_fields: Iterable[str] = (),
    fork: bool = False,
) -> Callable[[SetUpFunction], SetUpFunction]:
    """Return a decorator that registers a set-up function under a type name; the attributes are LayerType's.

    Raises:
        ValueError: the name is taken.
    """

    def add(set_up: SetUpFunction) -> SetUpFunction:
        if name in _types:
            raise ValueError(f"layer type already registered. Received: name={name!r}")
        _types[name] = LayerType(
            name, set_up, bottoms, tops, one_top_per_bottom, loss, open_blobs, frozenset(fork_fields), fork
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
"""What stands in front of a type's name for an implementation of it that has the same parameters."""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def layer_type_names() -> tuple[str, ...]:
    """Return the names of all registered layer types, sorted."""
    return tuple(sorted(_types))


def nearest_type_name(name: str) -> str | None:
    """Return the registered name most like the given one, or None where nothing is near."""
    return nearest(name, _types, cutoff=0.75)


def check_blob_counts(layer: LayerContext, kind: LayerType) -> None:
    """Refuse a layer with too few or too many bottoms or tops, as Caffe's `CheckBlobCounts`."""
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
            layer.refuse(f"{kind.name} Layer {verb} {quantity} {blobs}", **given)
    if kind.one_top_per_bottom and len(layer.bottoms) != layer.num_tops:
        layer.refuse(
            f"{kind.name} Layer produces one top blob as output for each bottom blob input",
            **given,
        )


def automatic_tops(kind: LayerType | None) -> int:
    """Return how many tops Caffe makes up, without a name, where a layer of this type names fewer."""
    return kind.tops.least if kind is not None and kind.loss and isinstance(kind.tops, BlobCount) else 0
