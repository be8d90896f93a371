"""Associations that came to nothing: who was not let in, or broke off, and why."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from starlette.responses import Response

from overread.hub.access import Access
from overread.hub.areas.admin.scope import answer, contains, moment, page_of
from overread.hub.http import Call, Route
from overread.hub.models import RefusedAssociation


def listed(call: Call) -> Response:
    """List them, the last first; equal ones are one row. ``search`` looks in titles, addresses and reasons."""
    page, search = page_of(call), call.query.get("search", "").strip()
    query = select(RefusedAssociation)
    if search:
        table = RefusedAssociation
        columns = (table.reason, table.called, table.calling, table.address)
        query = query.where(or_(*(contains(column, search) for column in columns)))
    total = call.db.scalar(select(func.count()).select_from(query.subquery())) or 0
    newest = query.order_by(RefusedAssociation.last_at.desc(), RefusedAssociation.pk.desc())
    rows = [
        {
            "id": one.pk,
            "reason": one.reason,
            "called": one.called,
            "calling": one.calling,
            "address": one.address,
            "port": one.port,
            "times": one.times,
            "first": moment(one.first_at),
            "last": moment(one.last_at),
        }
        for one in call.db.scalars(newest.offset(page.offset).limit(page.size))
    ]
    return answer(page, rows, total)


ROUTES = [Route("GET", "/xapi/overread/associations", listed, Access.ADMIN)]
