"""Findings for programs and as tables."""

import json

from filler_server.diagnostics.lint import Finding, Findings, rules
from filler_server.diagnostics.lint.formats import as_github, as_json, as_sarif

FINDING = Finding("FIL003", "warning", "my nets/ä%.prototxt", 3, 14, "ip,1", "100% zeros\nand more", "Fill it.")
WHOLE = Finding("FIL031", "note", "net.caffemodel", None, None, None, "it is old", "Upgrade it.")


def test_json() -> None:
    keys = ["code", "severity", "file", "line", "column", "layer", "message", "mend"]
    assert [list(entry) for entry in as_json([FINDING, WHOLE])] == [keys, keys]
    assert as_json([WHOLE])[0]["line"] is None


def test_sarif() -> None:
    log = json.loads(json.dumps(as_sarif([FINDING, WHOLE], version="0.1.0")))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    described = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in described] == list(rules())
    assert {rule["defaultConfiguration"]["level"] for rule in described} == {"error", "warning", "note"}
    first, second = run["results"]
    assert described[first["ruleIndex"]]["id"] == first["ruleId"] == "FIL003"
    assert first["level"] == "warning"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20nets/%C3%A4%25.prototxt"
    assert place["region"] == {"startLine": 3, "startColumn": 14}
    assert "region" not in second["locations"][0]["physicalLocation"]
    assert as_sarif([], version="0")["runs"][0]["results"] == []


def test_github() -> None:
    assert as_github(FINDING) == (
        "::warning file=my nets/ä%25.prototxt,line=3,col=14,title=FIL003::"
        "layer 'ip,1': 100%25 zeros%0Aand more. Fill it."
    )
    assert as_github(WHOLE) == "::notice file=net.caffemodel,title=FIL031::it is old. Upgrade it."


def test_findings_as_a_table() -> None:
    findings = Findings([FINDING, WHOLE])
    assert findings.failed
    assert not findings[1:].failed
    assert findings.summary() == "1 warning, 1 note"
    assert Findings().summary() == "no findings"
    assert "FIL031" in str(findings)
    html = Findings([Finding("FIL001", "error", "a", 1, 1, "<b>", "<script>", "&")])._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert findings == Findings([FINDING, WHOLE]) != Findings([WHOLE])
