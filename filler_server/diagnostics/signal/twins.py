"""Twins: values that different elements of one distribution become by the same layers with the same weights.

They go together as two samples of one value do. So do the branches of a siamese net.
"""

from collections.abc import Mapping
from typing import NamedTuple

from filler_server.net.operations import arrangement
from filler_server.net.plan import NetPlan, Value


class Lineage(NamedTuple):
    """Way in which a value is made.

    Attributes:
        kind: a number that is the same for values which are made in the same way, of sources of one distribution.
        sources: what they are made of.
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
        is_apart = layer.is_source or isinstance(layer.operation, arrangement.Slice)
        made = type(layer.operation).__name__, repr(layer.operation), blobs, tuple(bottom.kind for bottom in bottoms)
        is_learned = bool(names) or any(bottom.is_learned for bottom in bottoms)
        for number, top in enumerate(layer.tops):
            value = Value(index, number)
            kind = kinds.setdefault((made, top.shape, 0 if is_apart else number), len(kinds))
            sources = frozenset([value]).union(*(() if is_apart else [bottom.sources for bottom in bottoms]))
            found[value] = Lineage(kind, sources if is_apart else sources - {value} or sources, is_learned)
    return found


def are_twins(first: Lineage, second: Lineage) -> bool:
    """Return whether two different values are twins."""
    return first.is_learned and first.kind == second.kind
