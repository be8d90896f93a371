"""Compiles a plugin's classes against those of an XNAT, with the JDK's javac and nothing else."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from overread.errors import SpecError

_RELEASE = "8"  # XNAT 1.9 runs on Java 8; 1.10 takes its classes too
_LIBRARIES, _CLASSES = "WEB-INF/lib/", "WEB-INF/classes/"
_MOST_BYTES = 4 << 30  # unpacked; XNAT's WAR has less than a tenth of it
_TIMEOUT_S = 300


def has_javac() -> bool:
    """Say whether a JDK is installed."""
    return shutil.which("javac") is not None


def compile_java(
    sources: Mapping[str, str], classpath: Sequence[Path], *, stubs: Path | None = None
) -> dict[str, bytes]:
    """Compile for Java 8.

    Parameters
    ----------
    sources
        Path below the source folder -> text.
    classpath
        Folders of classes, and jars.
    stubs
        Folder with sources of the types that the class path lacks; what is compiled of them is left out.

    Returns
    -------
    dict
        Path below the class folder -> class file, of the sources alone.

    Raises
    ------
    SpecError
        No JDK is installed, or the sources don't fit the classes.
    """
    if not has_javac():
        raise SpecError("no javac is installed; install a JDK, on Debian: apt-get install default-jdk-headless")
    with tempfile.TemporaryDirectory(prefix="overread-javac-") as scratch:
        written, out = Path(scratch) / "java", Path(scratch) / "classes"
        out.mkdir()
        for name, text in sources.items():
            path = written / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        where = [str(item.resolve()) for item in classpath]
        source_path = [str(written), *([str(stubs.resolve())] if stubs else [])]
        command = [
            "javac", "--release", _RELEASE, "-proc:none", "-encoding", "UTF-8", "-Xlint:-options", "-d", str(out),
            "-classpath", ":".join(where) or str(out), "-sourcepath", ":".join(source_path),
            *(str(written / name) for name in sources),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            lines = done.stderr.replace(f"{written}/", "").splitlines()
            fault = next((line for line in lines if "error:" in line), lines[0] if lines else "javac failed")
            raise SpecError(
                f"the plugin's Java does not compile: {fault.strip()}; is this the WAR of an XNAT 1.9 or 1.10?"
            )
        packages = {str(PurePosixPath(name).with_suffix("")) for name in sources}
        return {
            name: path.read_bytes()
            for path in sorted(out.rglob("*.class"))
            if (name := path.relative_to(out).as_posix()).removesuffix(".class").partition("$")[0] in packages
        }


def unpack_war(war: Path, folder: Path) -> list[Path]:
    """Unpack the classes of a WAR.

    Parameters
    ----------
    war
        XNAT's web application.
    folder
        Where to; only ``WEB-INF/lib/*.jar`` and ``WEB-INF/classes`` are written.

    Returns
    -------
    list of Path
        The class path.

    Raises
    ------
    SpecError
        It is no WAR of XNAT.
    """
    try:
        with zipfile.ZipFile(war) as archive:
            members = [item for item in archive.infolist() if _is_wanted(item.filename)]
            if sum(item.file_size for item in members) > _MOST_BYTES:
                raise SpecError("unpacks to more than 4 GiB; that is no XNAT", source=str(war))
            for item in members:
                archive.extract(item, folder)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        raise SpecError("is no zip that can be read; download xnat-web-<version>.war again", source=str(war)) from None
    jars = sorted((folder / _LIBRARIES).glob("*.jar"))
    if not jars:
        raise SpecError("has no WEB-INF/lib; name XNAT's own WAR, xnat-web-<version>.war", source=str(war))
    return [folder / _CLASSES, *jars]


def sha256_of(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or name.endswith("/"):
        return False
    return name.startswith(_CLASSES) or (name.startswith(_LIBRARIES) and len(parts) == 3 and name.endswith(".jar"))  # noqa: PLR2004 - WEB-INF, lib, file
