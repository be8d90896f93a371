"""Values of an item, checked against its datatype, and where each is kept.

What lists filter and sort by is a column; all else lies in the item's ``fields`` and ``children``
(:mod:`overread.hub.models.items`). Paths are XNAT's, below the type: ``note``, ``investigator/lastname``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from overread.hub.errors import HubError, bad_request
from overread.hub.models import Experiment, Project, Scan, Subject
from overread.hub.schemas import ChildType, DataType, SchemaRegistry
from overread.hub.schemas.values import Value, coerce

Item = Project | Subject | Experiment | Scan
Children = dict[str, list[dict[str, Any]]]

_EXPERIMENT = {
    "date": "date",
    "time": "time",
    "UID": "uid",
    "modality": "modality",
    "dcmAccessionNumber": "accession_number",
    "dcmPatientId": "patient_id",
    "dcmPatientName": "patient_name",
}
_SCAN = {
    "type": "type",
    "UID": "uid",
    "modality": "modality",
    "quality": "quality",
    "series_description": "series_description",
}
_PROJECT = {"secondary_ID": "secondary_id", "name": "name", "description": "description"}

IDENTITY = frozenset({"ID", "id", "project", "label", "subject_ID", "imageSession_ID", "image_session_ID"})
"""Fields that say which item it is and where it hangs. They are set by the item's place, never as a value."""

_RELATED = ("xnat:experimentData", "xnat:imageScanData", "xnat:abstractResource")


def columns_of(model: type[Item] | Item) -> Mapping[str, str]:
    """Return the paths that `model` keeps in a column of its own, with the column's name."""
    kind = model if isinstance(model, type) else type(model)
    return {Experiment: _EXPERIMENT, Scan: _SCAN, Project: _PROJECT}.get(kind, {})


def require_type(schemas: SchemaRegistry, xsi_type: str, base: str) -> DataType:
    """Return the datatype `xsi_type` if items of it can be stored as a `base`, else refuse with 400."""
    kind = schemas.type(xsi_type)
    if kind is None:
        near = difflib.get_close_matches(xsi_type, schemas.names(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else " Is its plugin installed?"
        raise bad_request(f"Unknown data type {xsi_type!r}.{hint}")
    if not schemas.is_a(xsi_type, base):
        raise bad_request(f"{xsi_type} is no {base}.")
    if kind.abstract:
        raise bad_request(f"{xsi_type} is abstract: name the type itself, such as {_example(schemas, xsi_type)}.")
    if xsi_type not in schemas.elements():
        raise HubError(
            403,
            f"{xsi_type} is not set up for storing: its plugin's properties need "
            f"dataModel.{xsi_type.replace(':', '.')}.secured=true.",
        )
    return kind


def find_path(kind: DataType, path: str) -> str:
    """Return `path` as the datatype spells it (XNAT does not look at letter case), else refuse it with 400."""
    if path in kind.fields:
        return path
    for known in kind.fields:
        if known.lower() == path.lower():
            return known
    near = difflib.get_close_matches(path, list(kind.fields), n=1, cutoff=0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise bad_request(f"{kind.name} has no field {path!r}.{hint}")


def clean_fields(kind: DataType, raw: Mapping[str, object]) -> dict[str, Value]:
    """Return the values of `raw` by path, in the field's type; None clears a field.

    Raises
    ------
    HubError
        400 for an unknown path or a value that does not fit, with path and reason.
    """
    values: dict[str, Value] = {}
    for given, value in raw.items():
        if given in IDENTITY:
            continue
        path = find_path(kind, given)
        try:
            values[path] = coerce(kind.fields[path], value)
        except ValueError as problem:
            raise bad_request(f"{kind.name}/{path}: {problem}.") from problem
    return values


def clean_children(
    schemas: SchemaRegistry, kind: DataType, raw: Mapping[str, Sequence[Mapping[str, object]]]
) -> Children:
    """Return repeated elements with checked values.

    Elements that are items of their own (scans, assessors, files, shares) are left out: they are kept elsewhere.
    """
    return {
        path: [clean_child(schemas, child, entry) for entry in raw.get(path, [])]
        for path, child in known_children(schemas, kind, raw)
    }


def known_children(
    schemas: SchemaRegistry, kind: DataType, raw: Mapping[str, object]
) -> Iterator[tuple[str, ChildType]]:
    """Go through the repeated elements named in `raw` that are kept as values."""
    for path in raw:
        child = kind.children.get(path)
        if child is None:
            near = difflib.get_close_matches(path, list(kind.children), n=1)
            raise bad_request(f"{kind.name} has no element {path!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        if not is_related(schemas, child):
            yield path, child


def is_related(schemas: SchemaRegistry, child: ChildType) -> bool:
    """Whether a repeated element holds items of their own (or says where one is shared)."""
    return child.path == "sharing/share" or any(schemas.is_a(child.xsi_type, base) for base in _RELATED)


def clean_child(schemas: SchemaRegistry, child: ChildType, entry: Mapping[str, object]) -> dict[str, Any]:
    """Return one repeated element with checked values; lists in `entry` are repeated elements within it."""
    kind = schemas.known(child.xsi_type)
    single = {path: value for path, value in entry.items() if not isinstance(value, list)}
    inner: dict[str, list[Mapping[str, object]]] = {
        path: value for path, value in entry.items() if isinstance(value, list)
    }
    cleaned: dict[str, Any] = {**_clean_plain(kind, single)}
    cleaned.update(clean_children(schemas, kind, inner))
    return cleaned


def _clean_plain(kind: DataType, raw: Mapping[str, object]) -> dict[str, Value]:
    # Within a repeated element, "ID" or "label" are plain values.
    values: dict[str, Value] = {}
    for given, value in raw.items():
        path = find_path(kind, given)
        try:
            coerced = coerce(kind.fields[path], value)
        except ValueError as problem:
            raise bad_request(f"{kind.name}/{path}: {problem}.") from problem
        values[path] = coerced
    return values


def apply_fields(item: Item, values: Mapping[str, Value], *, replace: bool = False) -> bool:
    """Lay `values` over those of `item`; say whether anything changed.

    Parameters
    ----------
    item
        The item.
    values
        Checked values by path; None clears one.
    replace
        Whether what `values` does not name is cleared.
    """
    columns = columns_of(item)
    fields: dict[str, Any] = {} if replace else dict(item.fields or {})
    changed = False
    for path, column in columns.items():
        if path in values or replace:
            text = "" if values.get(path) is None else str(values[path])
            changed |= getattr(item, column) != text
            setattr(item, column, text)
    for path, value in values.items():
        if path in columns:
            continue
        if value is None:
            fields.pop(path, None)
        else:
            fields[path] = value
    changed |= fields != (item.fields or {})
    item.fields = fields
    return changed


def apply_children(item: Item, children: Children, *, replace: bool = False) -> bool:
    """Lay repeated elements over those of `item`; say whether anything changed.

    An element with a ``name`` is laid over the one of that name, and taken away if nothing but the name is left; others
    are added unless the same is there already.
    With `replace` the elements of each path named in `children` are replaced.
    """
    before = item.children or {}
    after = dict(before)
    for path, entries in children.items():
        kept: list[dict[str, Any]] = [] if replace else list(before.get(path, []))
        for entry in entries:
            _lay_over(kept, entry)
        after[path] = kept
    item.children = after
    return after != before


def _lay_over(kept: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    name = entry.get("name")
    place = next((i for i, old in enumerate(kept) if name is not None and old.get("name") == name), None)
    merged = entry if place is None else {**kept[place], **entry}
    merged = {path: value for path, value in merged.items() if value is not None}
    empty = not merged.keys() - {"name"}
    if place is not None:
        kept[place : place + 1] = [] if empty else [merged]
    elif not empty and merged not in kept:
        kept.append(merged)


def values_of(item: Item) -> dict[str, Value]:
    """Return all values of `item` by path, columns included, without its identity."""
    values: dict[str, Value] = {
        path: getattr(item, column) for path, column in columns_of(item).items() if getattr(item, column)
    }
    values.update(item.fields or {})
    return values


def _example(schemas: SchemaRegistry, base: str) -> str:
    kinds = (schemas.type(name) for name in schemas.extending(base))
    return next((kind.name for kind in kinds if kind is not None and not kind.abstract), base)
