"""Image folders: where there is no engine, a folder with a ``command.json`` is an image.

Its name is the ``image`` of its commands, its digest the content of the folder and of what images import of this
package.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shlex
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from overread.errors import SpecError
from overread.hub.runs.environments import package_digest

log = logging.getLogger(__name__)

COMMANDS = "command.json"

_LEFT_OUT = {"__pycache__", "tests", "train"}
_WORKDIR = re.compile(r"^\s*WORKDIR\s+(/\S*)\s*$", re.MULTILINE | re.IGNORECASE)
_ENTRYPOINT = re.compile(r"^\s*ENTRYPOINT\s+(\[.*\])\s*$", re.MULTILINE | re.IGNORECASE)
_DEFAULT_WORKDIR = "/app"


@dataclass(frozen=True)
class Image:
    """An image folder.

    Parameters
    ----------
    name
        ``repository/name:version``.
    folder
        The folder.
    digest
        ``sha256:`` and 64 hexadecimal digits.
    commands
        Command documents of its ``command.json``.
    """

    name: str
    folder: Path
    digest: str
    commands: tuple[dict[str, Any], ...]

    @property
    def requirements(self) -> str:
        """Text of ``requirements.txt``; "" without one."""
        path = self.folder / "requirements.txt"
        return path.read_text("utf-8") if path.exists() else ""

    @property
    def code_path(self) -> str:
        """Where the folder lies in the image: the Dockerfile's last ``WORKDIR``, else ``/app``."""
        found = _WORKDIR.findall(self._dockerfile())
        return str(found[-1]).rstrip("/") or _DEFAULT_WORKDIR if found else _DEFAULT_WORKDIR

    @property
    def entry_point(self) -> list[str]:
        """The Dockerfile's last ``ENTRYPOINT``, if written as a JSON list; else nothing."""
        found = _ENTRYPOINT.findall(self._dockerfile())
        if not found:
            return []
        try:
            return [str(word) for word in json.loads(found[-1])]
        except ValueError:
            return []

    def shell_line(self, command_line: str, *, override_entrypoint: bool) -> str:
        """Return the line for ``/bin/sh -c``."""
        if override_entrypoint:
            return command_line
        return " ".join([*map(shlex.quote, self.entry_point), command_line])

    def _dockerfile(self) -> str:
        path = self.folder / "Dockerfile"
        return path.read_text("utf-8", "replace") if path.exists() else ""


def read_image(folder: Path, *, digest: str | None = None) -> Image:
    """Return the image in `folder`.

    Raises
    ------
    SpecError
        There is no usable ``command.json``.
    """
    source = folder / COMMANDS
    try:
        content = json.loads(source.read_text("utf-8"))
    except FileNotFoundError as problem:
        raise SpecError("there is no such file; an image folder needs one", source=str(source)) from problem
    except (ValueError, OSError, RecursionError) as problem:
        raise SpecError(f"can't be read as JSON: {problem}", source=str(source)) from problem
    commands = content if isinstance(content, list) else [content]
    if not commands or not all(isinstance(command, dict) and command.get("image") for command in commands):
        raise SpecError('each command needs an "image", such as "overread/example:1.0.0"', source=str(source))
    return Image(str(commands[0]["image"]), folder, digest or folder_digest(folder), tuple(commands))


def folder_digest(folder: Path) -> str:
    """Return ``sha256:`` and the hash of all that can change what the image does.

    Left out are hidden files, ``tests/``, ``train/`` and compiled Python.
    """
    total = hashlib.sha256(package_digest().encode())
    for path in _files(folder):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode() + content)
    return f"sha256:{total.hexdigest()}"


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part in _LEFT_OUT or part.startswith(".") for part in parts):
            yield path


class ImageSource(Protocol):
    """Where a runner looks images up."""

    def find(self, name: str) -> Image | None:
        """Return the image that is called `name` or has this digest, or None."""

    def all(self) -> list[Image]:
        """Return all images, by name."""


@dataclass(frozen=True)
class OneImage:
    """The source of one image."""

    image: Image

    def find(self, name: str) -> Image | None:
        """Return the image if it is called `name` or has this digest."""
        return self.image if name in (self.image.name, self.image.digest) else None

    def all(self) -> list[Image]:
        """Return it."""
        return [self.image]


class ImageCatalog:
    """The images of some folders. Looks at the disk at every question, and hashes what has changed.

    Parameters
    ----------
    folders
        Folders that contain image folders.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._digests: dict[Path, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Image]:
        """Return all images, by name."""
        found: dict[str, Image] = {}
        for folder in self._folders:
            for child in sorted(folder.iterdir()) if folder.is_dir() else ():
                if (child / COMMANDS).is_file():
                    try:
                        image = read_image(child, digest=self._digest(child))
                    except SpecError as problem:
                        log.warning("Image left out: %s", problem)
                        continue
                    found.setdefault(image.name, image)
        return [found[name] for name in sorted(found)]

    def find(self, name: str) -> Image | None:
        """Return the image that is called `name` or has this digest, or None."""
        return next((image for image in self.all() if name in (image.name, image.digest)), None)

    def _digest(self, folder: Path) -> str:
        state = hashlib.sha256()
        for path in _files(folder):
            about = path.stat()
            state.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\0".encode())
        stamp = state.hexdigest()
        with self._lock:
            known = self._digests.get(folder)
            if known is None or known[0] != stamp:
                known = self._digests[folder] = (stamp, folder_digest(folder))
            return known[1]
