"""XNAT's short names, and its XML paths such as ``xnat:mrSessionData/investigator/lastname``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from overread.hub.schemas import SchemaRegistry

_PERSON = {"pi_firstname": "investigator/firstname", "pi_lastname": "investigator/lastname"}
_VALIDATION = {f"validation_{name}": f"validation/{name}" for name in ("method", "status", "date", "notes")}
_EXPERIMENT = {
    **{name: name for name in ("ID", "visit_id", "visit", "protocol", "date", "time", "note", "project", "label")},
    **_PERSON,
    **_VALIDATION,
}
_SESSION = {
    **{
        name: name
        for name in (
            "scanner", "operator", "dcmAccessionNumber", "dcmPatientId", "dcmPatientName", "session_type", "modality",
            "UID", "coil", "fieldStrength", "marker", "stabilization", "studyType", "patientID", "patientName",
        )
    },
    "studyInstanceUID": "UID",
    "tracer_name": "tracer/name",
    "tracer_startTime": "tracer/startTime",
    "tracer_dose": "tracer/dose",
    "tracer_isotope": "tracer/isotope",
}  # fmt: skip
_SCAN = {
    **{
        name: name
        for name in (
            "ID", "type", "UID", "note", "quality", "condition", "series_description", "documentation", "scanner",
            "modality", "frames", "coil", "fieldStrength", "marker", "stabilization",
        )
    },
    **_VALIDATION,
    "scanTime": "startTime",
}  # fmt: skip
_DEMOGRAPHICS = (
    "dob", "yob", "age", "gender", "handedness", "ses", "education", "educationDesc", "race", "ethnicity", "weight",
    "height", "gestational_age", "post_menstrual_age", "birth_weight",
)  # fmt: skip
_SUBJECT = {
    **{name: name for name in ("ID", "label", "project", "group", "src")},
    **{name: f"demographics/{name}" for name in _DEMOGRAPHICS},
    **_PERSON,
}
_PROJECT = {
    **{name: name for name in ("ID", "secondary_ID", "name", "description", "keywords")},
    "pi_firstname": "PI/firstname",
    "pi_lastname": "PI/lastname",
}
_BY_BASE = (
    ("xnat:imageSessionData", {**_EXPERIMENT, **_SESSION}),
    ("xnat:experimentData", _EXPERIMENT),
    ("xnat:imageScanData", _SCAN),
    ("xnat:subjectData", _SUBJECT),
    ("xnat:projectData", _PROJECT),
)

SESSION_ONLY = frozenset(_SESSION)
"""Short names that make an image session the root type of a list of experiments."""

META = {
    "meta/insert_date": "insert_date",
    "meta/last_modified": "last_modified",
    "meta/insert_user/login": "insert_user",
}
"""Paths of what the hub notes of every item, and their short names."""

_XPATH = re.compile(r"[A-Za-z][\w.-]*:[A-Za-z][\w.-]*/.+")
_TYPE_PREDICATE = re.compile(r"\[@?xsi:type\s*=\s*'?([\w:.-]+)'?\]")


@dataclass(frozen=True)
class XmlPath:
    """A path with the type it starts from. Predicates on ``xsi:type`` are gone: each place has one type in the hub."""

    xsi_type: str
    path: str


def short_names(schemas: SchemaRegistry, xsi_type: str) -> dict[str, str]:
    """Return short name to path below `xsi_type`, as far as the type has the field."""
    for base, names in _BY_BASE:
        if schemas.is_a(xsi_type, base):
            fields = schemas.known(xsi_type).fields
            return {name: path for name, path in names.items() if path in fields}
    return {}


def parse_xpath(schemas: SchemaRegistry, name: str) -> XmlPath | None:
    """Return `name` as an XML path, its type spelled as the schema does; None if it is none."""
    if not _XPATH.fullmatch(name):
        return None
    given, _, path = name.partition("/")
    return XmlPath(schemas.spelled(given) or given, _TYPE_PREDICATE.sub("", path))


def short_name_of(schemas: SchemaRegistry, xsi_type: str, path: str) -> str | None:
    """Return the short name of a path, or None."""
    if path in META:
        return META[path]
    names = short_names(schemas, xsi_type)
    return next((name for name, target in names.items() if target == path), None)
