"""Plugin jars, as XNAT finds them: properties, XSDs, static files. Their Java is left alone."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from overread.errors import SpecError

_PROPERTIES = re.compile(r"META-INF/xnat/(?:.+/)?[^/]+-plugin\.properties")
_XSD = re.compile(r"schemas/([^/]+)/([^/]+)\.xsd")
_STATIC = "META-INF/resources/"
_NEVER_SERVED = tuple(f"{_STATIC}{folder}/" for folder in ("templates", "resources", "logs"))  # as in XNAT


@dataclass(frozen=True)
class DataModel:
    """What a plugin's properties say of one of its datatypes. Unless ``secured`` is said, XNAT does not register it."""

    xsi_type: str
    secured: bool = False
    singular: str = ""
    plural: str = ""
    code: str = ""


@dataclass(frozen=True)
class PluginJar:
    """One plugin.

    Parameters
    ----------
    jar
        The file.
    properties
        Its ``*-plugin.properties``.
    schemas
        Entry as XNAT names it (``braintumor``, or ``folder/file`` where they differ) to member of the jar.
    static
        Path below the site's root to member of the jar.
    """

    jar: Path
    properties: Mapping[str, str]
    schemas: Mapping[str, str]
    static: Mapping[str, str]

    @property
    def id(self) -> str:
        """The plugin's id."""
        return self.properties["id"]

    @property
    def version(self) -> str:
        """The plugin's version."""
        return self.properties.get("version", "unknown")

    @property
    def data_models(self) -> list[DataModel]:
        """The datatypes that the plugin declares."""
        found: dict[str, dict[str, str]] = {}
        for key, value in self.properties.items():
            parts = key.split(".")
            if len(parts) == 4 and parts[0] == "dataModel":  # noqa: PLR2004 - dataModel.<prefix>.<type>.<what>
                found.setdefault(f"{parts[1]}:{parts[2]}", {})[parts[3]] = value
        return [
            DataModel(
                name,
                secured=keys.get("secured", "") == "true",
                singular=keys.get("singular", ""),
                plural=keys.get("plural", ""),
                code=keys.get("code", ""),
            )
            for name, keys in found.items()
        ]

    def read(self, member: str) -> bytes:
        """Return the content of a member."""
        with zipfile.ZipFile(self.jar) as archive:
            return archive.read(member)


def read_jar(jar: Path) -> PluginJar | None:
    """Read the plugin in `jar`; None if it holds no plugin (XNAT puts such jars on the class path as they are).

    Raises
    ------
    SpecError
        It is damaged, or its properties lack what XNAT needs.
    """
    try:
        with zipfile.ZipFile(jar) as archive:
            members = [name for name in archive.namelist() if not name.endswith("/")]
            found = next((name for name in members if _PROPERTIES.fullmatch(name)), None)
            if found is None:
                return None
            properties = parse_properties(archive.read(found).decode("utf-8"))
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError) as problem:
        raise SpecError(f"not readable as a plugin jar: {problem}", source=jar.name) from problem
    for key in ("id", "name", "class"):
        if not properties.get(key):
            raise SpecError(f"the plugin's properties lack {key!r}; XNAT would not start", source=jar.name, path=found)
    schemas = {_entry(match[1], match[2]): name for name in members if (match := _XSD.fullmatch(name))}
    static = {name.removeprefix(_STATIC): name for name in members if _is_served(name)}
    return PluginJar(jar, properties, schemas, static)


def parse_properties(text: str) -> dict[str, str]:
    """Read ``key=value`` lines, as XNAT's annotation processor writes them (no escapes, no continuation lines)."""
    pairs = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not key.lstrip().startswith(("#", "!")):
            pairs[key.strip()] = value.strip()
    return pairs


def version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key by which versions sort: numbers by value, words after numbers."""
    parts = re.findall(r"\d+|[a-zA-Z]+", version)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)


def _is_served(member: str) -> bool:
    return member.startswith(_STATIC) and not member.startswith(_NEVER_SERVED)


def _entry(folder: str, stem: str) -> str:
    return folder if folder == stem else str(PurePosixPath(folder) / stem)
