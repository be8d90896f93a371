"""Storing what a run left behind. Runs within one transaction: all of it is stored, or nothing.

What a container writes is not trusted: no link is followed, no file outside its output folder is read, and an XML
document may only speak of the run's own project and session.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from overread.errors import OverreadError, PermanentRunnerError
from overread.hub.access import Right, may
from overread.hub.errors import HubError
from overread.hub.faults import is_temporary
from overread.hub.items import instances, uris
from overread.hub.items.announce import announce
from overread.hub.items.catalogs import catalog_name
from overread.hub.items.files import add_file, ensure_resource
from overread.hub.items.folders import owner_of
from overread.hub.items.serialise import uri_of
from overread.hub.items.xml import insert_scan_xml, insert_xml
from overread.hub.models import Container, Experiment, Project, Resource, ResourceFile, Scan, Subject
from overread.hub.runs.launch import caller_of
from overread.hub.runs.logs import one_line

if TYPE_CHECKING:
    from overread.hub.core import Hub

Parent = Project | Subject | Experiment | Scan

ROI_COLLECTION = "icr:roiCollectionData"
RESULT_FILE = "result.json"

_MAX_XML_BYTES = 16 * 1024**2
_MAX_RESULT_BYTES = 1024**2


@dataclass(frozen=True)
class Left:
    """A file that a run left: its path below the output's own, with forward slashes, and where it lies."""

    relative: str
    path: Path


def store_outputs(db: Session, hub: Hub, container: Container, folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Store all outputs of a run.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    container
        The run.
    folders
        By the name of an output's row: the folder in which its files lie.

    Returns
    -------
    list of dict
        The run's output rows, with ``created`` filled in.

    Raises
    ------
    PermanentRunnerError
        A required output is missing, or one that is there can't be stored.
    """
    if not may(db, caller_of(db, container.user), container.project, Right.EDIT):
        raise PermanentRunnerError(f"The user {container.user} may no longer store in project {container.project}.")
    storage = _Storage(db, hub, container)
    created: dict[str, str] = {}
    rows = []
    for row in container.resolved["outputs"]:
        left = list(collect(folders[row["name"]], row.get("path") or "", row.get("glob") or ""))
        parent_uri = row.get("parent-uri") or created.get(row["handled-by"])
        if not left or parent_uri is None:
            if row["required"]:
                why = "was not written" if not left else f"has no parent: {row['handled-by']} was not stored"
                raise PermanentRunnerError(f"Required output {row['from-command-output']} {why}.")
            rows.append(row)
            continue
        try:
            uri = storage.store(row, left, parent_uri)
        except OverreadError as problem:
            what = problem.reason if isinstance(problem, HubError) else str(problem)
            raise PermanentRunnerError(f"Output {row['from-command-output']} can't be stored: {what}") from problem
        except OSError as problem:
            if is_temporary(problem):
                raise
            raise PermanentRunnerError(
                f"Output {row['from-command-output']} can't be read: {problem.strerror}."
            ) from problem
        created[row["from-output-handler"]] = uri
        rows.append({**row, "created": uri})
    return rows


def collect(root: Path, path: str, glob: str) -> Iterator[Left]:
    """Find the files of one output.

    Parameters
    ----------
    root
        Folder of the mount.
    path
        File or folder below it; "" for the folder itself.
    glob
        Which files of that folder; when none fits, `path` itself is taken, as the Container Service does.

    Raises
    ------
    PermanentRunnerError
        A link, or a path that leaves the folder.
    """
    root = root.resolve()
    base = root / path
    if ".." in base.parts or ".." in Path(glob).parts or Path(glob).is_absolute():
        raise PermanentRunnerError(f"Output path {path!r} {glob!r} leaves the output folder.")
    matched = sorted(found for found in base.glob(glob) if found.is_file()) if glob and base.is_dir() else []
    if not matched and base.is_dir():
        matched = sorted(found for found in base.rglob("*") if found.is_symlink() or found.is_file())
    elif not matched and (base.is_symlink() or base.is_file()):
        matched, base = [base], base.parent
    for found in matched:
        if found.is_symlink() or found.resolve() != found:
            raise PermanentRunnerError(f"Output {found.relative_to(root)} is a link: write a plain file.")
        yield Left(found.relative_to(base).as_posix(), found)


def not_applicable(folders: Mapping[str, Path]) -> str | None:
    """Return the reason for which a run found nothing to do, from its ``result.json``; None if it did its work."""
    for folder in dict.fromkeys(folders.values()):
        for left in collect(folder, RESULT_FILE, ""):
            if left.path.stat().st_size > _MAX_RESULT_BYTES:
                continue
            try:
                result = json.loads(left.path.read_text("utf-8"))
            except (ValueError, RecursionError):
                continue
            if isinstance(result, dict) and result.get("status") == "not-applicable":
                return one_line(str(result.get("reason") or "The image gave no reason."))
    return None


@dataclass(frozen=True)
class _Storage:
    """Stores the outputs of one run."""

    db: Session
    hub: Hub
    container: Container

    def store(self, row: Mapping[str, Any], left: list[Left], parent_uri: str) -> str:
        """Store the files of one output below its parent and return the URI of what was made."""
        parent = uris.resolve(self.db, self.hub, parent_uri)
        if isinstance(parent, Resource):
            raise PermanentRunnerError(f"{parent_uri} is a resource: nothing can be stored below it.")
        return self._resource(row, left, parent) if row["type"] == "Resource" else self._document(row, left, parent)

    def _check_may_store(self, parent: Parent) -> None:
        """Refuse what is lent to the run's project and belongs to one in which the user may not store."""
        holder = self.db.get_one(Experiment, parent.session_id) if isinstance(parent, Scan) else parent
        project = holder.id if isinstance(holder, Project) else holder.project
        user = self.container.user
        if project != self.container.project and not may(self.db, caller_of(self.db, user), project, Right.EDIT):
            raise PermanentRunnerError(
                f"{uri_of(parent)} belongs to project {project}, in which the user {user} may not store."
            )

    def _resource(self, row: Mapping[str, Any], left: list[Left], parent: Parent) -> str:
        self._check_may_store(parent)
        user, tags = self.container.user, ",".join(row.get("tags") or [])
        form, content = row.get("format") or "", row.get("content") or ""
        resource = ensure_resource(
            self.db,
            self.hub,
            owner_of(parent),
            row.get("label") or row["from-command-output"],
            format=form,
            content=content,
            tags=tags,
            description=row.get("description") or "",
            user=user,
        )
        for found in left:
            if found.relative == catalog_name(resource):
                continue  # a folder was copied with XNAT's catalog of it
            # The run's folder is deleted once the transaction is kept; till then nothing is taken out of it.
            file = add_file(
                self.db, self.hub, resource, found.relative, found.path,
                user=user, move=False, format=form, content=content, tags=tags,
            )  # fmt: skip
            if file is not None:
                self._index(parent, file)
        if isinstance(parent, Experiment) and parent.xsi_type == ROI_COLLECTION:
            announce(self.db, self.hub, parent, "UPDATED", user=user)
        return f"{uri_of(parent)}/resources/{resource.label}"

    def _index(self, parent: Parent, file: ResourceFile) -> None:
        """Let DICOMweb serve what the viewer must find: objects of scans and of ROI collections."""
        if isinstance(parent, Scan) or (isinstance(parent, Experiment) and parent.xsi_type == ROI_COLLECTION):
            instances.index_file(self.db, self.hub, self.db.get_one(Experiment, parent.session_id), file)

    def _document(self, row: Mapping[str, Any], left: list[Left], parent: Parent) -> str:
        if len(left) != 1 or not left[0].relative.lower().endswith(".xml"):
            raise PermanentRunnerError(f"{row['type']} takes exactly one .xml file; there are {len(left)} files.")
        if left[0].path.stat().st_size > _MAX_XML_BYTES:
            raise PermanentRunnerError(f"The XML document is larger than {_MAX_XML_BYTES} bytes.")
        xml = left[0].path.read_bytes()
        if row["type"] == "Scan":
            return self._scan(xml, parent)
        made = insert_xml(self.db, self.hub, xml, user=self.container.user)
        if made.project != self.container.project:
            raise PermanentRunnerError(f"The XML document names project {made.project}, not the run's own.")
        if isinstance(parent, Experiment) and made.session_id != parent.id:
            raise PermanentRunnerError(f"The XML document names session {made.session_id}, not {parent.id}.")
        return uri_of(made)

    def _scan(self, xml: bytes, parent: Parent) -> str:
        if not isinstance(parent, Experiment) or parent.session_id is not None:
            raise PermanentRunnerError("A scan can be stored below a session alone.")
        if parent.project != self.container.project:
            raise PermanentRunnerError(f"Session {parent.id} is of project {parent.project}, not of the run's own.")
        scan, session = insert_scan_xml(self.db, self.hub, parent, xml, user=self.container.user)
        if session not in ("", parent.id):
            raise PermanentRunnerError(f"The XML document names session {session}, not {parent.id}.")
        return uri_of(scan)
