"""The file of a case: a zip archive with ``case.json``, the run's log, and the files of its inputs and outputs.

A bundle may come from anybody. It is read without trust: names stay within it, every file must be named in
``case.json`` with its size and SHA-256, and what unpacks to more than it says, or to far more than it weighs, is
refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from overread.errors import DataError

FORMAT, VERSION = "overread-case", 1
DOCUMENT = "case.json"
LOGS = ("log/stdout.log", "log/stderr.log")

MAX_FILES = 200_000
MAX_DOCUMENT_BYTES = 64 * 1024**2
MAX_BYTES = 50 * 1024**3
MAX_RATIO = 100
_SMALL_BYTES = 16 * 1024**2  # so much may be packed as tightly as it likes; larger files are not packed by us
_LONGEST_NAME = 1024

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Packed:
    """A file to put into a bundle: its name there, and where it lies."""

    name: str
    path: Path


def write_bundle(target: Path, document: Mapping[str, Any], files: Iterable[Packed]) -> None:
    """Write a bundle; it has its name once it is whole.

    Parameters
    ----------
    target
        The file; one that is there is replaced.
    document
        What becomes ``case.json``.
    files
        The other files, all of which `document` names.
    """
    partial = target.with_name(f".{target.name}.part")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(DOCUMENT, json.dumps(document, indent=1, ensure_ascii=False))
            for file in files:
                packed = zipfile.ZIP_DEFLATED if file.path.stat().st_size <= _SMALL_BYTES else zipfile.ZIP_STORED
                archive.write(file.path, file.name, compress_type=packed)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True)
class Stored:
    """A file that ``case.json`` names: where it belongs, and the entry that holds it (None: by reference)."""

    path: str
    size: int
    sha256: str
    entry: str | None
    source: str


class Bundle:
    """An open bundle whose ``case.json`` has been looked at."""

    def __init__(self, archive: zipfile.ZipFile, document: dict[str, Any]) -> None:
        self._archive, self.document = archive, document
        self.inputs = {str(one["mount"]): tuple(_stored(one)) for one in _objects(document, "inputs")}
        self.outputs = {str(one["handler"]): tuple(_stored(one)) for one in _objects(document, "outputs")}

    def log(self, name: str) -> str:
        """Return a log; "" if the bundle has none."""
        try:
            with self._archive.open(name) as stream:
                return stream.read(MAX_DOCUMENT_BYTES).decode("utf-8", "replace")
        except KeyError:
            return ""

    def unpack(self, files: Iterable[Stored], folder: Path) -> list[Stored]:
        """Write files below `folder`, each checked against its size and hash; return those that are by reference.

        Raises
        ------
        DataError
            A file is missing, or is not what ``case.json`` says.
        """
        absent = []
        for file in files:
            if file.entry is None:
                absent.append(file)
                continue
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._archive.open(file.entry) as source, target.open("wb") as sink:
                _copy(source, sink, file)
        return absent


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle.

    Raises
    ------
    DataError
        It is no bundle, is damaged, or holds what no bundle of ours does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked_entries(archive)
            bundle = Bundle(archive, _document(archive, entries))
            _check_against(entries, bundle)
            yield bundle
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as problem:
        raise DataError(f"{path} can't be read as a bundle: {problem}") from problem
    except OSError as problem:
        raise DataError(f"{path} can't be read: {problem.strerror}") from problem
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from None


def check_file(path: Path, file: Stored) -> None:
    """Refuse a file that is not the one a bundle names."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256 or path.stat().st_size != file.size:
        raise DataError(f"{file.path} is not the file that the run had: its SHA-256 is {digest}, not {file.sha256}")


def safe_path(name: str) -> str:
    """Return a relative path with forward slashes that stays where it is put.

    Raises
    ------
    DataError
        It is none.
    """
    parts = PurePosixPath(name).parts
    odd = "\\" in name or ".." in parts or any(ord(character) < ord(" ") for character in name)
    drive = bool(parts) and ":" in parts[0]
    if odd or drive or name.startswith("/") or not 0 < len(name) <= _LONGEST_NAME or "/".join(parts) != name:
        raise DataError(f"the name {name[:80]!r} leaves the folder, or is no plain path")
    return name


def _checked_entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found = archive.infolist()
    if len(found) > MAX_FILES:
        raise DataError(f"it holds {len(found)} files; at most {MAX_FILES} are read")
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in found:
        safe_path(entry.filename)
        if entry.filename.lower() in entries:
            raise DataError(f"it holds {entry.filename!r} twice")
        if stat.S_ISLNK(entry.external_attr >> 16) or entry.is_dir() or entry.flag_bits & 1:
            raise DataError(f"{entry.filename!r} is a link, a folder or encrypted; a bundle holds plain files")
        if entry.file_size > max(_SMALL_BYTES, MAX_RATIO * entry.compress_size):
            raise DataError(f"{entry.filename!r} would unpack to {entry.file_size} bytes from {entry.compress_size}")
        entries[entry.filename.lower()] = entry
    total = sum(entry.file_size for entry in found)
    if total > MAX_BYTES:
        raise DataError(f"it would unpack to {total} bytes; at most {MAX_BYTES} are read")
    return entries


def _document(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> dict[str, Any]:
    entry = entries.get(DOCUMENT)
    if entry is None:
        raise DataError(f"it has no {DOCUMENT}: it is no bundle of `overread case export`")
    if entry.file_size > MAX_DOCUMENT_BYTES:
        raise DataError(f"its {DOCUMENT} has {entry.file_size} bytes; at most {MAX_DOCUMENT_BYTES} are read")
    try:
        with archive.open(entry) as stream:
            document = json.loads(stream.read(MAX_DOCUMENT_BYTES + 1))
    except (ValueError, RecursionError) as problem:
        raise DataError(f"its {DOCUMENT} can't be read as JSON") from problem
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError(f'its {DOCUMENT} does not say "format": "{FORMAT}"')
    if document.get("format-version") != VERSION:
        raise DataError(f"its format is {document.get('format-version')!r}; this overread reads {VERSION}")
    return document


def _check_against(entries: Mapping[str, zipfile.ZipInfo], bundle: Bundle) -> None:
    """See to it that each file of the archive is named, with its size, and the other way round."""
    named = {DOCUMENT, *LOGS}
    for group in (*bundle.inputs.values(), *bundle.outputs.values()):
        for file in group:
            if file.entry is not None:
                entry = entries.get(file.entry.lower())
                if entry is None or entry.file_size != file.size:
                    raise DataError(f"{file.entry!r} is not there, or has another size than {DOCUMENT} says")
                named.add(file.entry.lower())
    unknown = sorted(set(entries) - named)
    if unknown:
        raise DataError(f"it holds {unknown[0]!r}, which {DOCUMENT} does not name")


def _objects(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = document.get(key)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{key} in its {DOCUMENT} is no list of objects")
    name = "mount" if key == "inputs" else "handler"
    names = [one.get(name) for one in found]
    if not all(isinstance(one, str) for one in names) or len(set(names)) < len(names):
        raise DataError(f"{key} in its {DOCUMENT} lack a {name} of their own")
    return found


def _stored(group: Mapping[str, Any]) -> Iterator[Stored]:
    files = group.get("files")
    if not isinstance(files, list) or not all(isinstance(one, dict) for one in files):
        raise DataError(f"files in its {DOCUMENT} is no list of objects")
    seen = set()
    for one in files:
        path, size, digest = one.get("path"), one.get("bytes"), one.get("sha256")
        entry, source = one.get("entry"), one.get("source", "")
        if not isinstance(path, str) or type(size) is not int or size < 0 or not isinstance(source, str):
            raise DataError(f"a file in its {DOCUMENT} has no path, size or source")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest) or not isinstance(entry, str | None):
            raise DataError(f"{path[:80]!r} in its {DOCUMENT} has no SHA-256")
        if path.lower() in seen:
            raise DataError(f"{path[:80]!r} stands twice in its {DOCUMENT}")
        seen.add(path.lower())
        yield Stored(safe_path(path), size, digest, safe_path(entry) if entry is not None else None, source)


def _copy(source: IO[bytes], sink: IO[bytes], file: Stored) -> None:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > file.size:
            raise DataError(f"{file.path} unpacks to more than its {file.size} bytes")
        digest.update(chunk)
        sink.write(chunk)
    if size != file.size or digest.hexdigest() != file.sha256:
        raise DataError(f"{file.path} is not what {DOCUMENT} says: its SHA-256 is {digest.hexdigest()}")
