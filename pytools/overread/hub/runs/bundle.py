"""The bundle of a case, as ``overread case export`` makes it: what a run was given, said and made, for elsewhere.

docs/how-to tell what is in it; `overread case replay` reads it. Secrets are masked, and so are the patient's name,
birth date and accession number wherever they stand but in DICOM files themselves, which go along by value only.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread import __version__
from overread.commands.masking import SECRET, Mask, is_secret
from overread.errors import DataError
from overread.hub.access import Caller, Right, may, may_on_experiment
from overread.hub.arrival.objects import read_file_header
from overread.hub.errors import HubError, forbidden
from overread.hub.items import uris
from overread.hub.items.files import owner_of
from overread.hub.items.folders import Owner, file_path, owner_item, session_of
from overread.hub.items.serialise import project_of, uri_of
from overread.hub.models import Command, Container, Experiment, Project, Resource, ResourceFile, Scan, Subject
from overread.hub.runs.logs import STDERR, STDOUT
from overread.hub.runs.spec import run_folder

if TYPE_CHECKING:
    from overread.hub.core import Hub

FORMAT: Final = "overread-case"
VERSION: Final = 1
_KEPT: Final = (
    "id", "status", "reason", "user-id", "project", "backend", "subtype", "workflow-id", "command-id", "wrapper-id",
    "priority", "slot", "attempts", "rerun-of", "history",
)  # fmt: skip
_RESOLVED: Final = ("command-line", "working-directory", "override-entrypoint", "container-name")
_MAX_RESULT_BYTES: Final = 16 * 2**20
_PACKED_UP_TO: Final = 16 * 2**20


@dataclass(frozen=True)
class _Collector:
    """Collects the files of objects that a caller may read."""

    db: Session
    hub: Hub
    caller: Caller
    by_value: bool
    entries: list[tuple[str, Path]] = field(default_factory=list)

    def mount(self, name: str, uri: str) -> dict[str, Any]:
        """Return the files of an object as a run finds them in its mount."""
        item = self._find(uri)
        files = [
            self._file(file, f"{below}{file.path}", f"inputs/{name}")
            for below, resource in self._resources(item)
            for file in self._files(resource)
        ]
        return {"mount": name, "object": uri, "files": files}

    def output(self, handler: str, uri: str) -> dict[str, Any]:
        """Return the files that a run left under a URI; an assessor or a scan has its files in other outputs."""
        item = self._find(uri)
        files = self._files(item) if isinstance(item, Resource) else ()
        found = [self._file(file, file.path, f"outputs/{handler}") for file in files]
        return {"handler": handler, "object": uri, "files": found}

    def result(self, uri: str) -> Any:
        """Return the ``result.json`` among the files under a URI, None if there is none."""
        item = uris.resolve(self.db, self.hub, uri)
        for file in self._files(item) if isinstance(item, Resource) else ():
            if file.path == "result.json" and file.size <= _MAX_RESULT_BYTES:
                try:
                    return json.loads(file_path(self.db, self.hub, file).read_bytes())
                except (ValueError, RecursionError):
                    return None
        return None

    def _find(self, uri: str) -> uris.Found:
        item = uris.resolve(self.db, self.hub, uri)
        owner = owner_item(self.db, Owner(item.owner_kind, item.owner_id)) if isinstance(item, Resource) else item
        if isinstance(owner, Scan):
            owner = self.db.get_one(Experiment, owner.session_id)
        allowed = (
            may_on_experiment(self.db, self.caller, owner, Right.READ)
            if isinstance(owner, Experiment)
            else may(self.db, self.caller, project_of(self.db, owner), Right.READ)
        )
        if not allowed:
            raise forbidden(f"The user may not read {uri}, which the run was given or has made.")
        return item

    def _resources(self, item: uris.Found) -> Iterator[tuple[str, Resource]]:
        if isinstance(item, Resource):
            yield "", item
            return
        is_session = isinstance(item, Experiment) and item.session_id is None
        if is_session and isinstance(item, Experiment):
            for scan in self.db.scalars(select(Scan).where(Scan.session_id == item.id).order_by(Scan.pk)):
                for resource in self._labelled(scan):
                    yield f"SCANS/{scan.id}/{resource.label}/", resource
        for resource in self._labelled(item):
            yield f"{'RESOURCES/' if is_session else ''}{resource.label}/", resource

    def _labelled(self, item: Project | Subject | Experiment | Scan) -> Sequence[Resource]:
        owner = owner_of(item)
        mine = select(Resource).where(Resource.owner_kind == owner.kind, Resource.owner_id == owner.id)
        return self.db.scalars(mine.order_by(Resource.label)).all()

    def _files(self, resource: Resource) -> Sequence[ResourceFile]:
        mine = select(ResourceFile).where(ResourceFile.resource_pk == resource.pk).order_by(ResourceFile.path)
        return self.db.scalars(mine).all()

    def _file(self, file: ResourceFile, path: str, entry: str) -> dict[str, Any]:
        local = file_path(self.db, self.hub, file)
        try:
            with local.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            raise HubError(500, f"{path} is missing in the archive: run overread hub check.") from None
        resource = self.db.get_one(Resource, file.resource_pk)
        source = f"/data{uri_of(owner_item(self.db, Owner(resource.owner_kind, resource.owner_id)))}"
        source = f"{source.replace('/data/archive/', '/data/')}/resources/{quote(resource.label)}"
        row = {
            "path": path,
            "bytes": local.stat().st_size,
            "sha256": digest,
            "source": f"{source}/files/{quote(file.path)}",
        }
        try:
            header = read_file_header(local)
        except DataError:
            pass
        else:
            row |= {"sop_instance_uid": header.sop_instance_uid, "series_instance_uid": header.series_instance_uid}
        if self.by_value:
            row["entry"] = f"{entry}/{path}"
            self.entries.append((f"{entry}/{path}", local))
        return row


def write_bundle(
    db: Session, hub: Hub, container: Container, target: Path, *, document: Mapping[str, Any], caller: Caller,
    site: tuple[str, str], by_value: bool,
) -> None:  # fmt: skip
    """Write the bundle of a run.

    Parameters
    ----------
    db, hub, container
        Transaction, hub and run.
    target
        The file.
    document
        The run's document with all that is in it (`overread.hub.areas.containers.view.describe`).
    caller
        In whose name files are read.
    site
        The hub's address, from which files by reference are had, and the version of XNAT that it answers as.
    by_value
        Whether the files themselves go in.

    Raises
    ------
    HubError
        403: the caller may not read what the run was given or has made. 404: it was deleted.
    """
    command = db.get(Command, container.command_id)
    collector = _Collector(db, hub, caller, by_value)
    inputs = [collector.mount(*one) for one in _mounted(document, command)]
    created = [
        (str(row["from-output-handler"]), str(row["created"])) for row in container.outputs if row.get("created")
    ]
    outputs = [collector.output(*one) for one in created]
    result = next((found for _, uri in created if (found := collector.result(uri)) is not None), None)
    versions = container.versions | {"exported-by": f"overread {__version__}", "server": site[1]}
    if isinstance(result, dict) and isinstance(result.get("model"), dict):
        versions["model"] = result["model"]
    mask = Mask(_secrets(document), _patient_words(db, hub, document))
    rows = document["inputs"]
    case = {
        "format": FORMAT,
        "format-version": VERSION,
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "server": site[0],
        "by": "value" if by_value else "reference",
    } | mask.all(
        {
            "run": {key: document.get(key) for key in _KEPT}
            | {"exit-code": container.exit_code, "stages": _stages(container)},
            "image": {"name": document.get("docker-image"), "digest": container.image_digest or ""},
            "versions": versions,
            "command": command.document if command is not None else None,
            "resolved": {key: document.get(key) for key in _RESOLVED}
            | {
                "env": {name: SECRET if is_secret(name) else value for name, value in document["env"].items()},
                "inputs": [
                    {"type": row["type"], "name": row["name"], "value": SECRET if _hidden(row) else row["value"]}
                    for row in rows
                ],
                "mounts": [
                    {"name": row["name"], "path": row["container-path"], "writable": row["writable"]}
                    for row in document["mounts"]
                ],
            },
            "inputs": inputs,
            "outputs": outputs,
            "result": result,
        }
    )
    logs = run_folder(hub, container.id) / "log"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("case.json", json.dumps(case, indent=1, ensure_ascii=False))
        for name in (STDOUT, STDERR):
            text = (logs / name).read_text("utf-8", "replace") if (logs / name).exists() else ""
            archive.writestr(f"log/{name.removesuffix('.log')}.log", mask.text(text))
        for name, path in collector.entries:
            packed = zipfile.ZIP_DEFLATED if path.stat().st_size <= _PACKED_UP_TO else zipfile.ZIP_STORED
            archive.write(path, name, compress_type=packed)


def _mounted(document: Mapping[str, Any], command: Command | None) -> list[tuple[str, str]]:
    """Return which object was mounted where, by the wrapper's inputs."""
    wrappers = command.document["xnat"] if command is not None else []
    wrapper = next((one for one in wrappers if one["id"] == document["wrapper-id"]), None)
    values = {row["name"]: str(row["value"]) for row in document["inputs"]}
    found = []
    for given in (*wrapper["external-inputs"], *wrapper["derived-inputs"]) if wrapper is not None else ():
        mount, value = given.get("provides-files-for-command-mount"), values.get(given["name"], "")
        if mount and value:
            found.append((str(mount), value))
    return found


def _stages(container: Container) -> list[dict[str, Any]]:
    lines = container.history
    found = []
    for line, following in zip_longest(lines, lines[1:]):
        took_s = (following["time-recorded"] - line["time-recorded"]) / 1000 if following is not None else None
        found.append({"stage": line["status"], "began-ms": line["time-recorded"], "took-s": took_s})
    return found


def _hidden(row: Mapping[str, Any]) -> bool:
    return bool(row.get("sensitive")) or is_secret(str(row["name"]))


def _secrets(document: Mapping[str, Any]) -> list[str]:
    named = [str(value) for name, value in document["env"].items() if is_secret(name)]
    return named + [str(row["value"]) for row in document["inputs"] if _hidden(row)]


def _patient_words(db: Session, hub: Hub, document: Mapping[str, Any]) -> list[str]:
    """Return the patient's name, birth date and accession number of every session that the run is about."""
    found: set[str] = set()
    for row in document["inputs"]:
        try:
            item = uris.resolve(db, hub, str(row["value"]))
        except HubError:  # a word, not an object
            continue
        if isinstance(item, Resource):
            item = owner_item(db, Owner(item.owner_kind, item.owner_id))
        # An assessor has no patient of its own: it is its session that names him.
        session = session_of(db, item) if isinstance(item, Scan | Experiment) and item.session_id else item
        if isinstance(session, Experiment):
            birth_date = session.fields.get("dcmPatientBirthDate")
            fields = (session.patient_name, birth_date, session.accession_number)
            found |= {str(value) for value in fields if value}
    return sorted(found)
