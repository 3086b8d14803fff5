"""The rules: a record and a function each, by code."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from caffe_filler.errors import NotFound
from caffe_filler.nearest import did_you_mean, nearest
from filler_server.diagnostics.lint.findings import Severity
from filler_server.diagnostics.lint.hits import Hit

Scope: TypeAlias = Literal["text", "file", "net", "pair", "solver", "parameters"]
"""Argument of a rule's function: the text of a net or solver, a net file, its net in one state, a train net with a test
net, a solver, or the parameters of a model."""

Look: TypeAlias = Callable[[Any], Iterable[Hit]]

_FAMILIES = (
    "fillers",
    "zeros",
    "scale",
    "signals",
    "fans",
    "bilinear",
    "blocks",
    "biases",
    "batch_norm",
    "learning",
    "parameters",
    "wiring",
    "losses",
    "spelling",
    "format",
    "shapes",
    "solvers",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        code: its code, which never changes.
        name: its name, in words with hyphens.
        severity: that of its findings.
        why: the reason, one sentence.
        mend: what mends it, one sentence.
        scope: what its function looks at.
        collapse: whether hits of several layers of a net are one finding that names them all.
        fixes: whether `--fix` mends it.
    """

    code: str
    name: str
    severity: Severity
    why: str
    mend: str
    scope: Scope
    collapse: bool
    fixes: bool
    look: Look

    @property
    def page(self) -> str:
        """Its page of documentation, in Markdown."""
        folder = resources.files("filler_server.diagnostics.lint") / "pages"
        return (folder / f"{self.code}.md").read_text(encoding="utf-8")


_rules: dict[str, Rule] = {}


def register(
    code: str,
    name: str,
    severity: Severity,
    *,
    why: str,
    mend: str,
    scope: Scope = "net",
    collapse: bool = False,
    fixes: bool = False,
) -> Callable[[Look], Look]:
    """Return a decorator that makes a rule of a function; the arguments are the attributes of `Rule`."""

    def add(look: Look) -> Look:
        if code in _rules:
            raise ValueError(f"the code is taken. Received: code={code!r}")
        _rules[code] = Rule(code, name, severity, why, mend, scope, collapse, fixes, look)
        return look

    return add


def rules() -> Mapping[str, Rule]:
    """Return all rules by their codes, in the order of these."""
    for family in _FAMILIES:
        import_module(f"filler_server.diagnostics.lint.{family}")
    return MappingProxyType(dict(sorted(_rules.items())))


def rule_of(code: str) -> Rule:
    """Return the rule of a code, or of a name such as `zero-weights`; in any case.

    Raises:
        NotFound: there is none.
    """
    known = rules()
    by_name = {rule.name: rule for rule in known.values()}
    found = known.get(code.upper()) or by_name.get(code.lower())
    if found is None:
        hint = did_you_mean(nearest(code, [*known, *by_name]))
        raise NotFound(f"lint has no such rule{hint}; `filler rule` lists them. Received: code={code!r}", field="code")
    return found
