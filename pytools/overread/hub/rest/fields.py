"""From a query string, a form or an XML body to the values that a PUT sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from overread.hub.errors import bad_request
from overread.hub.http import Call
from overread.hub.items.document import Document, read_document
from overread.hub.rest.names import META, parse_xpath, short_names
from overread.hub.schemas import DataType, SchemaRegistry

_XML_TYPES = {"text/xml", "application/xml"}
_PREDICATE = re.compile(r"([^\[]+)\[@?([\w:./-]+)\s*=\s*'?([^\]']*)'?\]$")


def body_document(call: Call) -> Document | None:
    """Return the XML document in the body of a call, if there is one (raw, or a part whose name ends in ``.xml``)."""
    for upload in call.uploads:
        if upload.content_type in _XML_TYPES or upload.name.lower().endswith(".xml"):
            return read_document(call.hub.schemas, upload.read())
    if call.uploads and (call.flag("inbody") or call.query.get("req_format") == "xml"):
        return read_document(call.hub.schemas, call.body())
    return None


def sent_values(call: Call) -> Mapping[str, str]:
    """Return the parameters of a call: the query string, and the fields of a form unless ``req_format=qs`` says no."""
    return {**call.form, **call.query} if call.query.get("req_format") != "qs" else call.query


def read_fields(schemas: SchemaRegistry, xsi_type: str, sent: Mapping[str, str]) -> Document:
    """Return what the parameters of a call say of an item of type `xsi_type`.

    XML paths of another type, and of fields it does not have, are refused. Bare names that are no short name of
    XNAT's are passed over, as XNAT does: they may be parameters of something else.
    """
    kind = schemas.known(xsi_type)
    document = Document(xsi_type)
    shorts = short_names(schemas, xsi_type)
    for name, value in sent.items():
        xpath = parse_xpath(schemas, name)
        if xpath is None:
            if name in shorts:
                document.fields[shorts[name]] = value
            continue
        if not (schemas.is_a(xsi_type, xpath.xsi_type) or schemas.is_a(xpath.xsi_type, xsi_type)):
            raise bad_request(f"{name}: the item is a {xsi_type}, not a {xpath.xsi_type}.")
        if xpath.path not in META:
            _set(kind, xpath.path, value, document)
    return document


def _set(kind: DataType, path: str, value: str, document: Document) -> None:
    child_path, below, predicate = _split_child(kind, path)
    if child_path is None:
        document.fields[path] = value
        return
    child = kind.children[child_path]
    name = below or child.text
    if not name:
        raise bad_request(f"{kind.name}/{path}: name a field of the element.")
    entries = document.children.setdefault(child_path, [])
    entry: dict[str, Any] | None = next((one for one in entries if predicate.items() <= one.items()), None)
    if entry is None or not predicate:
        entry = dict(predicate)
        entries.append(entry)
    entry[name] = value


def _split_child(kind: DataType, path: str) -> tuple[str | None, str, dict[str, str]]:
    """Split ``fields/field[name=site]/field`` into element, field within it, and what picks the element."""
    parts = re.split(r"/(?![^\[]*\])", path)
    reached: list[str] = []
    for position, part in enumerate(parts):
        predicate: dict[str, str] = {}
        found = _PREDICATE.fullmatch(part)
        name = part
        if found:
            name = found[1]
            predicate = {found[2]: found[3]}
        reached.append(name)
        candidate = _spelled("/".join(reached), kind)
        if candidate is not None:
            return candidate, "/".join(parts[position + 1 :]), predicate
    return None, "", {}


def _spelled(path: str, kind: DataType) -> str | None:
    if path in kind.children:
        return path
    return next((known for known in kind.children if known.lower() == path.lower()), None)
