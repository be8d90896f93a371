"""All datatypes of one hub: our reduced XNAT schemas and those of the plugins in its home."""

from __future__ import annotations

import logging
import mimetypes
import re
import threading
from collections.abc import Mapping
from pathlib import Path

from overread.errors import SpecError
from overread.hub.schemas.jars import DataModel, PluginJar, read_jar
from overread.hub.schemas.model import DataType
from overread.hub.schemas.parse import Schema, parse_xsd
from overread.hub.schemas.resolve import resolve

log = logging.getLogger(__name__)

_BUILT_IN = Path(__file__).parent / "xsd"
_ENTRIES = {"xdat": "xdat.xsd", "xnat": "xnat.xsd", "icr/roi": "icr/roi.xsd"}


class SchemaRegistry:
    """Datatypes, XSDs, plugins and their static files.

    Everything is read at first use, and again after `reload`.

    Parameters
    ----------
    folder
        Where the plugin jars lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._loaded: _Loaded | None = None
        self._static_cache: dict[str, bytes] = {}

    def type(self, xsi_type: str) -> DataType | None:
        """Return the datatype `xsi_type`, or None."""
        return self._now.types.get(xsi_type)

    def known(self, xsi_type: str) -> DataType:
        """Return a datatype that is certain to exist: built in, or named by another type."""
        return self._now.types[xsi_type]

    def by_proper_name(self, name: str) -> DataType | None:
        """Return the datatype whose root element is `name` (``xnat:MRSession``), or None."""
        return self._now.proper.get(name)

    def spelled(self, xsi_type: str) -> str | None:
        """Return the name of a datatype as its schema spells it, whatever the letter case given, or None."""
        return self._now.spelling.get(xsi_type.lower())

    def is_a(self, xsi_type: str, base: str) -> bool:
        """Whether `xsi_type` is `base` or extends it."""
        kind = self.type(xsi_type)
        return kind is not None and (xsi_type == base or base in kind.bases)

    def extending(self, base: str) -> list[str]:
        """Return `base` and the names of all datatypes that extend it."""
        return self._now.extending.get(base, [base])

    def names(self) -> list[str]:
        """Return the names of all datatypes."""
        return [name for name, kind in self._now.types.items() if not kind.made_up]

    def elements(self) -> dict[str, DataModel]:
        """Return the datatypes that users store items of, with their names for people."""
        return self._now.elements

    def prefix(self, namespace: str) -> str | None:
        """Return the prefix of a namespace URI, or None."""
        return self._now.prefixes.get(namespace)

    def entries(self) -> list[str]:
        """Return the names under which XSDs are served."""
        return list(self._now.xsds)

    def xsd(self, entry: str) -> bytes | None:
        """Return an XSD by its entry (``xnat``, ``icr/roi``), or None."""
        return self._now.xsds.get(entry)

    def plugins(self) -> list[PluginJar]:
        """Return the plugins, by id."""
        return self._now.plugins

    def static(self, path: str) -> tuple[bytes, str] | None:
        """Return content and media type of a static file of a plugin (``overread/review/index.html``), or None."""
        found = self._now.static.get(path)
        if found is None:
            return None
        plugin, member = found
        content = self._static_cache.get(path)
        if content is None:
            content = self._static_cache[path] = plugin.read(member)
        media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
        return content, media_type

    def reload(self) -> None:
        """Read the folder again at the next use: jars in it have changed."""
        with self._lock:
            self._loaded = None
            self._static_cache.clear()

    @property
    def _now(self) -> _Loaded:
        loaded = self._loaded
        if loaded is None:
            with self._lock:
                loaded = self._loaded = self._loaded or _Loaded(self._folder)
        return loaded


class _Loaded:
    """What one reading of the folder gave."""

    def __init__(self, folder: Path) -> None:
        self.plugins = _read_plugins(folder)
        self.xsds: dict[str, bytes] = {name: (_BUILT_IN / file).read_bytes() for name, file in _ENTRIES.items()}
        schemas = [parse_xsd(text, source=f"built-in schema {name}") for name, text in self.xsds.items()]
        files = {Path(file).name for file in _ENTRIES.values()}
        for plugin in self.plugins:
            schemas += self._take_schemas(plugin, files)
        self.types = resolve(schemas)
        self.proper = {kind.proper_name: kind for kind in self.types.values() if kind.proper_name}
        self.spelling = {name.lower(): name for name in self.types}
        self.prefixes = {schema.namespace: schema.prefix for schema in schemas}
        self.static = {path: (plugin, member) for plugin in self.plugins for path, member in plugin.static.items()}
        self.extending = _extending(self.types)
        self.elements = _elements(self.types, self.plugins)

    def _take_schemas(self, plugin: PluginJar, files: set[str]) -> list[Schema]:
        taken = []
        for entry, member in plugin.schemas.items():
            name = member.rpartition("/")[2]
            if name in files:
                log.warning("%s: %s is left out, a schema file of that name is there already", plugin.jar.name, member)
                continue
            files.add(name)
            text = plugin.read(member)
            schema = parse_xsd(text, source=f"{plugin.jar.name}: {member}")
            for location in schema.imports:
                if location.rpartition("/")[2] not in files:
                    raise SpecError(f"imports {location}, which is nowhere; XNAT would not start", source=schema.source)
            self.xsds[entry] = text
            taken.append(schema)
        return taken


def _read_plugins(folder: Path) -> list[PluginJar]:
    by_id: dict[str, PluginJar] = {}
    for jar in sorted(folder.glob("*.jar")):
        plugin = read_jar(jar)
        if plugin is None:
            continue
        if plugin.id in by_id:
            raise SpecError(
                f"plugin {plugin.id} is there twice, also as {by_id[plugin.id].jar.name}: remove one", source=jar.name
            )
        by_id[plugin.id] = plugin
    return [by_id[name] for name in sorted(by_id)]


def _extending(types: Mapping[str, DataType]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [name] for name in types}
    for name, kind in types.items():
        for base in kind.bases:
            found[base].append(name)
    return found


def _elements(types: Mapping[str, DataType], plugins: list[PluginJar]) -> dict[str, DataModel]:
    """Return built-in types with a root element, and plugins' types that are declared as secured."""
    own = {"xnat", "icr"}
    found = {
        name: DataModel(name, secured=True, singular=_words(kind), plural=_words(kind) + "s")
        for name, kind in types.items()
        if kind.prefix in own and kind.proper_name and not kind.abstract
    }
    for plugin in plugins:
        for model in plugin.data_models:
            if model.xsi_type not in types:
                raise SpecError(f"declares datatype {model.xsi_type}, which no schema has", source=plugin.jar.name)
            if model.secured:
                found[model.xsi_type] = model
    return found


def _words(kind: DataType) -> str:
    """Return a datatype's name as people write it: CTSession is a CT Session."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", kind.proper_name.partition(":")[2])
