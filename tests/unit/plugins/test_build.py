from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import pytest

from helpers.study_folder import write_study
from overread.errors import SpecError
from overread.plugins.build import Built, build_plugin, plugin_folders
from overread.study.yamltext import parse_yaml

ROOT = Path(__file__).parents[3]
STAND_IN = Path(__file__).parent / "standin"
XS = "{http://www.w3.org/2001/XMLSchema}"


@pytest.fixture
def built(tmp_path: Path) -> Built:
    return build_plugin(ROOT / "xnat-plugins" / "brain-tumor", tmp_path)


def content(built: Built, name: str) -> str:
    with zipfile.ZipFile(built.path) as jar:
        return jar.read(name).decode()


def names(built: Built) -> list[str]:
    with zipfile.ZipFile(built.path) as jar:
        return jar.namelist()


def document(built: Built, name: str) -> Element:
    root = defusedxml.ElementTree.fromstring(content(built, name))
    assert isinstance(root, Element)
    return root


def test_every_folder_has_an_entry_before_its_files(built: Built) -> None:
    listed = names(built)
    assert listed[:2] == ["META-INF/", "META-INF/MANIFEST.MF"]
    for index, name in enumerate(listed):
        parent = name.rstrip("/").rpartition("/")[0]
        assert not parent or f"{parent}/" in listed[:index]


def test_jar_holds_the_documents_where_xnat_looks(built: Built) -> None:
    assert [name for name in names(built) if not name.endswith("/")] == [
        "META-INF/MANIFEST.MF",
        "META-INF/resources/templates/screens/braintumor_resultData/actionsBox/overreadBrainTumorReview.vm",
        "META-INF/resources/templates/screens/braintumor_resultData/braintumor_resultData_keyFields.vm",
        "META-INF/resources/templates/screens/xnat_imageSessionData/actionsBox/overreadBrainTumorReview.vm",
        "META-INF/xnat/overreadBrainTumor-plugin.properties",
        "META-INF/xnat/spawner/overreadBrainTumor/site-settings.yaml",
        "org/nrg/xdat/bean/overread-braintumor-bean-definition.properties",
        "schemas/braintumor/braintumor.xsd",
        "schemas/braintumor/display/braintumor_resultData_display.xml",
    ]
    assert built.path.name == "overread-brain-tumor-1.0.0.jar"


def test_same_content_gives_the_same_bytes(built: Built, tmp_path: Path) -> None:
    again = build_plugin(ROOT / "xnat-plugins" / "brain-tumor", tmp_path / "again")
    assert again.path.read_bytes() == built.path.read_bytes()
    with zipfile.ZipFile(built.path) as jar:
        assert {info.date_time for info in jar.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_properties_say_secured_which_xnat_takes_for_false_when_it_is_missing(built: Built) -> None:
    lines = content(built, "META-INF/xnat/overreadBrainTumor-plugin.properties").splitlines()
    properties = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert properties == {
        "id": "overreadBrainTumor",
        "class": "java.lang.Object",
        "name": "Overread brain-tumor",
        "beanName": "overreadBrainTumor",
        "version": "1.0.0",
        "description": "Low-grade glioma: segmentation and progression",
        "dataModel.braintumor.resultData.secured": "true",
        "dataModel.braintumor.resultData.singular": "Brain tumour result",
        "dataModel.braintumor.resultData.plural": "Brain tumour results",
        "dataModel.braintumor.resultData.code": "BT",
    }


def test_bean_definition_escapes_colons(built: Built) -> None:
    text = content(built, "org/nrg/xdat/bean/overread-braintumor-bean-definition.properties")
    bean = "org.nrg.xdat.bean.BraintumorResultdataBean"
    assert f"http\\://overread/xnat/braintumor\\:resultData={bean}" in text.splitlines()
    assert f"http\\://overread/xnat/braintumor\\:Result={bean}" in text.splitlines()


def test_schema_is_written_so_that_xnat_and_xnatpy_find_their_way(built: Built) -> None:
    text = content(built, "schemas/braintumor/braintumor.xsd")
    assert '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"' in text
    assert 'xmlns:braintumor="http://overread/xnat/braintumor"' in text
    assert '<xs:import namespace="http://nrg.wustl.edu/xnat" schemaLocation="../xnat/xnat.xsd"/>' in text
    root = document(built, "schemas/braintumor/braintumor.xsd")
    lengths = {
        element.get("name"): element.find(f"{XS}simpleType/{XS}restriction/{XS}maxLength")
        for element in root.iter(f"{XS}element")
    }
    assert {name: item.get("value") for name, item in lengths.items() if item is not None}["warnings"] == "4000"


def test_display_document_refers_only_to_what_it_has(built: Built) -> None:
    root = document(built, "schemas/braintumor/display/braintumor_resultData_display.xml")
    fields = [item.get("id") for item in root.findall("DisplayField")]
    assert len(fields) == len(set(fields))
    assert {ref.get("id") for ref in root.iter("DisplayFieldRef")} <= set(fields)
    assert {value.get("field") for value in root.iter("InsertValue")} <= set(fields)
    assert [version.get("versionName") for version in root.findall("DisplayVersion")] == [
        "listing", "listing_csv", "full", "detailed", "project_bundle",
    ]  # fmt: skip
    elements = {item.get("name") for item in document(built, "schemas/braintumor/braintumor.xsd").iter(f"{XS}element")}
    own = {str(e.get("schema-element")).partition("/")[2] for e in root.iter("DisplayFieldElement")} - {""}
    assert own == elements - {"Result"}


@pytest.fixture
def schema(built: Built, tmp_path: Path) -> Path:
    """The schema beside a stand-in for XNAT's."""
    shutil.copytree(STAND_IN, tmp_path / "schemas")
    with zipfile.ZipFile(built.path) as jar:
        jar.extract("schemas/braintumor/braintumor.xsd", tmp_path)
    return tmp_path / "schemas" / "braintumor" / "braintumor.xsd"


RESULT = """<?xml version="1.0" encoding="UTF-8"?>
<braintumor:Result xmlns:braintumor="http://overread/xnat/braintumor" xmlns:xnat="http://nrg.wustl.edu/xnat"
    project="BTS" label="BT-1">
  <xnat:date>2024-05-01</xnat:date>
  <xnat:imageSession_ID>XNAT_E00001</xnat:imageSession_ID>
  <braintumor:status>{status}</braintumor:status>
  <braintumor:origin>ai</braintumor:origin>
  <braintumor:lesion_volume_ml>{volume}</braintumor:lesion_volume_ml>
  <braintumor:lesion_count>2</braintumor:lesion_count>
</braintumor:Result>
"""


def judge(schema: Path, document: str) -> subprocess.CompletedProcess[str]:
    path = schema.parent / "result.xml"
    path.write_text(document, "utf-8")
    return subprocess.run(
        ["xmllint", "--nonet", "--noout", "--schema", str(schema), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.needs("xmllint")
def test_another_program_takes_the_schema_and_a_result(schema: Path) -> None:
    assert judge(schema, RESULT.format(status="ok", volume="12.5")).returncode == 0


@pytest.mark.needs("xmllint")
@pytest.mark.parametrize(
    ("status", "volume", "complaint"),
    [
        ("fine", "12.5", "}status': [facet 'enumeration'] The value 'fine' is not an element of the set"),
        ("ok", "much", "}lesion_volume_ml': 'much' is not a valid value of the atomic type 'xs:float'"),
    ],
)
def test_another_program_refuses_a_wrong_result(schema: Path, status: str, volume: str, complaint: str) -> None:
    assert complaint in judge(schema, RESULT.format(status=status, volume=volume)).stderr


def test_text_of_a_study_is_escaped_in_every_document(tmp_path: Path) -> None:
    manifest = write_study(tmp_path / "knee")
    manifest.write_text(manifest.read_text("utf-8").replace("title: Knee effusion", 'title: "<b>&\\n=Knee"'), "utf-8")
    built = build_plugin(manifest.parent, tmp_path / "out")
    assert "description=b Knee" in content(built, "META-INF/xnat/overreadKnee-plugin.properties").splitlines()
    assert document(built, "schemas/knee/knee.xsd").tag == f"{XS}schema"


def write_static(folder: Path, *, files: dict[str, str]) -> Path:
    folder.mkdir()
    (folder / "plugin.yaml").write_text(
        "id: overreadCore\nname: Core\nversion: 0.1.0\ndescription: App.\nresources: {web/dist: overread}\n", "utf-8"
    )
    for name, text in files.items():
        path = folder / "web" / "dist" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def test_static_files_go_where_the_server_shows_them(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "core", files={"open/index.html": "<p>", "assets/a.js": "1", ".DS_Store": "x"})
    (folder / "web" / "dist" / "link").symlink_to("/etc/hostname")
    built = build_plugin(folder, tmp_path / "out")
    listed = [name for name in names(built) if name.startswith("META-INF/resources/") and not name.endswith("/")]
    assert listed == ["META-INF/resources/overread/assets/a.js", "META-INF/resources/overread/open/index.html"]
    assert built.path.name == "overread-core-0.1.0.jar"


def test_the_settings_are_what_xnats_spawner_reads(built: Built) -> None:
    """By its spawner.js, tabs.js and spawn.js: the root's name, tabs in groups that are there, a tag as it is cut."""
    text = content(built, "META-INF/xnat/spawner/overreadBrainTumor/site-settings.yaml")
    elements: Any = parse_yaml(text, source="site-settings.yaml").value
    assert list(elements) == ["siteSettings"]
    root = elements["siteSettings"]
    assert (root["kind"], root["contains"]) == ("tabs", "tabs")
    (tab,) = root["tabs"].values()
    assert tab["kind"] == "tab"
    assert tab["group"] in root["meta"]["tabGroups"]
    (panel,) = tab["contents"].values()
    assert panel["kind"] == "panel"
    (frame,) = panel["contents"].values()
    tag, *attributes = frame["tag"].split("|")
    found = dict(attribute.split("=")[:2] for attribute in attributes)  # a second "=" and what follows is lost
    assert (tag, found["src"]) == ("iframe", '"~/overread/settings/index.html?brain-tumor"')
    reserved = {"kind", "tag", "html", "before", "after", "template", "page", "type"}
    assert not reserved & {*root["tabs"], *tab["contents"], *panel["contents"]}


def test_missing_static_files_say_how_to_make_them(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "core", files={})
    with pytest.raises(
        SpecError, match=r"plugin\.yaml: resources\.web/dist: .*is missing or empty; build it first: npm"
    ):
        build_plugin(folder, tmp_path / "out")


def test_plugin_that_is_described_wrongly_is_told(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "core", files={"a.js": "1"})
    text = (folder / "plugin.yaml").read_text("utf-8")
    (folder / "plugin.yaml").write_text(text.replace("resources", "resource"), "utf-8")
    with pytest.raises(SpecError, match=r"plugin\.yaml:1: resources: is missing; add 'resources' \(and 1 more"):
        build_plugin(folder, tmp_path / "out")


def test_folder_without_a_plugin_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"has neither study\.yaml nor plugin\.yaml"):
        build_plugin(tmp_path, tmp_path / "out")
    with pytest.raises(SpecError, match="has no plugins"):
        plugin_folders(tmp_path)


def test_failed_build_leaves_an_older_jar_alone(tmp_path: Path) -> None:
    folder = write_static(tmp_path / "core", files={"a.js": "1"})
    built = build_plugin(folder, tmp_path / "out")
    shutil.rmtree(folder / "web")
    with pytest.raises(SpecError):
        build_plugin(folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["overread-core", built.path.name]
