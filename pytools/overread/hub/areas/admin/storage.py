"""Disk, sizes, backups and the check of all three; and how the hub's parts are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from sqlalchemy import Integer, cast, func, select
from starlette.responses import JSONResponse, Response

from overread import __version__
from overread.hub.access import Access
from overread.hub.areas.admin.scope import moment
from overread.hub.areas.health.checks import checks
from overread.hub.http import Call, Route
from overread.hub.models import (
    Experiment,
    PrearchiveSession,
    Project,
    ReceivedObject,
    Resource,
    ResourceFile,
    Scan,
    Subject,
)
from overread.hub.models.base import utc_now
from overread.hub.upkeep.backup import past_backups
from overread.hub.upkeep.check import check

_MAX_FINDINGS = 500


def show(call: Call) -> Response:
    """Tell the disk's room, what each project takes of it, and the backups that were made."""
    disk = shutil.disk_usage(call.hub.layout.home)
    files, waiting = _archived(call), _waiting(call)
    rows = [
        {
            "project": project,
            "files": files.get(project, (0, 0))[0],
            "size": files.get(project, (0, 0))[1],
            "waiting": waiting.get(project, (0, 0))[0],
            "waiting-size": waiting.get(project, (0, 0))[1],
        }
        for project in sorted({*files, *waiting, *call.db.scalars(select(Project.id).where(~Project.deleted))})
    ]
    refused = select(func.count(), func.coalesce(func.sum(ReceivedObject.size), 0)).where(
        ReceivedObject.state == "refused", ReceivedObject.path != ""
    )
    count, size = call.db.execute(refused).one()
    return JSONResponse(
        {
            "home": str(call.hub.layout.home),
            "total": disk.total,
            "free": disk.free,
            "reserve": call.hub.config.disk_reserve_bytes,
            "database": "postgres" if call.hub.database.is_postgres else "sqlite",
            "database-size": _database_size(call),
            "spool": len(call.hub.intake.spool.entries()),
            "refused": count,
            "refused-size": int(size),
            "projects": rows,
            "backups": past_backups(call.hub.layout.home),
        }
    )


def _archived(call: Call) -> dict[str, tuple[int, int]]:
    """Return number and bytes of the archive's files by project."""
    found: dict[str, tuple[int, int]] = {}
    for project, count, size in _sums(call):
        before = found.get(project, (0, 0))
        found[project] = (before[0] + count, before[1] + int(size or 0))
    return found


def _sums(call: Call) -> Iterator[tuple[str, int, int]]:
    sizes = select(
        Resource.owner_kind, Resource.owner_id, func.count().label("files"), func.sum(ResourceFile.size).label("size")
    )
    sizes = sizes.join(ResourceFile, ResourceFile.resource_pk == Resource.pk)
    of = sizes.group_by(Resource.owner_kind, Resource.owner_id).subquery()
    count, size = func.sum(of.c.files), func.sum(of.c.size)
    scan = select(Experiment.project, count, size).join(Scan, Scan.session_id == Experiment.id)
    queries = (
        select(of.c.owner_id, count, size).where(of.c.owner_kind == "project").group_by(of.c.owner_id),
        select(Subject.project, count, size)
        .join(of, of.c.owner_id == Subject.id)
        .where(of.c.owner_kind == "subject")
        .group_by(Subject.project),
        select(Experiment.project, count, size)
        .join(of, of.c.owner_id == Experiment.id)
        .where(of.c.owner_kind == "experiment")
        .group_by(Experiment.project),
        scan.join(of, cast(of.c.owner_id, Integer) == Scan.pk)
        .where(of.c.owner_kind == "scan")
        .group_by(Experiment.project),
    )
    for query in queries:
        for project, files, total in call.db.execute(query):
            yield project, int(files), int(total or 0)


def _waiting(call: Call) -> dict[str, tuple[int, int]]:
    """Return number and bytes of the prearchive's objects by project."""
    rows = call.db.execute(
        select(PrearchiveSession.project, func.count(), func.coalesce(func.sum(ReceivedObject.size), 0))
        .join(ReceivedObject, ReceivedObject.prearchive_pk == PrearchiveSession.pk)
        .where(ReceivedObject.state == "received")
        .group_by(PrearchiveSession.project)
    )
    return {project: (count, int(size)) for project, count, size in rows}


def _database_size(call: Call) -> int | None:
    if call.hub.database.is_postgres:
        return None
    database = call.hub.layout.database
    return sum(path.stat().st_size for path in (database, database.with_name(f"{database.name}-wal")) if path.exists())


def look(call: Call) -> Response:
    """Compare database, ledger, catalogs and disk; ``digests`` reads every file as well. Nothing is changed."""
    begun = utc_now()
    found = check(call.hub, digests=call.flag("digests"))
    return JSONResponse(
        {
            "begun": moment(begun),
            "ended": moment(utc_now()),
            "total": len(found),
            "findings": [asdict(finding) for finding in found[:_MAX_FINDINGS]],
        }
    )


def catalogs(call: Call) -> Response:
    """Compare all catalogs on disk with the database, and write those anew that differ."""
    call.hub.catalogs.write_due()
    total, stale = call.hub.catalogs.stale(call.db)
    call.hub.catalogs.write_soon(set(stale))
    call.hub.catalogs.write_due()
    _, left = call.hub.catalogs.stale(call.db) if stale else (0, [])
    return JSONResponse({"total": total, "written": len(set(stale) - set(left)), "failed": len(left)})


def health(call: Call) -> Response:
    """Say how the hub's parts are, in words."""
    found: list[dict[str, Any]] = [asdict(one) for one in checks(call.hub, call.db)]
    return JSONResponse({"version": __version__, "ok": all(one["ok"] for one in found), "checks": found})


ROUTES = [
    Route("GET", "/xapi/overread/storage", show, Access.ADMIN),
    Route("POST", "/xapi/overread/storage/check", look, Access.ADMIN, writes=False),
    Route("POST", "/xapi/overread/storage/catalogs", catalogs, Access.ADMIN, writes=False),
    Route("GET", "/xapi/overread/health", health, Access.ADMIN),
]
