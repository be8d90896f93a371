"""One item as XNAT's JSON has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from overread.hub import answers
from overread.hub.items.tree import Item, Related, whole_item
from overread.hub.models import Experiment
from overread.hub.schemas import SchemaRegistry

if TYPE_CHECKING:
    from overread.hub.core import Hub


def item_json(db: Session, hub: Hub, item: Item, *, readable: Collection[str]) -> dict[str, Any]:
    """Return `item`, with its scans, assessors, files and repeated elements as children.

    `readable` are the IDs of the projects that the asker may read.
    """
    whole = whole_item(db, hub, item, readable=readable)
    document = _item(hub.schemas, whole)
    if isinstance(item, Experiment):
        document["data_fields"]["id"] = item.id
    return document


def _item(schemas: SchemaRegistry, item: Related) -> dict[str, Any]:
    kind = schemas.known(item.xsi_type)
    values = {path: value for path, value in item.values.items() if _typed_place(kind.typed, path) is None}
    children = [*_typed_children(kind.typed, item.values)]
    for path, entries in item.related.items():
        if entries:
            children.append(answers.child(path, [_item(schemas, entry) for entry in entries]))
    for path, repeated in item.children.items():
        if repeated:
            children.append(_repeated(schemas, kind.children[path].xsi_type, path, repeated))
    return answers.item(item.xsi_type, values, children)


def _repeated(
    schemas: SchemaRegistry, xsi_type: str, path: str, entries: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    kind = schemas.known(xsi_type)
    items = []
    for entry in entries:
        plain = {name: value for name, value in entry.items() if not isinstance(value, list)}
        inner = [
            _repeated(schemas, kind.children[name].xsi_type, name, value)
            for name, value in entry.items()
            if isinstance(value, list) and value
        ]
        items.append(answers.item(xsi_type, plain, inner))
    return answers.child(path, items)


def _typed_children(typed: Mapping[str, str], values: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Give single elements of an abstract type (``demographics``) as children, as XNAT does."""
    for place, xsi_type in typed.items():
        below = {
            path.removeprefix(f"{place}/"): value for path, value in values.items() if path.startswith(f"{place}/")
        }
        if below:
            yield answers.child(place, [answers.item(xsi_type, below)])


def _typed_place(typed: Mapping[str, str], path: str) -> str | None:
    return next((place for place in typed if path.startswith(f"{place}/")), None)
