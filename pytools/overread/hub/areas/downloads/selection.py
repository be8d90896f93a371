"""What is chosen for a download: kept in a file of the user's for a day, or until the hub ends."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.access import Caller, Right, may, may_on_experiment, readable_projects
from overread.hub.errors import HubError, bad_request, forbidden
from overread.hub.items.archives import Entry
from overread.hub.items.folders import resource_folder
from overread.hub.items.listing import list_resources
from overread.hub.items.visibility import assessors_of
from overread.hub.models import Experiment, Resource, ResourceFile, Scan, Share, Subject
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

_KEPT_S: Final = 86400.0
_ID: Final = re.compile(r"[A-Za-z0-9._@-]{1,120}")
_KEYS: Final = (
    "sessions",
    "scan_types",
    "scan_formats",
    "resources",
    "assessors",
    "options",
    "projectId",
    "projectIds",
)
_NONE: Final = "NULL"
"""What stands for scans without a type."""


@dataclass(frozen=True)
class Part:
    """One resource: its folder in the zip, its URI, its number, and the experiment by which one may read it."""

    name: str
    uri: str
    resource: int
    experiment: str
    size: int


@dataclass(frozen=True)
class ChosenSession:
    """A session with what of it was chosen."""

    id: str
    about: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Selection:
    """All that was chosen."""

    id: str
    description: str
    sessions: tuple[ChosenSession, ...]

    @property
    def parts(self) -> Iterator[Part]:
        """Its resources."""
        return (part for session in self.sessions for part in session.parts)


def choose(db: Session, hub: Hub, caller: Caller, wanted: Mapping[str, Any]) -> Selection:
    """Find what is wanted, and keep it for the caller.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    caller
        Who wants it.
    wanted
        ``sessions`` as ``project:subject label:session label:session ID``; ``scan_types`` and ``scan_formats`` (labels
        of resources), without which no scan is taken; ``resources`` (labels); ``assessors`` (types); ``options``.

    Raises
    ------
    HubError
        400: it is no such map; 403: a session is not there, or not for the caller, or not in that project.
    """
    lists = {name: _texts(wanted, name) for name in _KEYS}
    found = []
    for text in lists["sessions"]:
        atoms = text.split(":")
        if len(atoms) != 4:  # noqa: PLR2004 - see above
            raise bad_request(f"sessions: {text[:80]!r} is not project:subject:label:ID.")
        session = _session(db, caller, atoms[0], atoms[3])
        subject = db.get(Subject, session.subject_id) if session.subject_id else None
        paths = _Paths(lists["options"], atoms[0], subject.label if subject is not None else "", session.label)
        parts = tuple(_parts(db, caller, session, paths, lists))
        about = f"Project: {atoms[0]}, subject: {atoms[1]}, label: {session.label}"
        found.append(ChosenSession(session.id, about, parts))
    stamp = utc_now().strftime("%Y%m%d_%H%M%S%f")[:-3]
    login = re.sub(r"[^A-Za-z0-9._@-]", "_", caller.login)[:60]
    selection = Selection(f"{login}-{stamp}", ", ".join(lists["options"]), tuple(found))
    _keep(hub, caller, selection)
    return selection


def chosen(hub: Hub, caller: Caller, identity: str) -> Selection:
    """Return what the caller chose before; 403 if there is none of that name, as in XNAT."""
    path = _folder(hub, caller) / f"{identity}.json"
    if not _ID.fullmatch(identity) or not path.is_file():
        raise forbidden(f"There is no download {identity[:120]} of {caller.login}.")
    document = json.loads(path.read_text("utf-8"))
    sessions = tuple(
        ChosenSession(one["id"], one["about"], tuple(Part(**part) for part in one["parts"]))
        for one in document["sessions"]
    )
    return Selection(document["id"], document["description"], sessions)


def entries(db: Session, hub: Hub, caller: Caller, selection: Selection) -> list[Entry]:
    """Return the files for the zip. What has been deleted since is left out; what may no longer be read is refused."""
    found = []
    for part in selection.parts:
        resource = db.get(Resource, part.resource)
        experiment = db.get(Experiment, part.experiment)
        if resource is None or experiment is None:
            continue
        if not may_on_experiment(db, caller, experiment, Right.READ):
            raise forbidden(f"The user may not read {experiment.id}.")
        folder = resource_folder(db, hub, resource)
        paths = db.scalars(
            select(ResourceFile.path).where(ResourceFile.resource_pk == resource.pk).order_by(ResourceFile.path)
        )
        found += [Entry(f"{part.name}/{path}", folder / path) for path in paths]
    return found


def as_xml(selection: Selection) -> bytes:
    """Return the selection as XNAT's catalog: a set for each session, in it one entry for each resource."""
    root = Element("cat:Catalog", {"ID": selection.id, "description": selection.description})
    root.set("xmlns:cat", "http://nrg.wustl.edu/catalog")
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    sets = SubElement(root, "cat:sets")
    for session in selection.sessions:
        about = {"ID": session.id, "description": session.about}
        listed = SubElement(SubElement(sets, "cat:entrySet", about), "cat:entries")
        for part in session.parts:
            SubElement(listed, "cat:entry", {"name": part.name, "URI": part.uri})
    indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + bytes(tostring(root, encoding="utf-8")) + b"\n"


@dataclass(frozen=True)
class _Paths:
    """Names of folders in the zip."""

    options: Sequence[str]
    project: str
    subject: str
    session: str

    def of(self, kind: str, name: str, label: str) -> str:
        """Return the folder of a resource of a scan or assessor, or of the session itself (`kind` "")."""
        words = [kind, name, "resources", label] if kind else ["resources", label]
        words = words[1::2] if "simplified" in self.options else words
        if "projectIncludedInPath" in self.options:
            words = [self.project, self.subject, self.session, *words]
        elif "subjectIncludedInPath" in self.options:
            words = [self.subject, self.session, *words]
        else:
            words = [self.session, *words]
        return "/".join(re.sub(r"[\\/\x00-\x1f]", "_", word) for word in words)


def _parts(
    db: Session, caller: Caller, session: Experiment, paths: _Paths, lists: Mapping[str, Sequence[str]]
) -> Iterator[Part]:
    base = f"/archive/experiments/{session.id}"
    if lists["scan_types"] and lists["scan_formats"]:
        scans = db.scalars(select(Scan).where(Scan.session_id == session.id).order_by(Scan.pk))
        taken = [scan for scan in scans if (scan.type or _NONE) in lists["scan_types"]]
        for one in list_resources(db, taken):
            if one.resource.label in lists["scan_formats"] and isinstance(one.item, Scan):
                kind = re.sub(r"[\\/(), ]", "_", one.item.type)
                name = one.item.id if not kind or "simplified" in paths.options else f"{one.item.id}-{kind}"
                uri = f"{base}/scans/{quote(one.item.id)}/resources/{quote(one.resource.label)}/files"
                yield Part(paths.of("scans", name, one.resource.label), uri, one.resource.pk, session.id, one.size)
    for one in list_resources(db, [session]) if lists["resources"] else ():
        if one.resource.label in lists["resources"]:
            uri = f"{base}/resources/{quote(one.resource.label)}/files"
            yield Part(paths.of("", "", one.resource.label), uri, one.resource.pk, session.id, one.size)
    if lists["assessors"]:
        readable = readable_projects(db, caller)
        taken_too = [one for one in assessors_of(db, session.id, readable) if one.xsi_type in lists["assessors"]]
        for one in list_resources(db, taken_too):
            if isinstance(one.item, Experiment):
                name = paths.of("assessors", one.item.label, one.resource.label)
                uri = f"{base}/assessors/{one.item.id}/out/resources/{quote(one.resource.label)}/files"
                yield Part(name, uri, one.resource.pk, one.item.id, one.size)


def _session(db: Session, caller: Caller, project: str, identity: str) -> Experiment:
    session = db.get(Experiment, identity)
    refusal = forbidden(f"The user may not read {identity[:80]} in project {project[:80]}.")
    if session is None or session.session_id is not None or not may(db, caller, project, Right.READ):
        raise refusal
    shared = select(Share.pk).where(Share.kind == "experiment", Share.object_id == session.id, Share.project == project)
    if session.project != project and db.scalar(shared) is None:
        raise refusal
    return session


def _texts(wanted: Mapping[str, Any], name: str) -> list[str]:
    value = wanted.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise bad_request(f"{name} must be a list of texts.")
    return value


def _folder(hub: Hub, caller: Caller) -> Path:
    return hub.layout.tmp / "downloads" / hashlib.sha256(caller.login.encode()).hexdigest()[:32]


def _keep(hub: Hub, caller: Caller, selection: Selection) -> None:
    folder = _folder(hub, caller)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.stat().st_mtime < time.time() - _KEPT_S:
                old.unlink(missing_ok=True)
        (folder / f"{selection.id}.json").write_text(json.dumps(asdict(selection)), "utf-8")
    except OSError as problem:
        raise HubError(507, f"The selection can't be kept: {problem.strerror}.") from problem
