"""What all administrative lists share: whose projects one may see, paging, and how texts are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import InstrumentedAttribute
from starlette.responses import JSONResponse, Response

from overread.hub.errors import bad_request, forbidden
from overread.hub.http import Call
from overread.hub.models import Membership, Project

_DEFAULT_SIZE, _MAX_SIZE, _MAX_PAGE = 50, 500, 1_000_000
_ESCAPE = "\\"


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for: `page` counts from 1."""

    page: int
    size: int

    @property
    def offset(self) -> int:
        """How many rows come before it."""
        return (self.page - 1) * self.size


def page_of(call: Call) -> Page:
    """Return the page that the query asks for (``page``, ``size``), or answer 400."""
    page = _number(call, "page", 1, _MAX_PAGE)
    return Page(page, _number(call, "size", _DEFAULT_SIZE, _MAX_SIZE))


def answer(page: Page, rows: Sequence[Any], total: int, **more: Any) -> Response:
    """Answer one page of a list."""
    return JSONResponse({"total": total, "page": page.page, "size": page.size, "rows": rows} | more)


def owned_projects(call: Call) -> set[str] | None:
    """Return the projects that the caller owns; None for administrators, who see all. Others are refused."""
    if call.caller.is_admin:
        return None
    owned = select(Membership.project).where(Membership.login == call.caller.login, Membership.role == "owner")
    found = set(call.db.scalars(select(Project.id).where(Project.id.in_(owned), Project.deleted.is_(False))))
    if not found:
        raise forbidden("Only administrators and owners of projects may see this.")
    return found


def wanted_projects(call: Call) -> set[str] | None:
    """Return the projects that the query's ``project`` leaves of those that the caller may see; None for all."""
    owned = owned_projects(call)
    asked = call.query.get("project", "")
    if not asked:
        return owned
    if owned is not None and asked not in owned:
        raise forbidden(f"The user does not own project {asked}.")
    return {asked}


def contains(column: ColumnElement[Any] | InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a column contains `text`, whatever the letter case."""
    for special in (_ESCAPE, "%", "_"):
        text = text.replace(special, _ESCAPE + special)
    return column.ilike(f"%{text}%", escape=_ESCAPE)


def pairs(call: Call, query: Select[Any, Any]) -> dict[Any, Any]:
    """Return the rows of a query for two columns as a mapping."""
    return {key: value for key, value in call.db.execute(query)}  # noqa: C416 - rows are no pairs to the type checker


def moment(value: datetime | None) -> str | None:
    """Return a moment as ISO 8601 in UTC, to the millisecond."""
    return None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(call: Call, name: str, default: int, largest: int) -> int:
    text = call.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:10]) <= largest:
        raise bad_request(f"{name} must be a number from 1 to {largest}.")
    return int(text)
