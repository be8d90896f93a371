"""The Java of a study's plugin: compiled against a WAR, and held to what is known of XNAT's classes."""

from __future__ import annotations

import csv
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from helpers.study_folder import write_study
from overread.errors import SpecError
from overread.plugins.build import build_plugin
from overread.plugins.compile import compile_java
from overread.plugins.tree import read_tree

ROOT = Path(__file__).parents[3]
STUBS = ROOT / "tests" / "plugin_stubs"
STUDY = ROOT / "xnat-plugins" / "brain-tumor"
CLASSES = [
    "org/nrg/xdat/om/BraintumorResultdata.class",
    "org/nrg/xdat/turbine/modules/screens/XDATScreen_report_braintumor_resultData.class",
    "org/overread/xnat/braintumor/OverreadBrainTumorPlugin.class",
]
REPORT = "META-INF/resources/templates/screens/XDATScreen_report_braintumor_resultData.vm"

pytestmark = pytest.mark.needs("javac")


@pytest.fixture(scope="module")
def war(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAR as XNAT's is laid out: web classes in a folder, libraries as jars. Its classes are the stubs'."""
    folder = tmp_path_factory.mktemp("war")
    out = folder / "classes"
    sources = [str(path) for path in sorted(STUBS.rglob("*.java"))]
    subprocess.run(["javac", "--release", "8", "-nowarn", "-d", str(out), *sources], check=True, capture_output=True)
    library = folder / "xdat-core-1.9.3.jar"
    with zipfile.ZipFile(library, "w") as jar:
        for path in sorted((out / "org" / "nrg" / "xdat").rglob("*.class")):
            jar.write(path, path.relative_to(out).as_posix())
    path = folder / "xnat-web-1.9.3.war"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(library, f"WEB-INF/lib/{library.name}")
        for item in sorted(out.rglob("*.class")):
            if "xdat" not in item.parts:
                archive.write(item, f"WEB-INF/classes/{item.relative_to(out).as_posix()}")
        archive.writestr("../../outside.class", "no")
        archive.writestr("index.jsp", "<html>")
    return path


def members(jar: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(jar) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def manifest(jar: Path) -> str:
    return members(jar)["META-INF/MANIFEST.MF"].decode().replace("\r\n ", "")


def test_with_a_war_the_jar_has_its_classes_and_says_against_what(war: Path, tmp_path: Path) -> None:
    built = build_plugin(STUDY, tmp_path, war=war)
    content = members(built.path)
    assert [name for name in content if name.endswith(".class")] == CLASSES
    assert {content[name][:8] for name in CLASSES} == {bytes.fromhex("cafebabe00000034")}  # version 52: Java 8
    assert REPORT in content
    properties = content["META-INF/xnat/overreadBrainTumor-plugin.properties"].decode().splitlines()
    assert "class=org.overread.xnat.braintumor.OverreadBrainTumorPlugin" in properties
    assert built.is_release
    assert re.search(
        r"Overread-Release: yes\r\nOverread-Compiled-Against: xnat-web-1\.9\.3\.war sha256:[0-9a-f]{64}\r\n",
        manifest(built.path),
    )
    assert all(len(line) <= 72 for line in content["META-INF/MANIFEST.MF"].split(b"\r\n"))
    assert not list(tmp_path.rglob("outside.class"))


def test_another_program_reads_the_jar(war: Path, tmp_path: Path) -> None:
    built = build_plugin(STUDY, tmp_path, war=war)
    names = subprocess.run(
        ["javap", "-cp", str(built.path), "org.nrg.xdat.om.BraintumorResultdata"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "class org.nrg.xdat.om.BraintumorResultdata extends org.nrg.xdat.om.XnatImageassessordata" in names


def test_without_a_war_the_jar_asks_xnat_for_no_class_and_says_that_it_is_no_release(tmp_path: Path) -> None:
    built = build_plugin(STUDY, tmp_path, stubs=STUBS)
    content = members(built.path)
    assert not [name for name in content if name.endswith(".class")]
    assert REPORT not in content  # XNAT would show it to anybody, for want of its class
    assert b"class=java.lang.Object" in content["META-INF/xnat/overreadBrainTumor-plugin.properties"]
    assert "Overread-Release: no\r\n" in manifest(built.path)
    assert (built.is_release, built.checked) == (False, "Java checked against stubs")


def test_a_plugin_without_java_is_a_release_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "core"
    (folder / "web").mkdir(parents=True)
    (folder / "web" / "a.js").write_text("1", "utf-8")
    (folder / "plugin.yaml").write_text(
        "id: overreadCore\nname: Core\nversion: 0.1.0\ndescription: App.\nresources: {web: overread}\n", "utf-8"
    )
    assert "Overread-Release: yes\r\n" in manifest(build_plugin(folder, tmp_path / "out").path)


def core_java() -> dict[str, str]:
    folder = ROOT / "xnat-plugins" / "core" / "java"
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.java")}


def test_every_reference_to_a_class_of_xnat_is_one_with_evidence(tmp_path: Path) -> None:
    classes = compile_java(read_tree(STUDY).java, (), stubs=STUBS)
    assert sorted(classes) == CLASSES
    classes |= compile_java(core_java(), (), stubs=STUBS)
    own = {name.removesuffix(".class") for name in classes}
    for name, content in classes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    text = subprocess.run(
        ["javap", "-v", "-p", *(str(tmp_path / name) for name in classes)], capture_output=True, text=True, check=True
    ).stdout
    found = {
        (match[1], match[2].strip('"'), match[3])
        for match in re.finditer(r"= (?:Interface)?(?:Method|Field)ref\s+\S+\s+// ([^.\s]+)\.([^:\s]+):(\S+)", text)
        if match[1] not in own and not match[1].startswith(("java/", "javax/crypto/"))
    }
    with (STUBS / "references.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert found == {(row["type"], row["member"], row["descriptor"]) for row in rows}
    assert all(row["evidence"] for row in rows)


def test_java_that_does_not_fit_the_war_is_told_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.war"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("WEB-INF/lib/empty.jar", (b"PK\5\6" + bytes(18)))
    with pytest.raises(SpecError, match=r"the plugin's Java does not compile: .*BraintumorResultdata\.java:\d+: error"):
        build_plugin(STUDY, tmp_path / "out", war=path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no zip", b"PK\5\6" + bytes(18)])
def test_what_is_no_war_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "xnat.war"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=r"xnat\.war: (is no zip that can be read|has no WEB-INF/lib)"):
        build_plugin(STUDY, tmp_path / "out", war=path)


def test_tree_is_what_gradle_expects_and_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    first = build_plugin(STUDY, tmp_path)
    (first.sources / "src/main/java/Old.java").write_text("class Old {}", "utf-8")
    built = build_plugin(STUDY, tmp_path)
    assert (built.sources / "settings.gradle").read_text("utf-8").endswith("= 'overread-brain-tumor'\n")
    assert not list(built.sources.rglob("Old.java"))
    java = {path.relative_to(built.sources / "src/main/java").as_posix() for path in built.sources.rglob("*.java")}
    assert java == {name.replace(".class", ".java") for name in CLASSES}


def test_a_folder_that_is_no_source_tree_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "overread-brain-tumor" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine", "utf-8")
    with pytest.raises(SpecError, match="no plugin's source tree; choose another --output"):
        build_plugin(STUDY, tmp_path)
    assert mine.read_text("utf-8") == "mine"


def test_any_study_compiles(war: Path, tmp_path: Path) -> None:
    built = build_plugin(write_study(tmp_path / "knee").parent, tmp_path / "out", war=war)
    assert "org/nrg/xdat/om/KneeResultdata.class" in members(built.path)
