"""Scans of an image session: finding and saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import HubError, conflict
from overread.hub.items.announce import announce
from overread.hub.items.fields import apply_children, apply_fields, clean_children, clean_fields, require_type
from overread.hub.layout import safe_name
from overread.hub.models import Experiment, Scan

if TYPE_CHECKING:
    from overread.hub.core import Hub

SCAN_BASE = "xnat:imageScanData"


def find_scan(db: Session, session_id: str, scan_id: str) -> Scan | None:
    """Return the scan `scan_id` of a session."""
    return db.scalar(select(Scan).where(Scan.session_id == session_id, Scan.id == scan_id))


def save_scan(
    db: Session,
    hub: Hub,
    session: Experiment,
    *,
    scan_id: str,
    xsi_type: str,
    user: str,
    fields: Mapping[str, object] | None = None,
    children: Mapping[str, Sequence[Mapping[str, object]]] | None = None,
    replace: bool = False,
) -> Scan:
    """Make the scan `scan_id` of `session`, or lay the values over what is there.

    Parameters
    ----------
    db, hub, session
        Transaction, hub and the session.
    scan_id
        The scan's ID within the session; "" for the next free number.
    xsi_type
        Its datatype; "" keeps that of an existing scan.
    user
        Login of who saves.
    fields, children
        Values by path below the type.
    replace
        Whether values that are not named are cleared.
    """
    scan = find_scan(db, session.id, scan_id) if scan_id else None
    if not xsi_type and scan is None:
        raise HubError(417, f"Scan {scan_id} is new: name its xsiType.")
    kind = require_type(hub.schemas, xsi_type or (scan.xsi_type if scan else ""), SCAN_BASE)
    if scan is not None and kind.name != scan.xsi_type:
        raise conflict(f"Scan {scan_id} is a {scan.xsi_type}, not a {kind.name}.")
    values = clean_fields(kind, fields or {})
    repeated = clean_children(hub.schemas, kind, children or {})
    created = scan is None
    if scan is None:
        scan = Scan(
            session_id=session.id,
            id=safe_name(scan_id or _next_id(db, session)),
            xsi_type=kind.name,
            insert_user=user,
            fields={},
            children={},
            type="", uid="", modality="", quality="usable", series_description="",
        )  # fmt: skip
        db.add(scan)
    apply_fields(scan, values, replace=replace)
    apply_children(scan, repeated, replace=replace)
    db.flush()
    if created:
        announce(db, hub, scan, "CREATED", user=user)
    return scan


def _next_id(db: Session, session: Experiment) -> str:
    taken = set(db.scalars(select(Scan.id).where(Scan.session_id == session.id)))
    return next(str(number) for number in range(1, len(taken) + 2) if str(number) not in taken)
