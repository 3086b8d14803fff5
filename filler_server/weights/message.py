"""Binary messages told apart by the fields that they have: their formats have no signature."""

from dataclasses import dataclass

from caffe_filler.errors import WeightsError
from caffe_filler.signatures import CONTROL, LOOKED_AT, foreign
from caffe_filler.wire import LEN, VARINT
from filler_server.weights.mapped import MappedFile
from filler_server.weights.wire import Field, Walker

NET_FIELDS = frozenset(
    {*((number, LEN) for number in (1, 2, 3, 6, 8, 100)), *((number, VARINT) for number in (4, 5, 7))}
)
"""Numbers and wire types of a net's outermost fields."""

_LEARNED_NET = 2
_STATE = {(1, VARINT), (_LEARNED_NET, LEN)}
_MOST_FIELDS = 1000
"""So many fields are looked at."""


@dataclass(frozen=True, slots=True)
class Outermost:
    """The outermost fields of what may be a message.

    Attributes:
        fields: numbers and wire types.
        damage: why it is none, or only a part of one; None where it is whole.
        learned_net: field 2 of a solver's state, which names its weights; None of other messages.
    """

    fields: frozenset[tuple[int, int]] = frozenset()
    damage: WeightsError | None = None
    learned_net: str | None = None


def outermost(file: MappedFile) -> Outermost:
    """Return the outermost fields of a file, none where it is text or has a signature that no message has.

    A solver's state is told by its number of iterations and the name of a net, which no net and no blob has both.
    """
    start = file.read(0, LOOKED_AT)
    if foreign(start) is not None or is_text(start):
        return Outermost()
    seen: dict[tuple[int, int], Field] = {}
    damage: WeightsError | None = None
    try:
        for count, field in enumerate(Walker(file).fields(0, file.size)):
            seen.setdefault((field.number, field.wire_type), field)
            if count == _MOST_FIELDS:
                break
    except WeightsError as error:
        damage = error
    learned_net = None
    if seen.keys() >= _STATE:
        name = seen[_LEARNED_NET, LEN]
        learned_net = file.read(name.data, name.stop).decode(errors="replace")
    return Outermost(frozenset(seen), damage, learned_net)


def is_text(start: bytes) -> bool:
    """Whether the first bytes of a file are text, the last character of which may be cut."""
    return not CONTROL.search(start) and "\ufffd" not in start.decode("utf-8", "replace")[:-4]


def solver_state(learned_net: str) -> str:
    """Return what is wrong with a solver's state as a file of weights."""
    return f"the file is the state of a solver; the weights are in {learned_net or 'the file beside it'} (learned_net)"
