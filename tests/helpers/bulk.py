"""Many sessions at once, put straight into the tables: what a hub has after years."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from overread.hub.core import Hub
from overread.hub.models import (
    Container,
    Experiment,
    Instance,
    PrearchiveSession,
    Project,
    ReceivedObject,
    Resource,
    ResourceFile,
    Scan,
    Subject,
)
from overread.hub.models.base import Base

ROOT: Final = "2.25.99"
CONTENT: Final = b"one of very many files\n"
_CHUNK: Final = 20_000
_MOST_LINKS: Final = 50_000
_STAMP: Final = {"insert_user": "admin"}


def study_uid(project: str, number: int) -> str:
    """Return the Study Instance UID of a session that `fill` made."""
    return f"{ROOT}.{_mark(project)}.{number}"


@dataclass(frozen=True)
class _Numbers:
    """The first free numbers of the tables, and what sets a project's UIDs apart."""

    mark: int
    scan: int
    resource: int
    file: int


def fill(hub: Hub, project: str, *, sessions: int, files: int = 10, on_disk: bool = False) -> None:
    """Fill a new project: each session has a subject, a scan, a run that is complete, and `files` DICOM objects.

    With `on_disk`, each file is a link to one that is shared by many: the archive's folders are there as they would be.
    """
    with hub.database.write() as db:
        db.add(Project(id=project))
        db.flush()
        names = [f"{project}_{number:05d}" for number in range(sessions)]
        each = [(k, name) for k, name in enumerate(names)]
        every = [(k, n) for k in range(sessions) for n in range(files)]
        free = _Numbers(_mark(project), *(_free(db, table) for table in (Scan, Resource, ResourceFile)))
        _add(db, Subject, ({"id": f"S{name}", "project": project, "label": name, **_STAMP} for name in names))
        _add(db, Experiment, (_session(project, name, free.mark, k) for k, name in each))
        _add(db, Scan, (_scan(f"E{name}", f"{ROOT}.{free.mark}.{k}.1", free.scan + k) for k, name in each))
        _add(db, Resource, (_resource(free.scan + k, free.resource + k) for k, _ in each))
        _add(db, ResourceFile, (_file(free.resource + k, free.file + k * files + n, n) for k, n in every))
        _add(db, Instance, (_instance(free, names[k], k, n, free.file + k * files + n) for k, n in every))
        _add(db, PrearchiveSession, (_arrival(project, name, free.mark, k) for k, name in each))
        _add(db, ReceivedObject, (_line(project, names[k], f"{ROOT}.{free.mark}.{k}", n) for k, n in every))
        _add(db, Container, (_run(project, name) for name in names))
    if on_disk:
        _link_all(hub, project, names, files)


def _free(db: Session, table: type[Scan | Resource | ResourceFile]) -> int:
    return (db.scalar(select(func.max(table.pk))) or 0) + 1


def _mark(project: str) -> int:
    return int.from_bytes(project.encode()[:6], "big")


def _add(db: Session, table: type[Base], rows: Iterator[dict[str, Any]]) -> None:
    while chunk := list(islice(rows, _CHUNK)):
        db.execute(insert(table), chunk)


def _session(project: str, name: str, mark: int, number: int) -> dict[str, Any]:
    return {
        "id": f"E{name}", "project": project, "label": name, "subject_id": f"S{name}", "uid": f"{ROOT}.{mark}.{number}",
        "xsi_type": "xnat:mrSessionData", "modality": "MR", "accession_number": f"A{name}", "patient_id": f"P{name}",
        "date": f"20{number % 20:02d}-{number % 12 + 1:02d}-{number % 28 + 1:02d}", "time": "10:15:00", **_STAMP,
    }  # fmt: skip


def _scan(session_id: str, uid: str, pk: int) -> dict[str, Any]:
    return {
        "pk": pk, "session_id": session_id, "id": "1", "xsi_type": "xnat:mrScanData", "type": "FLAIR", "uid": uid,
        "modality": "MR", "series_description": "FLAIR", **_STAMP,
    }  # fmt: skip


def _resource(scan_pk: int, pk: int) -> dict[str, Any]:
    return {
        "pk": pk, "owner_kind": "scan", "owner_id": str(scan_pk), "label": "DICOM", "format": "DICOM", "content": "RAW",
        **_STAMP,
    }  # fmt: skip


def _file(resource_pk: int, pk: int, number: int) -> dict[str, Any]:
    return {
        "pk": pk, "resource_pk": resource_pk, "path": f"{number}.dcm", "size": len(CONTENT), "digest": "",
        "format": "DICOM", **_STAMP,
    }  # fmt: skip


def _instance(free: _Numbers, name: str, session: int, number: int, file_pk: int) -> dict[str, Any]:
    study = f"{ROOT}.{free.mark}.{session}"
    return {
        "session_id": f"E{name}", "file_pk": file_pk, "study_instance_uid": study, "series_instance_uid": f"{study}.1",
        "sop_instance_uid": f"{study}.1.{number}", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1", "modality": "MR", "series_number": 1,
        "series_description": "FLAIR", "instance_number": number,
    }  # fmt: skip


def _arrival(project: str, name: str, mark: int, number: int) -> dict[str, Any]:
    return {
        "project": project, "timestamp": f"20260101_{number:09d}", "name": name, "subject": name,
        "study_instance_uid": f"{ROOT}.{mark}.{number}", "status": "ARCHIVED", "session_id": f"E{name}",
    }  # fmt: skip


def _line(project: str, name: str, study: str, number: int) -> dict[str, Any]:
    return {
        "state": "archived", "session_id": f"E{name}", "source": "BTS:104 from MR", "size": len(CONTENT),
        "study_instance_uid": study, "series_instance_uid": f"{study}.1", "sop_instance_uid": f"{study}.1.{number}",
        "path": f"archive/{project}/arc001/{name}/SCANS/1/DICOM/{number}.dcm",
        "header": {"Modality": "MR", "SeriesDescription": "FLAIR", "InstanceNumber": number},
    }  # fmt: skip


def _run(project: str, name: str) -> dict[str, Any]:
    return {
        "command_id": 1,
        "wrapper_id": 1,
        "project": project,
        "status": "Complete",
        "inputs": {"session": f"/archive/experiments/E{name}"},
    }


def _link_all(hub: Hub, project: str, names: list[str], files: int) -> None:
    source, links = Path(), _MOST_LINKS
    for name in names:
        folder = hub.layout.scan(project, name, "1") / "DICOM"
        folder.mkdir(parents=True)
        for number in range(files):
            target = folder / f"{number}.dcm"
            if links >= _MOST_LINKS:
                target.write_bytes(CONTENT)
                source, links = target, 1
            else:
                os.link(source, target)
                links += 1
