"""Items as XML documents: written as XNAT writes them, and saved from what a client or a container sends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sqlalchemy.orm import Session

from overread.hub.errors import bad_request, unprocessable
from overread.hub.items.announce import announce
from overread.hub.items.document import Document, read_document
from overread.hub.items.experiments import ASSESSOR_BASE, NewExperiment, find_experiment, save_experiment
from overread.hub.items.fields import IDENTITY
from overread.hub.items.scans import save_scan
from overread.hub.items.subjects import find_subject
from overread.hub.items.tree import Related, whole_item
from overread.hub.models import Experiment, Project, Scan, Subject
from overread.hub.schemas import DataType, SchemaRegistry
from overread.hub.schemas.model import Node

if TYPE_CHECKING:
    from overread.hub.core import Hub

_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def insert_xml(db: Session, hub: Hub, xml: bytes, *, user: str) -> Experiment:
    """Save the experiment that a document describes; one of the same label is changed.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    xml
        Document of an assessor or a session. It must name ``project`` and ``label``, and ``imageSession_ID`` or
        ``subject_ID`` (ID, or label within the project).
    user
        Login of who saves. Whether that user may is the caller's business.
    """
    return save_document(db, hub, read_document(hub.schemas, xml), user=user)[0]


def insert_scan_xml(db: Session, hub: Hub, session: Experiment, xml: bytes, *, user: str) -> tuple[Scan, str]:
    """Save the scan that a document describes in `session`; one of the same ID is changed.

    Returns
    -------
    Scan and str
        The scan, and the ID of the session that the document itself names ("" if it names none).

    Raises
    ------
    HubError
        It is no document of a scan, or has no ID.
    """
    document = read_document(hub.schemas, xml)
    if not document.fields.get("ID"):
        raise unprocessable(f"The {document.xsi_type} must name its ID as an attribute.")
    scan = _save_scan(db, hub, session, document, user=user, replace=False)
    return scan, document.fields.get("image_session_ID", "")


def save_document(
    db: Session,
    hub: Hub,
    document: Document,
    *,
    user: str,
    project: str = "",
    label: str = "",
    subject_id: str | None = None,
    session_id: str | None = None,
    replace: bool = False,
) -> tuple[Experiment, bool]:
    """Save the experiment of a document, and the scans and assessors within it.

    `project`, `label`, `subject_id` and `session_id` are what the place of the call says; they win over the document.
    """
    fields = document.fields
    project, label = project or fields.get("project", ""), label or fields.get("label", "")
    if not project or not label:
        raise unprocessable(f"The {document.xsi_type} must name its project and label as attributes.")
    new = NewExperiment(
        document.xsi_type,
        project,
        label,
        subject_id=subject_id or _subject_id(db, project, fields.get("subject_ID", "")),
        session_id=session_id or _session_id(db, project, fields.get("imageSession_ID", "")),
        fields={path: value for path, value in fields.items() if path not in IDENTITY},
        children=document.children,
        id=_new_id(db, project, label, fields.get("ID", "")),
        replace=replace,
    )
    experiment, created = save_experiment(db, hub, new, user=user, notify=False)
    for scan in document.scans:
        _save_scan(db, hub, experiment, scan, user=user, replace=replace)
    for assessor in document.assessors:
        save_document(db, hub, assessor, user=user, project=project, session_id=experiment.id, replace=replace)
    if created or hub.schemas.is_a(experiment.xsi_type, ASSESSOR_BASE):
        announce(db, hub, experiment, "CREATED" if created else "UPDATED", user=user)
    return experiment, created


def _subject_id(db: Session, project: str, name: str) -> str | None:
    subject = find_subject(db, project, name) if name else None
    if name and subject is None:
        raise unprocessable(f"Unable to identify the subject {name} in project {project}: subject_ID")
    return subject.id if subject else None


def _session_id(db: Session, project: str, name: str) -> str | None:
    session = find_experiment(db, project, name) if name else None
    if name and session is None:  # an ID of another project's is no way into it
        raise unprocessable(f"Unable to identify the session {name} in project {project}: imageSession_ID")
    return session.id if session else None


def _new_id(db: Session, project: str, label: str, wanted: str) -> str:
    """Return the document's ID if a new item is to get it; an existing one keeps its own."""
    existing = find_experiment(db, project, label) if wanted else None
    if existing is not None and wanted != existing.id:
        raise bad_request(f"ID cannot be modified: {label} is {existing.id}, the document says {wanted}.")
    return "" if existing is not None else wanted


def _save_scan(db: Session, hub: Hub, session: Experiment, scan: Document, *, user: str, replace: bool) -> Scan:
    return save_scan(
        db,
        hub,
        session,
        scan_id=scan.fields.get("ID", ""),
        xsi_type=scan.xsi_type,
        fields={path: value for path, value in scan.fields.items() if path not in IDENTITY},
        children=scan.children,
        user=user,
        replace=replace,
    )


def to_xml(
    db: Session,
    hub: Hub,
    item: Project | Subject | Experiment | Scan,
    *,
    readable: Collection[str] | None = None,
) -> bytes:
    """Return the document of an item, with its scans, assessors, files and shares.

    `readable` are the IDs of the projects that the asker may read; None means all.
    """
    writer = _Writer(hub.schemas)
    whole = whole_item(db, hub, item, readable=readable)
    root = writer.item(hub.schemas.known(whole.xsi_type).proper_name or whole.xsi_type, whole)
    for prefix, namespace in sorted(writer.namespaces.items()):
        root.set(f"xmlns:{prefix}", namespace)
    root.set("xmlns:xsi", _XSI)
    indent(root)
    body: bytes = tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


@dataclass(frozen=True)
class _Content:
    """What an item's element is filled with."""

    kind: DataType
    values: Mapping[str, Any]
    children: Mapping[str, Sequence[Mapping[str, Any]]]
    related: Mapping[str, Sequence[Related]]


class _Writer:
    def __init__(self, schemas: SchemaRegistry) -> None:
        self._schemas = schemas
        self.namespaces: dict[str, str] = {}

    def item(self, tag: str, item: Related) -> Element:
        """Return the element of an item."""
        kind = self._schemas.known(item.xsi_type)
        element = Element(tag)
        for name in (kind, *map(self._schemas.known, kind.bases)):
            self.namespaces[name.prefix] = name.namespace
        self._write(element, kind.nodes, "", _Content(kind, item.values, item.children, item.related))
        return element

    def _write(self, parent: Element, nodes: Iterable[Node], prefix: str, content: _Content) -> None:
        for node in nodes:
            path = prefix + node.name
            if node.attribute:
                if content.values.get(path) not in (None, ""):
                    parent.set(node.name, _text(node, content.values[path]))
            elif node.repeated:
                self._write_repeated(parent, f"{node.prefix}:{node.name}", path, content)
            else:
                self._write_single(parent, node, path, content)

    def _write_single(self, parent: Element, node: Node, path: str, content: _Content) -> None:
        element = Element(f"{node.prefix}:{node.name}")
        below, stands_for = node.nodes, content.kind.typed.get(path)
        if node.type_name:
            below = self._schemas.known(stands_for or node.type_name).nodes
        self._write(element, below, f"{path}/", content)
        if node.simple is not None and content.values.get(path) not in (None, ""):
            element.text = _text(node, content.values[path])
        if len(element) or element.attrib or element.text:
            if stands_for:
                element.set("xsi:type", stands_for)
            parent.append(element)

    def _write_repeated(self, parent: Element, tag: str, path: str, content: _Content) -> None:
        child = content.kind.children[path]
        declared = self._schemas.known(child.xsi_type)
        for entry in content.related.get(path, ()):
            element = self.item(tag, entry)
            if entry.xsi_type != declared.name:
                element.set("xsi:type", entry.xsi_type)
            parent.append(element)
        for values in content.children.get(path, ()):
            element = SubElement(parent, tag)
            inner = {name: value for name, value in values.items() if isinstance(value, list)}
            self._write(element, declared.nodes, "", _Content(declared, values, inner, {}))
            if child.text and values.get(child.text) is not None:
                element.text = str(values[child.text])


def _text(node: Node, value: object) -> str:
    if node.simple is not None and node.simple.kind == "boolean":
        return "true" if value else "false"
    return str(value)
