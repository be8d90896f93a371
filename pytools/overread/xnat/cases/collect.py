"""What a run was given and what it made, taken from a server by XNAT's own REST.

Of a real XNAT some things can't be had (the image's digest, versions): the bundle then says so by leaving them out.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pydicom
import pydicom.errors

import overread
from overread.commands.masking import SECRET, Mask, is_secret
from overread.errors import ArchiveError, DataError, NotFound
from overread.xnat.cases.bundle import FORMAT, LOGS, VERSION, Packed, safe_path
from overread.xnat.connection import FileArchive

Tell = Callable[[str], None]

_PATIENT_FIELDS = ("dcmPatientName", "dcmPatientBirthDate", "dcmAccessionNumber")
_RUN_KEYS = (
    "id", "status", "reason", "user-id", "project", "backend", "subtype", "workflow-id", "command-id", "wrapper-id",
    "priority", "slot", "attempts", "rerun-of", "history",
)  # fmt: skip
_RESOLVED_KEYS = ("command-line", "working-directory", "override-entrypoint", "container-name")
_RESULT = "result.json"
_MAX_RESULT_BYTES = 16 * 1024**2


@dataclass
class Case:
    """What becomes a bundle."""

    document: dict[str, Any]
    files: list[Packed] = field(default_factory=list)


def find_run(archive: FileArchive, name: str) -> dict[str, Any]:
    """Return the document of a run: by its number, or the newest one on the object (a session's ID) called `name`.

    Raises
    ------
    NotFound
        There is none, or it is not for this user.
    """
    number = name if name.isascii() and name.isdecimal() else _newest_on(archive, name)
    answer = archive.get(f"/xapi/containers/{number}")
    found = answer.value() if answer is not None else None
    if not isinstance(found, dict):
        raise NotFound(f"there is no run {number}, or it is hidden from this user")
    return found


def _newest_on(archive: FileArchive, name: str) -> str:
    answer = archive.get("/data/services/workflows", {"experiment": name, "format": "json"})
    rows = answer.value()["ResultSet"]["Result"] if answer is not None else []
    runs = [str(row.get("comments", "")) for row in rows]
    numbers = [text for text in runs if text.isascii() and text.isdecimal()]
    if not numbers:
        raise NotFound(f"there is no run on {name}: give a run's number, or the ID of a session that was run on")
    return max(numbers, key=int)


def collect(
    archive: FileArchive, run: Mapping[str, Any], *, server: str, folder: Path, by_value: bool, tell: Tell
) -> Case:
    """Collect all that there is of a run.

    Parameters
    ----------
    archive, server
        The server, and its address.
    run
        The run's document, see `find_run`.
    folder
        An empty folder for what is downloaded.
    by_value
        Whether the files of inputs and outputs go into the bundle, not only their UIDs and hashes.
    tell
        Told what is done.

    Raises
    ------
    DataError
        The user sees no more of the run than its state.
    """
    if not run.get("history"):
        raise DataError(
            f"run {run.get('id')}: this user sees its state only; ask who launched it, or an owner of its project"
        )
    command = _command(archive, run)
    mask = Mask(_secrets(run), _patient_words(archive, run))
    loader = _Loader(archive, folder, by_value=by_value)
    case = Case({})
    inputs = []
    for mount, uri in _mounted(run, command):
        tell(f"input {mount}: {uri}")
        inputs.append({"mount": mount, "object": uri, "files": loader.object(uri, f"inputs/{mount}", case.files)})
    outputs, result = [], None
    for row in run.get("outputs") or []:
        if row.get("created"):
            tell(f"output {row['from-output-handler']}: {row['created']}")
            group = loader.output(row["created"], f"outputs/{row['from-output-handler']}", case.files)
            outputs.append({"handler": row["from-output-handler"], "object": row["created"], "files": group})
            result = loader.result or result
    versions = dict(run.get("versions") or {}) | {"exported-by": f"overread {overread.__version__}"}
    versions |= {"server": _server_version(archive)}
    if isinstance(result, dict) and isinstance(result.get("model"), dict):
        versions["model"] = result["model"]
    case.document = {
        "format": FORMAT,
        "format-version": VERSION,
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "server": _address(server),
        "by": "value" if by_value else "reference",
    } | mask.all(
        {
            "run": {key: run.get(key) for key in _RUN_KEYS} | {"exit-code": _exit_code(run), "stages": stages(run)},
            "image": {"name": run.get("docker-image"), "digest": run.get("image-digest") or ""},
            "versions": versions,
            "command": command,
            "resolved": {key: run.get(key) for key in _RESOLVED_KEYS}
            | {
                "env": {name: SECRET if is_secret(name) else value for name, value in (run.get("env") or {}).items()},
                "inputs": [_input(row) for row in run.get("inputs") or []],
                "mounts": [
                    {"name": row["name"], "path": row["container-path"], "writable": row["writable"]}
                    for row in run.get("mounts") or []
                ],
            },
            "inputs": inputs,
            "outputs": outputs,
            "result": result,
        }
    )
    case.files += _logs(archive, run, folder, mask)
    return case


def stages(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return when each stage of a run began, and how long it took, seconds; the last one is its end."""
    lines = run.get("history") or []
    found = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        took_s = (following["time-recorded"] - line["time-recorded"]) / 1000 if following is not None else None
        found.append({"stage": line["status"], "began-ms": line["time-recorded"], "took-s": took_s})
    return found


class _Loader:
    """Lists and downloads the files of objects."""

    def __init__(self, archive: FileArchive, folder: Path, *, by_value: bool) -> None:
        self._archive, self._folder, self._by_value = archive, folder, by_value
        self._number = 0
        self.result: Any = None
        """The last ``result.json`` that was met."""

    def object(self, uri: str, entry: str, packed: list[Packed]) -> list[dict[str, Any]]:
        """Return the files of an object as a run finds them in its mount."""
        listed = []
        for below, path in self._resources(uri):
            listed += [(f"{below}{name}", source) for name, source in self._files(path)]
        return [self._file(path, source, entry, packed) for path, source in listed]

    def output(self, uri: str, entry: str, packed: list[Packed]) -> list[dict[str, Any]]:
        """Return the files that a run left under a URI."""
        self.result = None
        if "/resources/" not in uri:
            return []  # an assessor or a scan: its files are other outputs
        return [self._file(path, source, entry, packed) for path, source in self._files(_data(uri))]

    def _resources(self, uri: str) -> Iterable[tuple[str, str]]:
        """Yield the resources of an object, each with the folder in which its files lie in a mount."""
        path = _data(uri)
        if "/resources/" in path:
            yield "", path
            return
        parts = path.strip("/").split("/")
        is_session = parts[-2:-1] == ["experiments"]
        for row in self._rows(f"{path}/scans") if is_session else ():
            scan = str(row["ID"])
            for resource in self._rows(f"{path}/scans/{quote(scan, safe='')}/resources"):
                label = str(resource["label"])
                below = f"{path}/scans/{quote(scan, safe='')}/resources/{quote(label, safe='')}"
                yield f"SCANS/{scan}/{label}/", below
        for resource in self._rows(f"{path}/resources"):
            label = str(resource["label"])
            above = "RESOURCES/" if is_session else ""
            yield f"{above}{label}/", f"{path}/resources/{quote(label, safe='')}"

    def _files(self, path: str) -> list[tuple[str, str]]:
        """Return the files of a resource: path below its folder, and path on the server."""
        found = []
        for row in self._rows(f"{path}/files"):
            name = unquote(str(row["URI"]).partition("/files/")[2])
            found.append((safe_path(name), f"{path}/files/{quote(name)}"))
        return sorted(found)

    def _rows(self, path: str) -> list[dict[str, Any]]:
        answer = self._archive.get(path, {"format": "json"})
        try:
            rows = answer.value()["ResultSet"]["Result"] if answer is not None else []
        except (KeyError, TypeError) as problem:
            raise ArchiveError(f"GET {path}: the answer is no list as XNAT's") from problem
        return list(rows)

    def _file(self, path: str, source: str, entry: str, packed: list[Packed]) -> dict[str, Any]:
        self._number += 1
        local = self._folder / str(self._number)
        self._archive.download(source, local)
        with local.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        row: dict[str, Any] = {"path": path, "bytes": local.stat().st_size, "sha256": digest, "source": source}
        row |= _uids(local)
        if path == _RESULT and row["bytes"] <= _MAX_RESULT_BYTES:
            self.result = _json(local)
        if self._by_value:
            row["entry"] = safe_path(f"{entry}/{path}")
            packed.append(Packed(row["entry"], local))
        else:
            local.unlink()
        return row


def _uids(path: Path) -> dict[str, str]:
    try:
        header = pydicom.dcmread(path, specific_tags=["SOPInstanceUID", "SeriesInstanceUID"], stop_before_pixels=True)
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, EOFError, KeyError):
        return {}
    found = {"sop_instance_uid": header.get("SOPInstanceUID"), "series_instance_uid": header.get("SeriesInstanceUID")}
    return {name: str(uid) for name, uid in found.items() if uid}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        return None


def _data(uri: str) -> str:
    return f"/data{uri.removeprefix('/data').removeprefix('/archive')}"


def _mounted(run: Mapping[str, Any], command: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return which object was mounted where, by the wrapper's inputs."""
    wrapper = next((one for one in (command or {}).get("xnat", []) if one.get("id") == run.get("wrapper-id")), None)
    if wrapper is None:
        return []
    values = {row["name"]: str(row["value"]) for row in run.get("inputs") or []}
    found = []
    for given in (*wrapper.get("external-inputs", []), *wrapper.get("derived-inputs", [])):
        mount, value = given.get("provides-files-for-command-mount"), values.get(given["name"], "")
        if mount and value:
            if not value.startswith(("/archive/", "/data/")):
                value = f"/archive/experiments/{quote(value, safe='')}"
            found.append((str(mount), value))
    return found


def _command(archive: FileArchive, run: Mapping[str, Any]) -> dict[str, Any] | None:
    answer = archive.get(f"/xapi/commands/{run.get('command-id')}")
    found = answer.value() if answer is not None else None
    return found if isinstance(found, dict) else None


def _secrets(run: Mapping[str, Any]) -> list[str]:
    named = [str(value) for name, value in (run.get("env") or {}).items() if is_secret(name)]
    return named + [
        str(row["value"]) for row in run.get("inputs") or [] if row.get("sensitive") or is_secret(row["name"])
    ]


def _input(row: Mapping[str, Any]) -> dict[str, Any]:
    hidden = bool(row.get("sensitive")) or is_secret(row["name"])
    return {"type": row["type"], "name": row["name"], "value": SECRET if hidden else row["value"]}


def _patient_words(archive: FileArchive, run: Mapping[str, Any]) -> list[str]:
    """Return the patient's name, birth date and accession number of every session that the run is about."""
    found: set[str] = set()
    for row in run.get("inputs") or []:
        parts = str(row["value"]).removeprefix("/data").removeprefix("/archive").strip("/").split("/")
        if parts[0] == "experiments" and len(parts) > 1:
            answer = archive.get(f"/data/experiments/{parts[1]}", {"format": "json"})
            if answer is not None:
                fields = answer.value()["items"][0]["data_fields"]
                found |= {str(fields[name]) for name in _PATIENT_FIELDS if fields.get(name)}
    return sorted(found)


def _exit_code(run: Mapping[str, Any]) -> int | None:
    codes = [line.get("exitCode") for line in run.get("history") or [] if line.get("exitCode") is not None]
    return int(codes[-1]) if codes else None


def _logs(archive: FileArchive, run: Mapping[str, Any], folder: Path, mask: Mask) -> list[Packed]:
    packed = []
    for entry in LOGS:
        name = Path(entry).stem
        answer = archive.get(f"/xapi/containers/{run['id']}/logs/{name}")
        path = folder / f"log-{name}"
        path.write_text(mask.text(answer.text if answer is not None else ""), "utf-8")
        packed.append(Packed(entry, path))
    return packed


def _server_version(archive: FileArchive) -> str:
    answer = archive.get("/xapi/siteConfig/buildInfo")
    info = answer.value() if answer is not None else {}
    return str(info.get("version", "")) if isinstance(info, dict) else ""


def _address(server: str) -> str:
    """Return a server's address without a login that may stand in it."""
    parts = urlsplit(server)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
