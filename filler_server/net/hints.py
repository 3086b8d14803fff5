"""The name that was probably meant."""

import difflib
from collections.abc import Iterable
from itertools import islice

_LONGEST, _MOST = 100, 10_000


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name most like the given one, or None where nothing is near.

    Very long names, and those beyond the first ten thousand, are left alone: comparing takes quadratic time.
    """
    if len(name) > _LONGEST:
        return None
    candidates = (one for one in islice(known, _MOST) if len(one) <= _LONGEST)
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(name: str | None) -> str:
    """Return the words that suggest a name, or none."""
    return "" if name is None else f" (did you mean '{name}'?)"
