"""Field ids, as XNAT's display documents name fields: ``SESSION_ID``, ``LABEL``, ``LESION_VOLUME_ML``."""

from __future__ import annotations

from collections.abc import Iterator

from overread.hub.rest.columns import Column
from overread.hub.schemas import SchemaRegistry

_OTHER_NAMES = {("xnat:subjectData", "SUBJECT_ID"): "SUBJECTID"}
"""Ids by which clients ask for fields that are listed under another."""
_HIDDEN = frozenset({"imageSession_ID", "prearchivePath"})


def displays(schemas: SchemaRegistry, xsi_type: str) -> Iterator[tuple[str, str]]:
    """Go through the fields of a datatype: id and path."""
    kind = schemas.known(xsi_type)
    for path in kind.fields:
        if path not in _HIDDEN:
            yield _display_id(schemas, xsi_type, path), path


def display_path(schemas: SchemaRegistry, xsi_type: str, field_id: str) -> str | None:
    """Return the path of a field of `xsi_type`: by its id, or as a path with or without the type before it."""
    kind = schemas.type(schemas.spelled(xsi_type) or xsi_type)
    if kind is None:
        return None
    path = field_id.removeprefix(f"{xsi_type}/")
    if path in kind.fields:
        return path
    wanted = _OTHER_NAMES.get((kind.name, path.upper()), path.upper())
    return next((known for name, known in displays(schemas, kind.name) if name == wanted), None)


def result_key(schemas: SchemaRegistry, root: str, column: Column, field_id: str) -> str:
    """Return the name of a column in the answer: the field's id in lower case, as XNAT has it."""
    path = field_id.rpartition(":")[2].partition("/")[2] if ":" in field_id else field_id
    if column.key == "ID" and path.upper() == "ID":
        return _display_id(schemas, root, "ID").lower()
    return path.replace("/", "_").lower()


def _display_id(schemas: SchemaRegistry, xsi_type: str, path: str) -> str:
    if path == "ID":
        if schemas.is_a(xsi_type, "xnat:imageSessionData"):
            return "SESSION_ID"
        if schemas.is_a(xsi_type, "xnat:experimentData"):
            return "EXPT_ID"
        return "SUBJECTID" if schemas.is_a(xsi_type, "xnat:subjectData") else "ID"
    return path.replace("/", "_").upper()
