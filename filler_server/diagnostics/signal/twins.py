"""Twins: values that different elements of one distribution become by the same layers with the same weights.

They go together as two samples of one value do. So do the branches of a siamese net.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from filler_server.net.operations import arrangement
from filler_server.net.plan import NetPlan, Value

_MOST = 64
"""Sources that are kept of a value: with those of all values they would grow with the square of a net."""


class Lineage(NamedTuple):
    """Way in which a value is made.

    Attributes:
        kind: a number that is the same for values which are made in the same way, of sources of one distribution.
        sources: what it is made of, none where that is too much to keep.
        is_learned: whether they come through weights.
    """

    kind: int
    sources: frozenset[Value]
    is_learned: bool


def lineages(plan: NetPlan) -> Mapping[Value, Lineage]:
    """Return what has made each value of a net; nothing for a net whose layers share no weights."""
    if all(blob.owner is None for blob in plan.blobs):
        return {}
    kinds: dict[object, int] = {}
    found: dict[Value, Lineage] = {}
    for index, layer in enumerate(plan.layers):
        bottoms = [found[value] for value in layer.producers]
        # Blobs of one number are the same wherever this is.
        names = [blob.owner or blob.name for blob in layer.blobs if blob.std != 0]
        blobs = tuple(blob.mean if blob.std == 0 else blob.owner or blob.name for blob in layer.blobs)
        is_apart = layer.is_source or not bottoms or isinstance(layer.operation, arrangement.Slice)
        made = type(layer.operation).__name__, repr(layer.operation), blobs, tuple(bottom.kind for bottom in bottoms)
        is_learned = bool(names) or any(bottom.is_learned for bottom in bottoms)
        for number, top in enumerate(layer.tops):
            value = Value(index, number)
            kind = kinds.setdefault((made, top.shape, 0 if is_apart else number), len(kinds))
            sources = frozenset([value]) if is_apart else _united([bottom.sources for bottom in bottoms])
            found[value] = Lineage(kind, sources, is_learned)
    return found


def _united(sources: Sequence[frozenset[Value]]) -> frozenset[Value]:
    """Return all sources; none where one has too many, or all together are."""
    united = frozenset[Value]().union(*sources)
    return united if all(sources) and len(united) <= _MOST else frozenset()


def twins_among(made: Iterable[Lineage]) -> list[list[Lineage]]:
    """Return those of different values that are twins of each other, in groups."""
    groups: dict[int, list[Lineage]] = {}
    for lineage in made:
        if lineage.is_learned:
            groups.setdefault(lineage.kind, []).append(lineage)
    return [group for group in groups.values() if len(group) > 1]


def have_one_source(group: Iterable[Lineage]) -> bool:
    """Return whether two of them are made of the same value, or may be."""
    made = list(group)
    sources = [source for lineage in made for source in lineage.sources]
    return len(set(sources)) < len(sources) or not all(lineage.sources for lineage in made)
