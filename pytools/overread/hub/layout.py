"""Where files lie below the hub's home. The archive has XNAT's own layout.

::

    HOME/hub.sqlite
    HOME/hub-id              the hub's name among others on the same engine
    HOME/backups.jsonl       a line for each backup that was made
    HOME/archive/<project>/arc001/<session label>/SCANS/<scan id>/<resource label>/...
    HOME/archive/<project>/arc001/<session label>/ASSESSORS/<assessor label>/<resource label>/...
    HOME/archive/<project>/arc001/<session label>/RESOURCES/<resource label>/...
    HOME/archive/<project>/subjects/<subject label>/<resource label>/...
    HOME/archive/<project>/resources/<resource label>/...
    HOME/prearchive/<project>/<timestamp>/<session label>/SCANS/<scan id>/DICOM/...
    HOME/spool/              objects that were received and are not filed yet
    HOME/refused/            objects that could not be taken, as they came
    HOME/journal/            what transactions under way have renamed
    HOME/audit/              lines of the audit trail that are not in the database yet
    HOME/audit/pruned/       those that are not in it any more, by ``auditRetention``
    HOME/auth/               one file of properties for each directory that knows users (LDAP)
    HOME/plugins/            plugin jars
    HOME/runs/<container id>/{input,output,log}
    HOME/environments/       environments of images, by content hash
    HOME/tmp/
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from overread.hub.errors import bad_request

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_NAME = re.compile(r"[^\x00-\x1f/\\]{1,200}")


@dataclass(frozen=True)
class Layout:
    """Paths below one home."""

    home: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "hub.sqlite"

    @property
    def archive(self) -> Path:
        """Root of the archive."""
        return self.home / "archive"

    @property
    def prearchive(self) -> Path:
        """Root of the prearchive."""
        return self.home / "prearchive"

    @property
    def spool(self) -> Path:
        """Objects that were received and are not filed yet. On the archive's file system, so that a move is a link."""
        return self.home / "spool"

    @property
    def refused(self) -> Path:
        """Objects that could not be taken."""
        return self.home / "refused"

    @property
    def journal(self) -> Path:
        """What transactions under way have renamed (`overread.hub.items.journal`)."""
        return self.home / "journal"

    @property
    def audit(self) -> Path:
        """Lines of the audit trail that are not in the database yet (`overread.hub.audit`)."""
        return self.home / "audit"

    @property
    def auth(self) -> Path:
        """Properties of the directories that know users (`overread.hub.ldap`)."""
        return self.home / "auth"

    @property
    def plugins(self) -> Path:
        """Plugin jars."""
        return self.home / "plugins"

    @property
    def runs(self) -> Path:
        """One folder per container run."""
        return self.home / "runs"

    @property
    def environments(self) -> Path:
        """Environments of images."""
        return self.home / "environments"

    @property
    def tmp(self) -> Path:
        """Unfinished uploads; emptied at start. On the archive's file system, so that a move is a rename."""
        return self.home / "tmp"

    def make(self) -> None:
        """Make the folders that are missing, readable by us alone."""
        for folder in (
            self.archive, self.prearchive, self.refused, self.plugins, self.runs, self.environments, self.tmp,
            self.audit, self.auth,
        ):  # fmt: skip
            folder.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        if not self._identity.exists():
            staged = self.tmp / "hub-id"
            staged.write_text(uuid.uuid4().hex)
            staged.replace(self._identity)

    @property
    def identity(self) -> str:
        """Name of this hub among all others on the same engine; kept for good, 32 hexadecimal digits."""
        return self._identity.read_text().strip()

    @property
    def _identity(self) -> Path:
        return self.home / "hub-id"

    def session(self, project: str, label: str) -> Path:
        """Folder of an image session."""
        return self.archive / safe_name(project) / "arc001" / safe_name(label)

    def scan(self, project: str, session_label: str, scan_id: str) -> Path:
        """Folder of a scan."""
        return self.session(project, session_label) / "SCANS" / safe_name(scan_id)

    def assessor(self, project: str, session_label: str, label: str) -> Path:
        """Folder of an image assessor."""
        return self.session(project, session_label) / "ASSESSORS" / safe_name(label)

    def subject(self, project: str, label: str) -> Path:
        """Folder of a subject's own resources."""
        return self.archive / safe_name(project) / "subjects" / safe_name(label)

    def project_resources(self, project: str) -> Path:
        """Folder of a project's own resources."""
        return self.archive / safe_name(project) / "resources"


def clean_label(text: str) -> str:
    """Return `text` as XNAT makes labels: everything outside ``[A-Za-z0-9_-]`` becomes ``_``."""
    return _UNSAFE.sub("_", text.strip())


def safe_name(name: str) -> str:
    """Return `name` if it is one plain folder or file name, else refuse it with 400."""
    if name in {"", ".", ".."} or not _NAME.fullmatch(name):
        raise bad_request(f"{name!r} can't be a name: use letters, digits, '_' and '-'.")
    return name


def safe_path(path: str) -> PurePosixPath:
    """Return `path` as a relative path that can't leave its folder, else refuse it with 400."""
    parts = [part for part in path.split("/") if part]
    if not parts or path.startswith("/"):
        raise bad_request(f"{path!r} is no relative file path.")
    return PurePosixPath(*(safe_name(part) for part in parts))


def sync_file(path: Path) -> None:
    """Make what was written to `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


sync_folder = sync_file
