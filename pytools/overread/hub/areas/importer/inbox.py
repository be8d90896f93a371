"""Imports from the inbox: a folder on the hub's own machine, below which each project has one (xnat-rest 3.1).

XNAT queues such a request and tells where to ask for it. The hub carries it out at once, so whoever asks finds it
completed or failed.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from overread.hub.access import Caller, Right, may
from overread.hub.areas.importer import store
from overread.hub.areas.importer.options import Options, flag
from overread.hub.areas.importer.unpack import MAX_ENTRIES, entries, is_archive
from overread.hub.areas.site.store import preference
from overread.hub.errors import HubError, bad_request, conflict, forbidden, not_found
from overread.hub.http import Call
from overread.hub.models import Experiment

_MAX_REQUESTS: Final = 100
_WHERE: Final = (
    "You must specify a valid path to a file or directory. It must be under the main inbox directory within a "
    "subdirectory whose name matches the ID of a project you have edit access to."
)


@dataclass
class Request:
    """One import from the inbox, as XNAT describes it."""

    id: int
    username: str
    path: Path
    parameters: dict[str, str]
    cleanup: bool
    created_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    status: str = "Importing"
    resolution: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as XNAT's JSON."""
        return {
            "id": self.id,
            "username": self.username,
            "sessionPath": str(self.path),
            "status": self.status,
            "cleanupAfterImport": self.cleanup,
            "resolution": self.resolution,
            "parameters": self.parameters,
            "enabled": True,
            "created": self.created_ms,
            "timestamp": self.created_ms,
            "disabled": 0,
        }


class Inbox:
    """The requests since the hub was started; the last ones are enough."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, Request] = {}
        self._count = 0

    def add(self, username: str, path: Path, parameters: Mapping[str, str], *, cleanup: bool) -> Request:
        """Note a request."""
        with self._lock:
            self._count += 1
            request = Request(self._count, username, path, dict(parameters), cleanup)
            self._requests[request.id] = request
            self._requests.pop(self._count - _MAX_REQUESTS, None)
            return request

    def visible(self, caller: Caller) -> list[Request]:
        """Return the caller's requests, an administrator's are all."""
        return [one for one in self._requests.values() if caller.is_admin or one.username == caller.login]

    def get(self, caller: Caller, request_id: str) -> Request:
        """Return a request, or answer 404."""
        for one in self.visible(caller):
            if str(one.id) == request_id:
                return one
        raise not_found(f"inbox request {request_id}")


def import_inbox(call: Call, values: Mapping[str, str], options: Options) -> Request:
    """Carry out an import from the inbox."""
    if not options.hints.project:
        raise bad_request("You do not have permission to edit the specified destination project.")
    path = _path(call, values.get("path", ""))
    _check_label(call, options)
    cleanup = flag(values, "cleanupAfterImport") is not False
    request = call.hub.inbox.add(call.caller.login, path, values, cleanup=cleanup)
    try:
        imported = store.take_files(call.hub, _files(call, path), options)
        uris = store.finish(call.hub, imported, options)
    except HubError as problem:
        request.status, request.resolution = "Failed", problem.reason
        return request
    request.status, request.resolution = "Completed", ", ".join(uris)
    if cleanup and not imported.unreadable:
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    return request


def _path(call: Call, asked: str) -> Path:
    """Return the file or folder that is meant: below the inbox, in a folder of a project that the caller may change."""
    setting = str(preference(call.db, call.hub, "inboxPath") or "")
    if not setting:
        raise forbidden("This site has no inbox: an administrator names its folder in the preference inboxPath.")
    if not asked or "\0" in asked:
        raise bad_request(_WHERE)
    root, found = Path(setting).resolve(), Path(asked).resolve()  # links are followed before it is judged where it lies
    if root not in found.parents or not found.exists():
        raise bad_request(_WHERE)
    project = found.relative_to(root).parts[0]
    if root / project == found or not may(call.db, call.caller, project, Right.EDIT):
        raise bad_request(_WHERE)
    return found


def _check_label(call: Call, options: Options) -> None:
    label = options.hints.session
    taken = select(Experiment.id).where(Experiment.project == options.hints.project, Experiment.label == label)
    if label and options.overwrite == "none" and call.db.scalar(taken) is not None:
        raise conflict("Experiment with that label already exists in that project.")


def _files(call: Call, path: Path) -> Iterator[Iterator[bytes]]:
    if path.is_file():
        if not is_archive(path):
            raise bad_request("The path must be to either a directory or an archive file.")
        copy = call.hub.layout.tmp / f"inbox-{time.time_ns()}"
        shutil.copyfile(path, copy)  # archives in it are unpacked beside it, and nothing is written into the inbox
        try:
            yield from entries(copy, max_bytes=call.hub.config.max_upload_bytes)
        finally:
            copy.unlink(missing_ok=True)
        return
    count = 0
    for folder, _, names in os.walk(path, followlinks=False):
        for name in sorted(names):
            file = Path(folder) / name
            if file.is_symlink() or not file.is_file():
                continue
            count += 1
            if count > MAX_ENTRIES:
                raise HubError(413, f"The folder has more than {MAX_ENTRIES} files: import it in parts.")
            yield iter(store.file_pieces(file))
