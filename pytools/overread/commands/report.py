"""What a lint found, for people (text), for programs (JSON) and for review tools (SARIF 2.1.0)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from overread.commands.findings import Finding, Rule
from overread.commands.lint import rules

SARIF_VERSION = "2.1.0"
RULES_PAGE = "docs/reference/command-rules.md"


def text_report(found: Mapping[str, Sequence[Finding]]) -> str:
    """Write one line for each finding: file, line, path, how bad, what, how to mend it, rule."""
    lines = []
    for source, findings in found.items():
        for item in findings:
            where = f"{source}:{item.line}" if item.line else source
            what = f"{item.message}; {item.mend}" if item.mend else item.message
            lines.append(f"{where}: {item.path}: {item.rule.severity}: {what} [{item.rule.id}]")
    return "\n".join(lines)


def json_report(found: Mapping[str, Sequence[Finding]]) -> str:
    """Write findings as JSON."""
    rows = [
        {
            "source": source,
            "line": item.line,
            "path": item.path,
            "rule": item.rule.id,
            "severity": item.rule.severity,
            "message": item.message,
            "why": item.rule.why,
            "mend": item.mend,
        }
        for source, findings in found.items()
        for item in findings
    ]
    errors = sum(row["severity"] == "error" for row in rows)
    return json.dumps({"ok": errors == 0, "errors": errors, "warnings": len(rows) - errors, "findings": rows}, indent=1)


def sarif_report(found: Mapping[str, Sequence[Finding]], *, version: str) -> str:
    """Write findings as SARIF, for tools that show them beside the lines of a change.

    Parameters
    ----------
    found
        File -> findings.
    version
        Of this program.
    """
    known = rules()
    places = {rule.id: index for index, rule in enumerate(known)}
    results = [_result(source, item, places) for source, findings in found.items() for item in findings]
    driver = {"name": "overread command lint", "version": version, "rules": [_descriptor(rule) for rule in known]}
    document = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
        "version": SARIF_VERSION,
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }
    return json.dumps(document, indent=1)


def rule_table(known: Iterable[Rule]) -> str:
    """Write the page of all rules, as it stands in the reference."""
    rows = [f"| `{rule.id}` | {rule.severity} | {rule.why.replace('|', chr(92) + '|')} |" for rule in known]
    return "\n".join(
        [
            "# Rules of `overread command lint`",
            "",
            "Computed by `overread command rules`. An error: XNAT refuses the command, or a run of it can't do what it",
            "says. A warning: it works, here and now. The rules are taken from Container Service 3.7.3: what it checks",
            "when a command is saved, what it does when one is launched, and what engines refuse. The shape itself is",
            "in [command.schema.json](../../schemas/command.schema.json).",
            "",
            "| rule | | why |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.id.replace("-", " ")},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why} See {RULES_PAGE}."},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(source: str, item: Finding, places: Mapping[str, int]) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": source.replace("\\", "/")}}
    if item.line:
        physical["region"] = {"startLine": item.line}
    return {
        "ruleId": item.rule.id,
        "ruleIndex": places[item.rule.id],
        "level": item.rule.severity,
        "message": {
            "text": f"{item.path}: {item.message}; {item.mend}" if item.mend else f"{item.path}: {item.message}"
        },
        "locations": [
            {"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": item.path, "kind": "object"}]}
        ],
    }
