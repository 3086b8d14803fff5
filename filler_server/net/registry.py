"""Layer types by Caffe's names: how each is set up, and how many bottoms and tops it takes.

A further type is a function from `LayerContext` to `SetUp` under `register`:

    @register("Twice", bottoms=exactly(1), tops=exactly(1))
    def twice(layer: LayerContext) -> SetUp:
        return SetUp([layer.bottoms[0]])
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from caffe_filler.caffe import caffe_pb2
from filler_server.net.hints import nearest
from filler_server.net.layer import LayerContext, SetUp

SetUpFunction: TypeAlias = Callable[[LayerContext], SetUp]


class BlobCount(NamedTuple):
    """How many blobs a layer takes or produces; `most` None is no limit."""

    least: int = 0
    most: int | None = None


CountRule: TypeAlias = BlobCount | Callable[[caffe_pb2.LayerParameter], BlobCount]
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
    """

    name: str
    set_up: SetUpFunction
    bottoms: CountRule
    tops: CountRule
    one_top_per_bottom: bool
    loss: bool
    open_blobs: bool


_types: dict[str, LayerType] = {}


def register(
    name: str,
    *,
    bottoms: CountRule,
    tops: CountRule,
    one_top_per_bottom: bool = False,
    loss: bool = False,
    open_blobs: bool = False,
) -> Callable[[SetUpFunction], SetUpFunction]:
    """Return a decorator that registers a set-up function under a type name; the attributes are LayerType's.

    Raises:
        ValueError: the name is taken.
    """

    def add(set_up: SetUpFunction) -> SetUpFunction:
        if name in _types:
            raise ValueError(f"layer type already registered. Received: name={name!r}")
        _types[name] = LayerType(name, set_up, bottoms, tops, one_top_per_bottom, loss, open_blobs)
        return set_up

    return add


def layer_type(name: str) -> LayerType | None:
    """Return the layer type of this name, which must match exactly, or None."""
    return _types.get(name)


def layer_type_names() -> tuple[str, ...]:
    """Return the names of all registered layer types, sorted."""
    return tuple(sorted(_types))


def nearest_type_name(name: str) -> str | None:
    """Return the registered name most like the given one, or None where nothing is near."""
    by_case = {known.lower(): known for known in _types}
    near = nearest(name.lower(), by_case, cutoff=0.75)
    return None if near is None else by_case[near]


def check_blob_counts(layer: LayerContext, kind: LayerType) -> None:
    """Refuse a layer with too few or too many bottoms or tops, as Caffe's `CheckBlobCounts`."""
    parameter = layer.parameter
    given = {"bottoms": list(parameter.bottom), "tops": list(parameter.top)}
    for rule, number, verb, blobs in (
        (kind.bottoms, len(layer.bottoms), "takes", "bottom blob(s) as input"),
        (kind.tops, layer.num_tops, "produces", "top blob(s) as output"),
    ):
        least, most = rule if isinstance(rule, BlobCount) else rule(parameter)
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
