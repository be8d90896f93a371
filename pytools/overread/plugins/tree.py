"""A plugin as a source tree in Gradle's layout, and what of it goes into the jar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from overread.errors import SpecError
from overread.plugins.datatype import DataType, load_datatype
from overread.plugins.render import PluginInfo, java_names, render
from overread.study.fields import Form, RelativePath, Spec, Version
from overread.study.manifest import StudyManifest, load_manifest
from overread.study.problems import problems_of
from overread.study.yamltext import parse_yaml

STUDY_FILE, PLUGIN_FILE = "study.yaml", "plugin.yaml"
_RESOURCES = "META-INF/resources"
_SCREENS = f"{_RESOURCES}/templates/screens"
_PlainLine = Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9 .,:;()/+-]*", "use plain letters, digits and blanks")]


class PluginSpec(Spec):
    """`plugin.yaml`: a plugin that is no study."""

    id: Annotated[str, Form(r"overread[A-Z][A-Za-z0-9]*", "write overread and a word, such as overreadCore")]
    name: _PlainLine
    version: Version
    description: _PlainLine
    resources: dict[RelativePath, Annotated[str, Form(r"[a-z][a-z0-9/-]*", "write a path such as overread")]]
    java: RelativePath | None = Field(None, description="Folder with Java sources, by package.")
    java_class: Annotated[str, Form(r"[a-z][a-z0-9.]*\.[A-Z][A-Za-z0-9]*", "write package.Class")] = "java.lang.Object"

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.java is None) == ("java_class" in self.model_fields_set):
            raise PydanticCustomError("java", "has java or java_class alone", {"mend": "give both, or neither"})
        return self


@dataclass(frozen=True)
class PluginTree:
    """Everything that a plugin is made of.

    Parameters
    ----------
    stem
        Name of its folder, and of its jar up to the version.
    info
        What XNAT is told of it.
    resources
        Path in the jar -> content, of what is no Java and needs none.
    java
        Path below ``src/main/java`` -> source. Empty: the plugin is resources alone.
    with_classes
        Further resources, good only together with the compiled classes: XNAT would load a class by name that is not
        there, or show a page without asking who looks.
    datatype
        Of a study's plugin.
    """

    stem: str
    info: PluginInfo
    resources: Mapping[str, bytes]
    java: Mapping[str, str] = field(default_factory=dict)
    with_classes: Mapping[str, bytes] = field(default_factory=dict)
    datatype: DataType | None = None

    @property
    def sources(self) -> Mapping[str, bytes]:
        """Path below the tree's folder -> content, in Gradle's layout."""
        resources = {**self.resources, **self.with_classes}
        return {
            "build.gradle": render("build.gradle.j2", info=self.info).encode(),
            "settings.gradle": render("settings.gradle.j2", stem=self.stem).encode(),
            **{f"src/main/resources/{name}": content for name, content in resources.items()},
            **{f"src/main/java/{name}": text.encode() for name, text in self.java.items()},
        }


def read_tree(folder: Path) -> PluginTree:
    """Make the plugin of a folder.

    Parameters
    ----------
    folder
        Has a `study.yaml` (a study's datatype and pages) or a `plugin.yaml` (static files).

    Raises
    ------
    SpecError
        The folder describes no plugin, or wrongly, or its static files have not been built.
    """
    if (folder / STUDY_FILE).is_file():
        return _study_tree(folder / STUDY_FILE)
    if (folder / PLUGIN_FILE).is_file():
        return _static_tree(folder / PLUGIN_FILE)
    raise SpecError(f"has neither {STUDY_FILE} nor {PLUGIN_FILE}; name a folder of xnat-plugins/", source=str(folder))


def study_plugin_info(manifest: StudyManifest) -> PluginInfo:
    """Name the plugin of a study: `brain-tumor` becomes `overreadBrainTumor`."""
    words = "".join(word.capitalize() for word in manifest.id.split("-"))
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " .,:;()/+-") else " " for c in manifest.title)
    return PluginInfo(f"overread{words}", f"Overread {manifest.id}", manifest.version, " ".join(plain.split()))


def _study_tree(path: Path) -> PluginTree:
    manifest = load_manifest(_read(path), source=str(path))
    datatype = load_datatype(path.parent / manifest.result)
    info = study_plugin_info(manifest)
    names = java_names(info.id, datatype)
    prefix, sql_name = datatype.spec.prefix, datatype.sql_name
    properties = f"META-INF/xnat/{info.id}-plugin.properties"

    def make(template: str, java_class: str = "java.lang.Object") -> bytes:
        values = {"plugin": info, "datatype": datatype, "spec": datatype.spec, "names": names, "study": manifest.id}
        return render(template, **values, java_class=java_class).encode()

    resources = {
        properties: make("plugin.properties.j2"),
        f"schemas/{prefix}/{prefix}.xsd": make("datatype.xsd.j2"),
        f"schemas/{prefix}/display/{sql_name}_display.xml": make("display.xml.j2"),
        f"org/nrg/xdat/bean/overread-{prefix}-bean-definition.properties": make("bean-definition.properties.j2"),
        f"META-INF/xnat/spawner/{info.id}/site-settings.yaml": make("site-settings.yaml.j2"),
        f"{_SCREENS}/xnat_imageSessionData/actionsBox/{info.id}Review.vm": make("session-action.vm.j2"),
        f"{_SCREENS}/{sql_name}/actionsBox/{info.id}Review.vm": make("assessor-action.vm.j2"),
        f"{_SCREENS}/{sql_name}/{sql_name}_keyFields.vm": make("key-fields.vm.j2"),
    }
    with_classes = {
        properties: make("plugin.properties.j2", f"{names.package}.{names.plugin}"),
        f"{_SCREENS}/{names.screen}.vm": make("report.vm.j2"),
    }
    java = {
        f"org/nrg/xdat/om/{names.om}.java": make("om.java.j2").decode(),
        f"org/nrg/xdat/turbine/modules/screens/{names.screen}.java": make("screen.java.j2").decode(),
        f"{names.package.replace('.', '/')}/{names.plugin}.java": make("plugin.java.j2").decode(),
    }
    return PluginTree(f"overread-{manifest.id}", info, resources, java, with_classes, datatype)


def _static_tree(path: Path) -> PluginTree:
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
    java = _java_sources(path.parent / spec.java, source=str(path)) if spec.java else {}
    properties = f"META-INF/xnat/{info.id}-plugin.properties"

    def name_class(java_class: str) -> dict[str, bytes]:
        return {properties: render("plugin.properties.j2", plugin=info, datatype=None, java_class=java_class).encode()}

    # Without its classes it names one that is there anyway.
    files |= name_class("java.lang.Object")
    return PluginTree(
        f"overread-{path.parent.resolve().name}", info, files, java, name_class(spec.java_class) if java else {}
    )


def _java_sources(folder: Path, *, source: str) -> dict[str, str]:
    found = {path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*.java"))}
    if not found:
        raise SpecError(f"{folder} has no Java sources; mend the path", source=source, path="java")
    return found


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
