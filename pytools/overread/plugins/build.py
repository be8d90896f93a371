"""From a folder of `xnat-plugins/` to a jar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ValidationError

from overread.errors import SpecError
from overread.plugins.datatype import DataType, load_datatype
from overread.plugins.jar import write_jar
from overread.plugins.render import (
    PluginInfo,
    render_bean_definition,
    render_display,
    render_properties,
    render_xsd,
)
from overread.study.fields import Form, RelativePath, Spec, Version
from overread.study.manifest import StudyManifest, load_manifest
from overread.study.problems import problems_of
from overread.study.yamltext import parse_yaml

STUDY_FILE, PLUGIN_FILE = "study.yaml", "plugin.yaml"
_RESOURCES = "META-INF/resources"
_PlainLine = Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9 .,:;()/+-]*", "use plain letters, digits and blanks")]


class PluginSpec(Spec):
    """`plugin.yaml`: a plugin that is no study."""

    id: Annotated[str, Form(r"overread[A-Z][A-Za-z0-9]*", "write overread and a word, such as overreadCore")]
    name: _PlainLine
    version: Version
    description: _PlainLine
    resources: dict[RelativePath, Annotated[str, Form(r"[a-z][a-z0-9/-]*", "write a path such as overread")]]


@dataclass(frozen=True)
class Built:
    """A jar that was built.

    Parameters
    ----------
    plugin_id, version
        As XNAT lists it.
    path
        The jar.
    files
        How many files are in it.
    """

    plugin_id: str
    version: str
    path: Path
    files: int


def build_plugin(folder: Path, out: Path) -> Built:
    """Build the plugin of a folder.

    Parameters
    ----------
    folder
        Has a `study.yaml` (a study's datatype) or a `plugin.yaml` (static files).
    out
        Folder for the jar; made if it is not there.

    Raises
    ------
    SpecError
        The folder describes no plugin, or wrongly, or its static files have not been built.
    """
    if (folder / STUDY_FILE).is_file():
        stem, info, files = _study_plugin(folder / STUDY_FILE)
    elif (folder / PLUGIN_FILE).is_file():
        stem, info, files = _static_plugin(folder / PLUGIN_FILE)
    else:
        raise SpecError(
            f"has neither {STUDY_FILE} nor {PLUGIN_FILE}; name a folder of xnat-plugins/", source=str(folder)
        )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{stem}-{info.version}.jar"
    write_jar(path, files, title=info.name, version=info.version)
    return Built(info.id, info.version, path, len(files))


def plugin_folders(root: Path) -> tuple[Path, ...]:
    """All folders below a folder that describe a plugin, by name.

    Raises
    ------
    SpecError
        There is none.
    """
    folders = (
        sorted(f for f in root.iterdir() if (f / STUDY_FILE).is_file() or (f / PLUGIN_FILE).is_file())
        if root.is_dir()
        else []
    )
    if not folders:
        raise SpecError("has no plugins; start the command where xnat-plugins/ lies", source=str(root))
    return tuple(folders)


def study_plugin_info(manifest: StudyManifest) -> PluginInfo:
    """Name the plugin of a study: `brain-tumor` becomes `overreadBrainTumor`."""
    words = "".join(word.capitalize() for word in manifest.id.split("-"))
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " .,:;()/+-") else " " for c in manifest.title)
    return PluginInfo(f"overread{words}", f"Overread {manifest.id}", manifest.version, " ".join(plain.split()))


def jar_name(manifest: StudyManifest) -> str:
    """File name of a study's jar."""
    return f"overread-{manifest.id}-{manifest.version}.jar"


def datatype_files(datatype: DataType) -> Mapping[str, bytes]:
    """Documents of a datatype by their path in a jar."""
    prefix = datatype.spec.prefix
    texts = {
        f"schemas/{prefix}/{prefix}.xsd": render_xsd(datatype),
        f"schemas/{prefix}/display/{datatype.sql_name}_display.xml": render_display(datatype),
        f"org/nrg/xdat/bean/overread-{prefix}-bean-definition.properties": render_bean_definition(datatype),
    }
    return {name: text.encode() for name, text in texts.items()}


def _study_plugin(path: Path) -> tuple[str, PluginInfo, Mapping[str, bytes]]:
    manifest = load_manifest(_read(path), source=str(path))
    datatype = load_datatype(path.parent / manifest.result)
    info = study_plugin_info(manifest)
    properties = render_properties(info, datatype).encode()
    return (
        f"overread-{manifest.id}",
        info,
        {**datatype_files(datatype), f"META-INF/xnat/{info.id}-plugin.properties": properties},
    )


def _static_plugin(path: Path) -> tuple[str, PluginInfo, Mapping[str, bytes]]:
    document = parse_yaml(_read(path), source=str(path))
    try:
        spec = PluginSpec.model_validate(document.value)
    except ValidationError as error:
        first, *others = problems_of(error, model=PluginSpec, source=str(path), lines=document.lines)
        raise first.error(others=len(others)) from None
    files: dict[str, bytes] = {}
    for folder, target in spec.resources.items():
        for name, content in _static_files(path.parent / folder, source=str(path), key=folder):
            files[f"{_RESOURCES}/{target}/{name}"] = content
    info = PluginInfo(spec.id, spec.name, spec.version, spec.description)
    files[f"META-INF/xnat/{info.id}-plugin.properties"] = render_properties(info, None).encode()
    return f"overread-{path.parent.resolve().name}", info, files


def _static_files(folder: Path, *, source: str, key: str) -> Iterator[tuple[str, bytes]]:
    found = sorted(path for path in folder.rglob("*") if _is_static(path, folder)) if folder.is_dir() else []
    if not found:
        raise SpecError(
            f"{folder} is missing or empty; build it first: npm ci && npm run build in {folder.parent}",
            source=source,
            path=f"resources.{key}",
        )
    for path in found:
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _is_static(path: Path, folder: Path) -> bool:
    """Leave out links, which may lead anywhere, and hidden files."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not path.is_symlink() and not hidden


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise SpecError("is not UTF-8 text; save it as UTF-8", source=str(path)) from None
