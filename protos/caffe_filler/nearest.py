"""The known name that a misspelled one probably stands for."""

from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from heapq import nlargest
from itertools import islice

_LONGEST = 100
"""Characters of a name up to which it is compared: comparing two can take the product of their lengths."""

_MOST = 10_000
"""Known names that are looked at."""

_COMPARED = 32
"""Known names that are compared in full: those that share the most characters with the misspelled one."""


def nearest(
    name: str,
    known: Iterable[str],
    *,
    cutoff: float = 0.6,
    key: Callable[[str], str] = str.casefold,
    unique: bool = False,
) -> str | None:
    """Return the known name most like the given one, or None where none is near.

    The work is bounded, whatever the names are: long names, and known ones after the first ten thousand, are left out.

    Args:
        name: the name that is not known.
        known: the names to choose from.
        cutoff: how like it the result must be, from 0 to 1, as `difflib.SequenceMatcher.ratio` counts.
        key: maps a name to what is compared of it.
        unique: whether there is no result where two names are equally near.
    """
    if len(name) > _LONGEST:
        return None
    matcher = SequenceMatcher(None, "", key(name))
    by_key = {key(one): one for one in islice(known, _MOST) if len(one) <= _LONGEST}
    # The ratio is at most the quick one, which is counted in linear time.
    bounds: dict[str, float] = {}
    for one in by_key:
        matcher.set_seq1(one)
        if matcher.real_quick_ratio() >= cutoff and (bound := matcher.quick_ratio()) >= cutoff:
            bounds[one] = bound
    ratios: list[tuple[float, str]] = []
    best = cutoff
    for one in nlargest(_COMPARED, bounds, key=bounds.__getitem__):
        if bounds[one] < best:
            break
        matcher.set_seq1(one)
        if (ratio := matcher.ratio()) >= best:
            best = ratio
            ratios.append((ratio, one))
    found = [one for ratio, one in ratios if ratio == best]
    return by_key[max(found)] if found and not (unique and len(found) > 1) else None


def did_you_mean(name: str | None, *, quote: str = "'") -> str:
    """Return the words that suggest a name, to go after the wrong one; empty for None."""
    return "" if name is None else f" (did you mean {quote}{name}{quote}?)"
