"""Items put straight into a hub's archive: what a test needs to have there, without its way in."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from overread.hub.core import Hub
from overread.hub.items.announce import announce
from overread.hub.items.experiments import NewExperiment, save_experiment
from overread.hub.items.files import add_file, ensure_resource
from overread.hub.items.folders import owner_of
from overread.hub.items.projects import save_project
from overread.hub.items.scans import save_scan
from overread.hub.items.subjects import ensure_subject
from overread.hub.models import Experiment, Instance, Membership, Scan, User

MR = "xnat:mrSessionData"


def add_user(hub: Hub, login: str, *, role: str = "", project: str = "", password: str = "secret") -> None:
    """Make an account, and a member of a project."""
    with hub.database.write() as db:
        db.add(User(login=login, password_hash=hub.logins.hash_password(password), roles=[]))
        db.flush()
        if role:
            db.add(Membership(project=project, login=login, role=role))


def add_project(hub: Hub, project: str = "P") -> str:
    """Make a project."""
    with hub.database.write() as db:
        save_project(db, hub, project, user="admin")
    return project


def add_session(
    hub: Hub, label: str = "S1", *, project: str = "P", scans: tuple[str, ...] = ("1",), event: str = "CREATED"
) -> str:
    """Make an MR session with scans of one file each, and announce it once all is there; return its ID."""
    with hub.database.write() as db:
        subject = ensure_subject(db, hub, project=project, label="SUB", user="admin")
        new = NewExperiment(MR, project, label, subject_id=subject.id, fields={"date": "2026-05-04", "modality": "MR"})
        session, _ = save_experiment(db, hub, new, user="admin", notify=False)
        for name in scans:
            add_scan(db, hub, session, name)
        if event:
            announce(db, hub, session, event, user="admin")
        return session.id


def add_scan(db: Session, hub: Hub, session: Experiment, name: str, *, modality: str = "MR") -> Scan:
    """Make a scan whose only file and object are named after it."""
    fields = {"type": "FLAIR" if name == "1" else "T1", "UID": f"1.2.{name}"}
    scan = save_scan(db, hub, session, scan_id=name, xsi_type="xnat:mrScanData", fields=fields, user="admin")
    resource = ensure_resource(db, hub, owner_of(scan), "DICOM", format="DICOM", user="admin")
    source = Path(hub.layout.tmp) / f"source-{name}"
    source.write_text(f"image of scan {name}")
    file = add_file(db, hub, resource, "a.dcm", source, user="admin")
    assert file is not None
    db.add(
        Instance(
            session_id=session.id,
            file_pk=file.pk,
            study_instance_uid="1.2",
            series_instance_uid=f"1.2.{name}",
            sop_instance_uid=f"1.2.{name}.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality=modality,
        )
    )
    db.flush()
    return scan
