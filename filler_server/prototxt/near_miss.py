"""Names that misspell a known one, told from names of a fork's own.

Forks extend Caffe's names by whole words, numbers, axes and prefixes (`kernel_size_3d`, `pad_d`, `relu6_param`,
`unpooling_param`): such a name means what it says. A misspelled name differs from a known one by a letter or two, or
by case and underscores alone.
"""

import re
from collections import Counter
from collections.abc import Iterable

_SUFFIX = "_param"
"""The ending of a layer's blocks; it says nothing about which block it is."""

_LONGEST = 64
"""Letters of a name up to which it is compared; no known one comes near this."""

_ONE, _TWO = 3, 8
"""Letters of a known name from which on one letter may be wrong, and two."""

_ACRONYM_ONE, _ACRONYM_TWO = 6, 9
"""The same for blocks and types of layers: forks call theirs by acronyms, and any two of these are near each other."""

_NUMBER = re.compile(r"_?[0-9]+d?", re.IGNORECASE)
_AXIS = re.compile(r"_[hwdltxyzcn]$", re.IGNORECASE)


class KnownNames:
    """The names of a message's fields or an enum's values.

    Args:
        names: the names.
        near: others that are right, too, but that no misspelled name stands for.
        acronyms: whether they are types of layers, which forks call by acronyms.
    """

    def __init__(self, names: Iterable[str], *, near: Iterable[str] = (), acronyms: bool = False) -> None:
        self._acronyms = acronyms
        self._near = frozenset(near)
        self._plain = {name: _plain(name) for name in names}
        self._bases = {*self._plain.values(), *(_plain(_AXIS.sub("", name)) for name in self._plain)}

    def meant_by(self, name: str, *, layer_type: str = "") -> str | None:
        """Return the name that a strange one misspells, or None where it is a name of its own.

        Args:
            name: the strange name.
            layer_type: for a field of a layer its type, as far as it is known; its own block can be no other fork's.
        """
        if len(name) > _LONGEST or name in self._plain or name in self._near:
            return None
        plain = _plain(name)
        if plain not in self._plain.values():
            without_number = _NUMBER.sub("", name)
            if not self._bases.isdisjoint(map(_plain, (without_number, _AXIS.sub("", without_number)))):
                return None
        own = _plain(layer_type + _SUFFIX)
        near: list[tuple[int, str]] = []
        for known, plain_known in self._plain.items():
            is_acronym = plain_known != own and (self._acronyms or (known.endswith(_SUFFIX) and name.endswith(_SUFFIX)))
            most = _tolerance(known, is_acronym=is_acronym)
            distance = _distance(plain, plain_known, most)
            if distance <= most and not (distance and _is_derived(name, known, is_acronym=is_acronym)):
                near.append((distance, known))
        return min(near)[1] if near else None


def _tolerance(known: str, *, is_acronym: bool) -> int:
    """Return how many letters of a name may be wrong for it to mean a known one."""
    if is_acronym:
        length = len(_plain(known.removesuffix(_SUFFIX)))
        return (length >= _ACRONYM_ONE) + (length >= _ACRONYM_TWO)
    length = len(_plain(known))
    return (length >= _ONE) + (length >= _TWO)


def _is_derived(name: str, known: str, *, is_acronym: bool) -> bool:
    """Whether a name is a known one with a word more, or with a prefix where forks are apt to put one."""
    words, known_words = name.lower().split("_"), known.lower().split("_")
    if any([*words[:index], *words[index + 1 :]] == known_words for index in range(len(words))):
        return True
    first, known_first = words[0], known_words[0]
    prefix = first.removesuffix(known_first)
    return is_acronym and prefix != first and prefix not in ("", known_first[0])


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _distance(first: str, second: str, most: int) -> int:
    """Return how many letters to insert, leave out, change or swap with the next make one word of another.

    It is `most + 1` where it is more than `most`.
    """
    if first == second:
        return 0
    counts = Counter(first)
    counts.subtract(second)
    if abs(len(first) - len(second)) > most or sum(map(abs, counts.values())) > 2 * most:
        return most + 1
    before: list[int] = []
    above = list(range(len(second) + 1))
    for row, letter in enumerate(first, start=1):
        here = [row]
        for column, other in enumerate(second, start=1):
            cost = min(above[column] + 1, here[column - 1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == second[column - 2] and first[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            here.append(cost)
        before, above = above, here
    return min(above[-1], most + 1)
