"""A hub with a private, a protected and a public project, each with one of everything, and somebody of each kind.

What must stay within a project carries the project's mark in its content, never in its ID: so an answer that repeats
what the path said is told from one that gives something away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from helpers import prearchive
from helpers.arrivals import file_bytes
from helpers.dicomweb import stow_body
from helpers.runs import document as command_document
from helpers.runs import install
from helpers.segments import seg_of
from hub_fixture import RunningHub, start_hub
from overread.hub.arrival import spooling, storage
from overread.hub.arrival.assignment import Hints
from overread.hub.database import Database
from overread.hub.items.files import add_file, ensure_resource
from overread.hub.items.folders import owner_of
from overread.hub.items.projects import save_project
from overread.hub.items.sharing import share
from overread.hub.models import (
    BulkLaunch,
    ConfigEntry,
    Container,
    CustomFields,
    Delivery,
    Experiment,
    Membership,
    Orchestration,
    Project,
    ReceivedObject,
    Receiver,
    Scan,
    Subject,
    Subscription,
    User,
    Workflow,
)
from overread.hub.roi.store import save_collection
from overread.synthetic.phantoms import make_case
from plugin_jar import make_plugin_jar

KINDS = ("private", "protected", "public")
ROLES = ("collaborator", "member", "owner")
CALLERS = ("guest", "outsider", *ROLES, "admin")
SESSION_EVENT = "org.nrg.xnat.eventservice.events.SessionEvent"
ACTION = "org.nrg.containers.services.CommandActionProvider"

SEARCH = b"""<xdat:bundle ID="@xnat:mrSessionData" xmlns:xdat="http://nrg.wustl.edu/security">
<xdat:root_element_name>xnat:mrSessionData</xdat:root_element_name>
<xdat:search_field><xdat:element_name>xnat:mrSessionData</xdat:element_name><xdat:field_ID>xnat:mrSessionData/note\
</xdat:field_ID><xdat:sequence>0</xdat:sequence><xdat:type>string</xdat:type><xdat:header>N</xdat:header>
</xdat:search_field></xdat:bundle>"""


def mark(kind: str) -> str:
    """Return the text that whoever may not read the project must never see."""
    return f"ONLY-IN-{kind.upper()}"


@dataclass(frozen=True)
class World:
    """The hub; by kind of project the values of paths and bodies, and the bodies that are files."""

    hub: RunningHub
    values: dict[str, dict[str, Any]]
    bodies: dict[str, dict[str, tuple[str, bytes]]]

    def credentials(self, caller: str) -> tuple[str, str] | None:
        """Return name and password of a caller; None for nobody."""
        if caller == "guest":
            return None
        return caller, self.hub.password if caller == "admin" else f"secret-{caller}"


def make_world(folder: Path) -> World:
    """Start the hub and fill it."""
    make_plugin_jar(folder / "home" / "plugins")
    viewer = folder / "viewer"
    viewer.mkdir()
    (viewer / "index.html").write_text("<!doctype html><title>Viewer</title>")
    (viewer / "app.js").write_text("'use strict';")
    hub = start_hub(folder, images=(folder / "images",), ohif=viewer, tick_s=3600)
    with hub.hub.database.write() as db:
        for login in (*CALLERS[1:-1], "somebody"):
            hashed = hub.hub.logins.hash_password(f"secret-{login}")
            db.add(User(login=login, password_hash=hashed, first_name="F", last_name="L", roles=[]))
        for kind in (*KINDS, "TARGET"):
            save_project(db, hub.hub, kind, user="admin", accessibility=kind if kind in KINDS else "private")
        db.add(Receiver(ae_title="BTS", port=1, enabled=False))
        db.add(ConfigEntry(project="", tool="tool", path="note", version=1, contents="of the site", user="admin"))
        db.flush()
        for kind in KINDS:
            db.add_all(Membership(project=kind, login=role, role=role) for role in ROLES)
        db.add_all(Membership(project="TARGET", login=role, role="owner") for role in ROLES)
    with hub.client() as client:
        wrapper = install(client, folder / "images", project="private")
        for kind in KINDS[1:]:
            assert client.put(f"/xapi/projects/{kind}/wrappers/{wrapper}/enabled").status_code == 200
        token = client.get("/data/services/tokens/issue").json()
    common = {"wrapper": wrapper, "alias": token["alias"], "secret": token["secret"]}
    filled = {kind: _fill(hub, kind, number, common) for number, kind in enumerate(KINDS, start=1)}
    return World(
        hub,
        {kind: values for kind, (values, _) in filled.items()},
        {kind: bodies for kind, (_, bodies) in filled.items()},
    )


def _fill(
    hub: RunningHub, kind: str, number: int, common: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[str, bytes]]]:
    secret = mark(kind)
    case = make_case((4, 16, 20), seed=number, patient_name=secret, series_description=secret)
    prearchive.arrive(hub.hub, case.datasets, Hints(project=kind, subject=f"SUB{number}", session=f"EXAM{number}"))
    exam = prearchive.archive(hub.hub)
    later = make_case((2, 16, 20), seed=10 + number, patient_name=secret, series_description=secret)
    prearchive.arrive(hub.hub, later.datasets, Hints(project=kind, subject="LATER", session=f"LATER{number}"))
    waiting = prearchive.newest(hub.hub)
    seg = seg_of(case)
    with hub.hub.database.write() as db:
        lying = db.scalars(select(ReceivedObject).where(ReceivedObject.prearchive_pk == waiting.pk)).all()[0]
        session = db.get_one(Experiment, exam.id)
        assert session.subject_id is not None
        session.fields = session.fields | {"note": secret}
        subject = db.get_one(Subject, session.subject_id)
        subject.fields = subject.fields | {"group": secret}
        project = db.get_one(Project, kind)
        project.fields = project.fields | {"keywords": secret}
        scan = db.scalars(select(Scan).where(Scan.session_id == session.id)).one()
        collection = save_collection(
            db, hub.hub, session, seg, label=f"AI{number}", collection_type="SEG", name=secret, user="admin"
        )
        for item in (project, subject, session, scan, collection):
            owner = owner_of(item)
            resource = ensure_resource(db, hub.hub, owner, "NOTES", user="admin", content=secret)
            source = hub.hub.layout.tmp / f"{owner.kind}-{number}"
            source.write_text(secret)
            assert add_file(db, hub.hub, resource, "a.txt", source, user="admin", content=secret) is not None
            db.add(CustomFields(owner_kind=owner.kind, owner_id=owner.id, name="note", value={"value": secret}))
        for item in (subject, session, collection):
            share(db, item, db.get_one(Project, "TARGET"), label=f"{kind}-{item.label}")
        db.add(ConfigEntry(project=kind, tool="tool", path="note", version=1, contents=secret, user="admin"))
        ids = _rows(db, kind, session, common["wrapper"])
    with hub.client() as client:
        form = _form(kind, secret)
        assert client.put("/xapi/customforms/save", json=form).status_code == 201
        (listed,) = client.get("/xapi/customforms", params={"projectId": kind}).json()
        config = {"inputs": {"mode": {"default-value": secret}}}
        wrapper = common["wrapper"]
        assert client.post(f"/xapi/projects/{kind}/wrappers/{wrapper}/config", json=config).status_code == 201
    refused = _refused(hub)
    log = hub.hub.layout.runs / str(ids["container"]) / "log"
    log.mkdir(parents=True)
    (log / "stdout.log").write_text(secret)
    first = case.datasets[0]
    values = common | ids | {
        "project": kind,
        "subject": subject.id,
        "experiment": session.id,
        "scan": scan.id,
        "assessor": collection.id,
        "collection": collection.id,
        "label": collection.label,
        "resource": "NOTES",
        "path": "a.txt",
        "target": "TARGET",
        "study": str(first.StudyInstanceUID),
        "series": str(first.SeriesInstanceUID),
        "instance": str(first.SOPInstanceUID),
        "frames": "1",
        "seg_series": str(seg.SeriesInstanceUID),
        "seg_instance": str(seg.SOPInstanceUID),
        "timestamp": waiting.timestamp,
        "waiting": waiting.name,
        "waiting_scan": lying.path.split("/")[-3],
        "refused": refused,
        "form_row": listed["appliesToList"][0]["idCustomVariableFormAppliesTo"],
        "form_document": form,
        "form_session": f"/archive/experiments/{session.id}",
        "form_sessions": f'["/archive/experiments/{session.id}"]',
        "command": 1,
        "command_document": command_document(),
        "name": "tiny-session",
        "image": command_document()["image"],
        "root": "session",
        "file": "stdout",
        "login": "somebody",
        "group": "member",
        "role": "Dqr",
        "level": kind,
        "value": "true",
        "flag": "true",
        "visibility": "public",
        "operation": "unknown",
        "display": "browseable",
        "element": "icr:roiCollectionData",
        "plugin": "handMade",
        "entry": "braintumor",
        "names": "siteId",
        "tool": "tool",
        "id": 1,
        "title": "BTS",
        "port": 1,
        "pipeline": "tiny-session",
        "event_type": SESSION_EVENT,
        "action_key": f"{ACTION}:{common['wrapper']}",
        "rest": "x",
        "tag": "7FE00010",
        "search": "x",
        "operations": "x",
    }  # fmt: skip
    bodies = {
        "image": ("application/dicom", file_bytes(first)),
        "stow": (
            'multipart/related; type="application/dicom"; boundary="----boundary-of-the-test"',
            stow_body([file_bytes(first)]),
        ),
        "seg": ("application/octet-stream", file_bytes(seg_of(case))),
        "text": ("application/octet-stream", b"new"),
        "filter": ("text/plain", b"@.label == 'x'"),
        "search": ("text/xml", SEARCH),
    }
    return values, bodies


def _refused(hub: RunningHub) -> int:
    """Put an object aside; return its line."""
    storage.refuse(hub.hub, spooling.spool(hub.hub, [b"no DICOM"]), reason="no DICOM", source="test")
    with hub.hub.database.read() as db:
        return db.scalars(select(ReceivedObject.pk).order_by(ReceivedObject.pk.desc())).all()[0]


def _rows(db: Session, kind: str, session: Experiment, wrapper: int) -> dict[str, Any]:
    """Make a run, its workflow, a subscription and what it delivered."""
    secret = mark(kind)
    workflow = Workflow(
        object_id=session.id,
        data_type=session.xsi_type,
        project=kind,
        pipeline_name="tiny-session",
        comments=secret,
        status="Complete",
        user="admin",
    )
    db.add(workflow)
    db.flush()
    container = Container(
        command_id=1,
        wrapper_id=wrapper,
        workflow_id=workflow.id,
        project=kind,
        user="admin",
        status="Complete",
        inputs={"note": secret},
        resolved={"docker-image": "x", "container-name": f"run-{kind}", "command-line": secret, "subtype": "docker"},
        outputs=[],
        history=[],
        backend_id=f"backend-{kind}",
    )
    event_filter = {"event-type": SESSION_EVENT, "status": "CREATED", "project-ids": [kind]}
    subscription = Subscription(
        name=secret,
        owner="admin",
        active=False,
        document={
            "name": secret,
            "active": False,
            "action-key": f"{ACTION}:{wrapper}",
            "attributes": {},
            "event-filter": event_filter,
        },
    )
    chain = Orchestration(name=secret, wrapper_ids=[wrapper, wrapper])
    db.add_all([container, subscription, chain, BulkLaunch(id=f"bulk-{kind}", user="admin", total=1)])
    db.flush()
    delivery = Delivery(
        subscription_id=subscription.id,
        event_type=SESSION_EVENT,
        event_status="CREATED",
        project=kind,
        user="admin",
        trigger={"label": secret, "event-name": SESSION_EVENT, "status": "CREATED", "URI": "x"},
        statuses=[{"status": "ACTION_COMPLETE", "timestamp": 0, "message": secret}],
    )
    db.add(delivery)
    db.flush()
    return {
        "container": container.id,
        "container_name": f"run-{kind}",
        "workflow": workflow.id,
        "subscription": subscription.id,
        "orchestration": chain.id,
        "bulk": f"bulk-{kind}",
        "delivery": delivery.id,
    }


def _form(kind: str, secret: str) -> dict[str, Any]:
    data = {
        "formTitle": f"Form {kind}",
        "zIndex": 10,
        "xnatDatatype": {"value": "xnat:mrSessionData"},
        "isThisASiteWideConfiguration": "no",
        "xnatProject": [{"value": kind}],
    }
    components = [{"label": secret, "key": "quality", "type": "radio", "input": True}]
    return {"submission": {"data": data}, "builder": {"display": "form", "components": components}}


class Undone(Database):
    """A database whose writing transactions are undone at their end, files too, unless `keeps` says otherwise."""

    def __init__(self, inner: Database) -> None:
        self._inner = inner  # its own set-up is not repeated
        self.engine = inner.engine
        self.keeps = False

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Begin a transaction that only reads."""
        with self._inner.read() as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Begin a transaction; everything in it happens, then nothing of it is kept."""
        if self.keeps:
            with self._inner.write() as db:
                yield db
            return
        with suppress(_UndoneError), self._inner.write() as db:
            yield db
            db.flush()
            raise _UndoneError

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


class _UndoneError(Exception):
    """The end of a transaction that is to leave nothing behind."""


def filled_in(template: Any, values: dict[str, Any]) -> Any:
    """Return `template` with ``$name`` replaced by values; a text that is nothing but ``$name`` becomes the value."""
    if isinstance(template, dict):
        return {key: filled_in(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled_in(one, values) for one in template]
    if not isinstance(template, str) or "$" not in template:
        return template
    if template[1:] in values and template[0] == "$":
        return values[template[1:]]
    for name in sorted(values, key=len, reverse=True):
        if f"${name}" in template:
            template = template.replace(f"${name}", str(values[name]))
    return template
