"""DICOM receivers: whether they listen, and who has sent what to them lately."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from overread.hub.access import Access
from overread.hub.areas.admin.scope import moment
from overread.hub.areas.dicomscp import store
from overread.hub.http import Call, Route
from overread.hub.models import ReceivedObject

_LATELY = 50_000
"""So many of the ledger's newest lines are looked at, so that this stays quick however long the ledger is."""


def listed(call: Call) -> Response:
    """List receivers as ``/xapi/dicomscp`` does, with ``last-seen`` and the senders seen lately."""
    senders = _senders(call)
    rows = []
    for receiver in store.all_receivers(call.db):
        document = store.document(call.hub, receiver)
        seen = senders.get(f"{receiver.ae_title}:{document['port']}", [])
        rows.append(document | {"senders": seen, "last-seen": max((one["last"] for one in seen), default=None)})
    return JSONResponse({"rows": rows})


def _senders(call: Call) -> dict[str, list[dict[str, Any]]]:
    """Return who sent to each receiver (``TITLE:port``): AE title, number of objects, how many refused, when last."""
    newest = call.db.scalar(select(func.max(ReceivedObject.pk))) or 0
    rows = call.db.execute(
        select(ReceivedObject.source, ReceivedObject.state == "refused", func.count(),
               func.max(ReceivedObject.received_at))
        .where(ReceivedObject.pk > newest - _LATELY)
        .group_by(ReceivedObject.source, ReceivedObject.state == "refused")
    )  # fmt: skip
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for source, refused, count, last in rows:
        place, word, sender = source.partition(" from ")
        if not word:
            continue
        entry = found.setdefault(place, {}).setdefault(
            sender, {"sender": sender, "objects": 0, "refused": 0, "last": ""}
        )
        entry["refused" if refused else "objects"] += count
        entry["last"] = max(entry["last"], moment(last) or "")
    return {place: sorted(by.values(), key=lambda one: one["last"], reverse=True) for place, by in found.items()}


ROUTES = [Route("GET", "/xapi/overread/receivers", listed, Access.ADMIN)]
