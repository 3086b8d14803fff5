"""The name that was probably meant."""

import difflib
from collections.abc import Iterable

_LONGEST = 100


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known name most like the given one, or None where nothing is near.

    Very long names are left alone: comparing takes quadratic time.
    """
    if len(name) > _LONGEST:
        return None
    near = difflib.get_close_matches(name, (one for one in known if len(one) <= _LONGEST), n=1, cutoff=cutoff)
    return near[0] if near else None


def did_you_mean(name: str | None) -> str:
    """Return the words that suggest a name, or none."""
    return "" if name is None else f" (did you mean '{name}'?)"
