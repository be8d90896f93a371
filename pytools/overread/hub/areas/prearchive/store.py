"""Sessions of the prearchive as XNAT lists them, and who may see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.access import Caller, Right, may
from overread.hub.answers import cell
from overread.hub.arrival import prearchive
from overread.hub.arrival.assignment import UNASSIGNED
from overread.hub.arrival.describe import scan_type
from overread.hub.errors import HubError, forbidden, not_found
from overread.hub.models import Experiment, PrearchiveSession, Project, ReceivedObject, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

COLUMNS: Final = (
    "project", "timestamp", "lastmod", "uploaded", "scan_date", "scan_time", "subject", "folderName", "name", "tag",
    "status", "url", "autoarchive", "prevent_anon", "prevent_auto_commit", "SOURCE", "VISIT", "PROTOCOL", "TIMEZONE",
)  # fmt: skip
"""XNAT's own mixture of letter cases."""


def row(db: Session, session: PrearchiveSession) -> dict[str, Any]:
    """Return a session as a row of XNAT's tables."""
    header = db.scalar(
        select(ReceivedObject.header).where(ReceivedObject.prearchive_pk == session.pk).order_by(ReceivedObject.pk)
    )
    date = str((header or {}).get("StudyDate") or "")
    is_date = len(date) == 8 and date.isdecimal()  # noqa: PLR2004 - DA is YYYYMMDD (PS3.5 Table 6.2-1)
    return {
        "project": session.project,
        "timestamp": session.timestamp,
        "lastmod": session.last_modified,
        "uploaded": session.uploaded,
        "scan_date": f"{date[:4]}-{date[4:6]}-{date[6:]} 00:00:00.0" if is_date else "",
        "scan_time": "",
        "subject": session.subject,
        "folderName": session.name,
        "name": session.name,
        "tag": session.study_instance_uid,
        "status": session.status,
        "url": prearchive.uri_of(session),
        "autoarchive": "AutoArchive" if prearchive.archives_itself(db, session) else "Manual",
        "prevent_anon": session.prevent_anon,
        "prevent_auto_commit": session.prevent_auto_commit,
        "SOURCE": session.source,
        "VISIT": session.visit,
    }


def logs(session: PrearchiveSession) -> list[dict[str, str]]:
    """Return why the session was in its states, the oldest first."""
    return [
        {
            "id": str(number),
            "date": cell(datetime.fromisoformat(str(entry["date"]))),
            "entry": str(entry["entry"]),
        }
        for number, entry in enumerate(session.log or (), start=1)
    ]


def scans(db: Session, hub: Hub, session: PrearchiveSession) -> list[dict[str, str]]:
    """Return the series of a session. ``ID`` is the name of the series' folder until the archive gives it an id."""
    found: dict[str, dict[str, str]] = {}
    for item in prearchive.objects_of(db, session):
        scan_id = scan_id_of(item)
        if scan_id not in found:
            modality = str(item.header.get("Modality") or "")
            found[scan_id] = {
                "ID": scan_id,
                "xsiType": scan_type(hub.schemas, modality=modality, sop_class_uid=item.sop_class_uid),
                "series_description": str(item.header.get("SeriesDescription") or ""),
            }
    return list(found.values())


def scan_id_of(item: ReceivedObject) -> str:
    """Return the name of the scan's folder in which an object lies."""
    return item.path.split("/")[-3]


def objects_of_scan(db: Session, session: PrearchiveSession, scan_id: str) -> Sequence[ReceivedObject]:
    """Return the objects of one series of a session."""
    found = [item for item in prearchive.objects_of(db, session) if scan_id_of(item) == scan_id]
    if not found:
        raise not_found(f"scan {scan_id}")
    return found


def editable_projects(db: Session, caller: Caller) -> list[str]:
    """Return the projects whose prearchive the caller may see; for administrators that of no project, too."""
    projects = [
        project
        for project in db.scalars(select(Project.id).where(Project.deleted.is_(False)))
        if may(db, caller, project, Right.EDIT)
    ]
    return [*projects, UNASSIGNED] if caller.is_admin else projects


def require(db: Session, caller: Caller, project: str, right: Right = Right.EDIT) -> None:
    """Refuse with 403 unless the caller may see (and with more right, change) the prearchive of a project."""
    if caller.is_admin and (project == UNASSIGNED or db.get(Project, project) is not None):
        return
    if db.get(Project, project) is None and project != UNASSIGNED:
        raise not_found(f"project {project}") if caller.is_admin else forbidden(f"No access to project {project}.")
    if project == UNASSIGNED or not may(db, caller, project, right):
        raise forbidden(f"No access to the prearchive of project {project}.")


def find(db: Session, project: str, timestamp: str, name: str) -> PrearchiveSession:
    """Return a session, or answer 404."""
    session = prearchive.find(db, project, timestamp, name)
    if session is None:
        raise not_found(f"prearchive session {project}/{timestamp}/{name}")
    return session


def by_uri(db: Session, uri: str) -> PrearchiveSession:
    """Return the session that a ``src`` parameter names, with or without ``/data`` in front."""
    parts = uri.strip().removeprefix("/data").strip("/").split("/")
    if len(parts) != 5 or parts[:2] != ["prearchive", "projects"]:  # noqa: PLR2004 - the parts of such a path
        raise HubError(400, f"Invalid session reference {uri!r}: write /prearchive/projects/P/TIMESTAMP/SESSION.")
    return find(db, *parts[2:])


def total_size(objects: Sequence[ReceivedObject]) -> int:
    """Return the bytes of objects."""
    return sum(item.size for item in objects)


def archive_uri(db: Session, session: Experiment) -> str:
    """Return the path of a session in the archive, as importers and archivers answer it."""
    subject = db.get_one(Subject, session.subject_id)
    return f"/data/archive/projects/{session.project}/subjects/{subject.label}/experiments/{session.label}"
