"""Findings for programs: JSON, SARIF 2.1.0 and the annotations of GitHub."""

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from filler_server.diagnostics.lint.findings import Finding
from filler_server.diagnostics.lint.registry import rules

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return the findings as plain values."""
    return [finding.as_dict() for finding in findings]


def as_sarif(findings: Sequence[Finding], *, version: str) -> dict[str, Any]:
    """Return the findings as a SARIF 2.1.0 log, with all rules.

    Args:
        findings: the findings.
        version: that of this tool.
    """
    codes = list(rules())
    described = [
        {
            "id": rule.code,
            "name": "".join(word.capitalize() for word in rule.name.split("-")),
            "shortDescription": {"text": rule.why},
            "help": {"text": rule.mend, "markdown": rule.page},
            "defaultConfiguration": {"level": rule.severity},
        }
        for rule in rules().values()
    ]
    results = [_result(finding, codes.index(finding.code)) for finding in findings]
    driver = {"name": "filler lint", "version": version, "rules": described}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def as_github(finding: Finding) -> str:
    """Return a finding as a workflow command of GitHub Actions."""
    kind = "notice" if finding.severity == "note" else finding.severity
    places = {"file": finding.file, "line": finding.line, "col": finding.column, "title": finding.code}
    properties = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in places.items() if value is not None)
    layer = "" if finding.layer is None else f"layer '{finding.layer}': "
    return f"::{kind} {properties}::{_escaped(f'{layer}{finding.message}. {finding.mend}')}"


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(PurePath(finding.file).as_posix())}}
    if finding.line is not None:
        place["region"] = {"startLine": finding.line, "startColumn": finding.column or 1}
    location: dict[str, Any] = {"physicalLocation": place}
    if finding.layer is not None:
        location["logicalLocations"] = [{"name": finding.layer, "kind": "member"}]
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": finding.severity,
        "message": {"text": f"{finding.message}. {finding.mend}"},
        "locations": [location],
    }


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
