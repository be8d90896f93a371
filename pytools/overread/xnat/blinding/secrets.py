"""The salt and the key of allocation, as files of the coordinator and (the key alone) as a resource of its project."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from overread.errors import DataError, NotFound, OverreadError
from overread.study.blinding import MIN_SALT_BYTES
from overread.xnat.connection import Archive, Request

SALT, KEY = "salt", "key.json"
KEY_RESOURCE: Final = "KEY"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A line of the key.

    Parameters
    ----------
    code
        What the reader sees.
    exam
        Label of the session in the study's project.
    source
        Who made the segmentation that is judged; None where none is.
    reader, role, project
        Login, what he does, and the project in which he does it.
    arm, period
        Of a crossover.
    """

    code: str
    exam: str
    source: str | None
    reader: str
    role: str
    project: str
    arm: str | None = None
    period: int = 1


def key_project(project: str) -> str:
    """Return the project that holds the key of a study's project: owners only."""
    return f"{project}_KEY"


def make_salt(folder: Path) -> bytes:
    """Make the salt of a study, once.

    Raises
    ------
    OverreadError
        There is one: another would give every case a new code.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    salt = secrets.token_bytes(MIN_SALT_BYTES)
    try:
        _write_new(folder / SALT, salt.hex().encode() + b"\n")
    except FileExistsError:
        raise OverreadError(f"{folder / SALT} is there already; with another salt every case had a new code") from None
    return salt


def read_salt(folder: Path) -> bytes:
    """Return the salt.

    Raises
    ------
    OverreadError
        It is not there, no salt, or others than its owner may read it.
    """
    path = folder / SALT
    try:
        salt = bytes.fromhex(_read_private(path).strip())
    except ValueError:
        raise OverreadError(f"{path} is no salt; it has at least {2 * MIN_SALT_BYTES} hexadecimal digits") from None
    if len(salt) < MIN_SALT_BYTES:
        raise OverreadError(f"{path} has {len(salt)} bytes; a salt has {MIN_SALT_BYTES} or more, make it anew")
    return salt


def write_key(folder: Path, study: str, readings: Sequence[Reading]) -> None:
    """Write the key, as a whole: it is there as it was, or as it is now, never half."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = folder / f"{KEY}.{os.getpid()}.new"
    beside.unlink(missing_ok=True)
    _write_new(beside, key_text(study, readings).encode())
    beside.replace(folder / KEY)


def read_key(folder: Path, study: str) -> tuple[Reading, ...]:
    """Return the key of a study.

    Raises
    ------
    OverreadError
        It is not there, of another study, or others than its owner may read it.
    """
    return parse_key(_read_private(folder / KEY), study=study, source=str(folder / KEY))


def key_text(study: str, readings: Sequence[Reading]) -> str:
    """Return the key as JSON."""
    return json.dumps({"version": _VERSION, "study": study, "readings": [asdict(one) for one in readings]}, indent=1)


def parse_key(text: str, *, study: str | None, source: str) -> tuple[Reading, ...]:
    """Read a key.

    Raises
    ------
    DataError
        It is none, or of another study than `study`.
    """
    try:
        document = json.loads(text)
        readings = tuple(Reading(**row) for row in document["readings"])
        version, found = document["version"], document["study"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise DataError(f"{source} is no key of a blinded study; restore it from the project of the key") from None
    if version != _VERSION:
        raise DataError(f"{source} is a key of version {version}, this program reads {_VERSION}; update the program")
    if study is not None and found != study:
        raise DataError(f"{source} is the key of study {found}, not of {study}; take that study's folder")
    if len({reading.code for reading in readings}) < len(readings):
        raise DataError(f"{source} has a code twice; restore it from the project of the key")
    return readings


def publish_key(archive: Archive, project: str, study: str, readings: Sequence[Reading]) -> None:
    """Store the key in the project that holds it, which is made, private, if it is not there."""
    holder = key_project(project)
    if archive.get(f"/data/projects/{quote(holder)}", {"format": "json"}) is None:
        archive.send(Request("PUT", f"/data/projects/{quote(holder)}", {"name": f"Key of {project}"}))
        archive.send(Request("PUT", f"/data/projects/{quote(holder)}/accessibility/private"))
    path = f"/data/projects/{quote(holder)}/resources/{KEY_RESOURCE}/files/{KEY}"
    query = {"inbody": "true", "overwrite": "true", "format": "JSON", "content": "KEY"}
    archive.send(Request("PUT", path, query, content=key_text(study, readings).encode()))


def fetch_key(archive: Archive, project: str) -> tuple[Reading, ...]:
    """Return the key that the server holds.

    Raises
    ------
    NotFound
        There is none, or the user is no owner of its project.
    """
    holder = key_project(project)
    answer = archive.get(f"/data/projects/{quote(holder)}/resources/{KEY_RESOURCE}/files/{KEY}")
    if answer is None:
        raise NotFound(f"project {holder} holds no key that you may read; it is for owners of that project")
    return parse_key(answer.text, study=None, source=f"{holder}: {KEY}")


def _read_private(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise OverreadError(f"{path} is not there; give the folder of the study's secrets with --secrets") from None
    except OSError as error:
        raise OverreadError(f"{path} can't be read ({error.strerror}); it must be a file of yours, no link") from None
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise OverreadError(f"{path} can be read by others; make it yours alone: chmod 600 {path}")
        return file.read()


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def listed(value: Any) -> list[dict[str, Any]]:
    """Return the rows of one of XNAT's tables."""
    rows = value.get("ResultSet", {}).get("Result", []) if isinstance(value, dict) else []
    return [row for row in rows if isinstance(row, dict)]
