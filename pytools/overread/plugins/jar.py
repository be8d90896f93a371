"""Writes jars that XNAT can look into."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

MANIFEST = "META-INF/MANIFEST.MF"
# The earliest time that a zip can hold: the same content always gives the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)
_DIRECTORY, _FILE = 0o40755 << 16, 0o100644 << 16


def write_jar(
    path: Path, files: Mapping[str, bytes], *, title: str, version: str, marks: Mapping[str, str] | None = None
) -> None:
    """Write a jar, all at once.

    Parameters
    ----------
    path
        Where; replaced if it is there.
    files
        Path in the jar -> content.
    title, version, marks
        For the jar's own manifest; `marks` are further lines of it.

    Notes
    -----
    Every folder has an entry of its own. Without them XNAT's ``classpath*:`` scans find nothing in a jar, and say
    nothing.
    """
    lines = {"Implementation-Title": title, "Implementation-Version": version, **(marks or {})}
    manifest = "".join(_manifest_line(key, value) for key, value in {"Manifest-Version": "1.0", **lines}.items())
    content = {**files, MANIFEST: f"{manifest}\r\n".encode()}
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as jar:
        # The manifest and its folder come first, as java.util.jar.JarInputStream wants it.
        for name in sorted(content.keys() | _folders(content), key=lambda n: (n not in {"META-INF/", MANIFEST}, n)):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3  # Unix, on every machine
            info.external_attr = _DIRECTORY | 0x10 if name.endswith("/") else _FILE
            info.compress_type = zipfile.ZIP_STORED if name.endswith("/") else zipfile.ZIP_DEFLATED
            jar.writestr(info, content.get(name, b""))
    os.replace(part, path)  # noqa: PTH105 - replaces in one step also where the target exists


def _folders(files: Mapping[str, bytes]) -> set[str]:
    return {f"{folder}/" for name in files for folder in PurePosixPath(name).parents if str(folder) != "."}


def _manifest_line(key: str, value: str) -> str:
    """One line, broken as manifests must be: at most 72 bytes, what follows begins with a blank (ASCII only)."""
    text = f"{key}: {value}".encode("ascii", "replace").decode()
    first, rest = text[:70], text[70:]
    return "\r\n ".join([first, *(rest[i : i + 69] for i in range(0, len(rest), 69))]) + "\r\n"
