"""Choice of rules by codes and their prefixes."""

from collections.abc import Iterable
from dataclasses import dataclass

from caffe_filler.errors import InvalidArgument
from caffe_filler.interface import option_name
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.diagnostics.lint.registry import rules


def codes_of(pattern: str) -> frozenset[str]:
    """Return the codes that a code or a prefix of codes stands for, in any case; none where it is unknown."""
    prefix = pattern.strip().upper()
    return frozenset(code for code in rules() if prefix and code.startswith(prefix))


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules that count: those selected, without those ignored."""

    codes: frozenset[str]

    @classmethod
    def of(cls, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> "Selection":
        """Return the selection of codes and prefixes; without any to select it is all rules.

        Raises:
            InvalidArgument: a code or prefix that no rule has.
        """
        selected = _codes("select", select) or frozenset(rules())
        return cls(selected - _codes("ignore", ignore))


def _codes(name: str, patterns: Iterable[str]) -> frozenset[str]:
    if isinstance(patterns, str):
        raise InvalidArgument(f"{option_name(name)} is a sequence of codes. Received: {patterns!r}", field=name)
    found: frozenset[str] = frozenset()
    for pattern in patterns:
        codes = codes_of(pattern) if isinstance(pattern, str) else frozenset[str]()
        if not codes:
            hint = did_you_mean(nearest(str(pattern), rules(), key=str.upper))
            what = f"{option_name(name)}: no rule has a code that begins so{hint}"
            raise InvalidArgument(f"{what}. Received: {pattern!r}", field=name)
        found |= codes
    return found
