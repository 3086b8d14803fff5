"""Lint: likely mistakes in nets and solvers, found without running them.

A rule is one record with one function, in the module of its family; `registry` keeps them all. A function looks at a
file, at its net in one state, or at a solver, and yields hits; what becomes of a hit (comments that ignore it, repeated
ones, codes that are not selected) is the same for all of them.
"""

from filler_server.diagnostics.lint.findings import Finding, Findings
from filler_server.diagnostics.lint.registry import Rule, rule_of, rules
from filler_server.diagnostics.lint.selection import Selection

__all__ = ["Finding", "Findings", "Rule", "Selection", "rule_of", "rules"]
