"""Custom fields: one row for each top-level key, so that writers of different keys never meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import forbidden
from overread.hub.items.folders import Owner
from overread.hub.models import CustomFields

ANSWER, DRAFT = "answer:", "draft:"


def reader_of(name: str) -> str | None:
    """Return whose answer or draft a field is (``answer:<form>:<login>``), None if it is neither."""
    return name.partition(":")[2].partition(":")[2] if name.startswith((ANSWER, DRAFT)) else None


def check_reader(name: str, login: str) -> None:
    """Refuse a change of a reader's answer (``answer:<form>:<login>``), or of its draft, by anybody else.

    What a reader has said is evidence: whoever may edit the result, and whoever administers the site, may add an
    answer of their own, but not speak for others.

    Raises
    ------
    HubError
        403: the key is another reader's.
    """
    if reader_of(name) not in {None, login}:
        raise forbidden(f"The field {name} is the answer of another reader; only that reader may change it.")


def read(db: Session, owner: Owner, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the fields of an item, in the order in which they were first written; `names` for some only."""
    rows = select(CustomFields).where(CustomFields.owner_kind == owner.kind, CustomFields.owner_id == owner.id)
    return {row.name: row.value["value"] for row in db.scalars(rows.order_by(CustomFields.pk))
            if names is None or row.name in names}  # fmt: skip


def write(db: Session, owner: Owner, values: Mapping[str, Any], *, user: str) -> None:
    """Write fields: each key that is given replaces what stood there, all others stay.

    Raises
    ------
    HubError
        403: one of them is the answer of another reader than `user`.
    """
    for name, value in values.items():
        check_reader(name, user)
        row = _row(db, owner, name)
        if row is None:
            row = CustomFields(owner_kind=owner.kind, owner_id=owner.id, name=name)
            db.add(row)
        row.value, row.user = {"value": value}, user
    db.flush()


def remove(db: Session, owner: Owner, name: str, *, user: str) -> bool:
    """Forget a field; False if there was none, or null. 403 as in `write`."""
    check_reader(name, user)
    row = _row(db, owner, name)
    if row is None or row.value["value"] is None:
        return False
    db.delete(row)
    db.flush()
    return True


def has_data(db: Session, name: str) -> bool:
    """Whether any item has a value under this name, or an answer under ``answer:<name>:<login>``."""
    exact = CustomFields.name == name
    answers = CustomFields.name.startswith(f"answer:{name}:", autoescape=True)
    return db.scalar(select(CustomFields.pk).where(exact | answers).limit(1)) is not None


def _row(db: Session, owner: Owner, name: str) -> CustomFields | None:
    return db.scalar(
        select(CustomFields).where(
            CustomFields.owner_kind == owner.kind, CustomFields.owner_id == owner.id, CustomFields.name == name
        )
    )
