"""From a folder of `xnat-plugins/` to a source tree and a jar."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from overread.errors import SpecError
from overread.plugins.compile import compile_java, has_javac, sha256_of, unpack_war
from overread.plugins.jar import write_jar
from overread.plugins.released import check_additive
from overread.plugins.tree import PLUGIN_FILE, STUDY_FILE, PluginTree, read_tree
from overread.study.manifest import StudyManifest


@dataclass(frozen=True)
class Built:
    """A plugin that was built.

    Parameters
    ----------
    plugin_id, version
        As XNAT lists it.
    path
        The jar.
    sources
        Folder of the source tree.
    files
        How many files are in the jar.
    compiled_against
        The WAR, with its digest; empty: no class is in the jar.
    is_release
        XNAT can work with the jar. One without the classes that it needs is good for the embedded hub alone.
    checked
        How the Java was checked, in words.
    """

    plugin_id: str
    version: str
    path: Path
    sources: Path
    files: int
    compiled_against: str
    is_release: bool
    checked: str


def build_plugin(
    folder: Path, out: Path, *, war: Path | None = None, classpath: Sequence[Path] = (), stubs: Path | None = None
) -> Built:
    """Build the plugin of a folder.

    Parameters
    ----------
    folder
        Has a `study.yaml` (a study's datatype and pages) or a `plugin.yaml` (static files).
    out
        Folder for the source tree and the jar; made if it is not there.
    war
        XNAT's web application, to compile against. Without it the jar has no classes and says that it is no release.
    classpath
        Further jars to compile against, such as the servlet API's.
    stubs
        Folder with signatures of XNAT's types: without a WAR, the Java is checked against them if there is a javac.

    Raises
    ------
    SpecError
        The folder describes no plugin, or wrongly; its static files have not been built; its datatype takes back what
        an earlier version gave; its Java does not fit the WAR.
    """
    tree = read_tree(folder)
    if tree.datatype:
        check_additive(tree.datatype)
    classes, compiled_against, checked = _classes(tree, war, classpath, stubs)
    is_release = bool(classes) or not tree.java
    files = {**tree.resources, **(tree.with_classes if classes else {}), **classes}
    out.mkdir(parents=True, exist_ok=True)
    sources = out / tree.stem
    _write_tree(sources, tree.sources)
    path = out / f"{tree.stem}-{tree.info.version}.jar"
    marks = {"Overread-Release": "yes" if is_release else "no"}
    if compiled_against:
        marks["Overread-Compiled-Against"] = compiled_against
    write_jar(path, files, title=tree.info.name, version=tree.info.version, marks=marks)
    return Built(tree.info.id, tree.info.version, path, sources, len(files), compiled_against, is_release, checked)


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


def jar_name(manifest: StudyManifest) -> str:
    """File name of a study's jar."""
    return f"overread-{manifest.id}-{manifest.version}.jar"


def _classes(
    tree: PluginTree, war: Path | None, classpath: Sequence[Path], stubs: Path | None
) -> tuple[dict[str, bytes], str, str]:
    """Compile what there is; also against what, and how it was checked."""
    if not tree.java:
        return {}, "", "no Java"
    if war is not None:
        with tempfile.TemporaryDirectory(prefix="overread-war-") as scratch:
            classes = compile_java(tree.java, [*unpack_war(war, Path(scratch)), *classpath])
        return classes, f"{war.name} sha256:{sha256_of(war)}", f"compiled against {war.name}"
    if stubs is None:
        return {}, "", "Java not checked: no WAR and no stubs"
    if not has_javac():
        return {}, "", "Java not checked: no javac"
    compile_java(tree.java, classpath, stubs=stubs)
    return {}, "", "Java checked against stubs"


def _write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put a whole tree in the place of an older one, so that nothing of that is left over."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for name, content in files.items():
        path = part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if folder.exists() and not (folder / "settings.gradle").is_file():
        shutil.rmtree(part)
        raise SpecError("is there and no plugin's source tree; choose another --output", source=str(folder))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
