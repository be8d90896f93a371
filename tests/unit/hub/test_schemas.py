"""Datatypes from XSDs."""

from __future__ import annotations

from pathlib import Path

import pytest

from overread.errors import SpecError
from overread.hub.schemas import FieldType, SchemaRegistry
from overread.hub.schemas.jars import version_key
from overread.hub.schemas.values import coerce
from plugin_jar import PROPERTIES, XSD, make_plugin_jar

HEAD = '<xs:schema targetNamespace="http://x/a" xmlns:a="http://x/a" xmlns:xs="http://www.w3.org/2001/XMLSchema">'
PLUGIN = "id=other\nclass=java.lang.Object\nname=Other\n"


@pytest.fixture
def registry(tmp_path: Path) -> SchemaRegistry:
    make_plugin_jar(tmp_path)
    return SchemaRegistry(tmp_path)


def test_a_plugins_type_inherits_what_xnat_has(registry: SchemaRegistry) -> None:
    kind = registry.type("braintumor:resultData")
    assert kind is not None
    assert kind.bases == ("xnat:imageAssessorData", "xnat:derivedData", "xnat:experimentData")
    assert kind.proper_name == "braintumor:Result"
    assert kind.fields["lesion_volume_ml"].kind == "float"
    assert kind.fields["reason"].max_length == 1000
    assert kind.fields["status"].choices == ("ok", "not-applicable")
    assert kind.fields["investigator/lastname"].path == "investigator/lastname"
    assert registry.is_a("braintumor:resultData", "xnat:experimentData")
    assert not registry.is_a("braintumor:resultData", "xnat:imageSessionData")
    assert not registry.is_a("no:such", "xnat:experimentData")


def test_entries_static_files_and_plugins(registry: SchemaRegistry) -> None:
    assert registry.entries() == ["xdat", "xnat", "icr/roi", "braintumor"]
    assert registry.xsd("braintumor") == XSD.encode()
    assert registry.xsd("../etc/passwd") is None
    page = registry.static("overread/review/index.html")
    assert page == (b"<!doctype html><title>Review</title>", "text/html")
    assert registry.static("../xnat/hand-made-plugin.properties") is None
    assert [plugin.id for plugin in registry.plugins()] == ["handMade"]


def test_all_types_of_a_session_have_complete_chains(registry: SchemaRegistry) -> None:
    for name in registry.names():
        kind = registry.known(name)
        assert all(registry.type(base) is not None for base in kind.bases), name
        assert all(registry.type(child.xsi_type) is not None for child in kind.children.values()), name


def test_made_up_types_are_not_listed(registry: SchemaRegistry) -> None:
    assert registry.type("xnat:experimentData_field") is not None
    assert "xnat:experimentData_field" not in registry.names()


def test_types_that_are_not_secured_are_not_set_up(tmp_path: Path) -> None:
    make_plugin_jar(tmp_path, properties=PROPERTIES.replace("secured=true", "secured=false"))
    registry = SchemaRegistry(tmp_path)
    assert registry.type("braintumor:resultData") is not None
    assert "braintumor:resultData" not in registry.elements()


@pytest.mark.parametrize(
    ("xsd", "said"),
    [
        ("<broken", "not readable as XML"),
        ('<!DOCTYPE x [<!ENTITY e "e">]>' + HEAD + "&e;</xs:schema>", "not readable as XML"),
        (HEAD.replace("xs:", "q:").replace(":xs", ":q") + "</q:schema>", "prefix xs:"),
        (HEAD + '<xs:import schemaLocation="../no/no.xsd"/></xs:schema>', "imports ../no/no.xsd"),
        (
            HEAD + '<xs:complexType name="t"><xs:sequence><xs:element name="e" type="a:gone"/></xs:sequence>'
            "</xs:complexType></xs:schema>",
            "a:gone is defined nowhere",
        ),
        (
            HEAD + '<xs:complexType name="t"><xs:sequence><xs:element name="e" type="a:t"/></xs:sequence>'
            "</xs:complexType></xs:schema>",
            "contains or extends itself",
        ),
        (
            HEAD + '<xs:complexType name="t"><xs:sequence><xs:element name="e" type="xs:duration"/></xs:sequence>'
            "</xs:complexType></xs:schema>",
            "t/e: type xs:duration is not one that XNAT stores",
        ),
    ],
)
def test_faulty_schemas_are_told_with_file_and_place(tmp_path: Path, xsd: str, said: str) -> None:
    make_plugin_jar(tmp_path, properties=PLUGIN, files={"schemas/braintumor/braintumor.xsd": xsd})
    with pytest.raises(SpecError) as problem:
        SchemaRegistry(tmp_path).names()
    assert said in str(problem.value)
    assert "hand-made-1.0.0.jar: schemas/braintumor/braintumor.xsd" in str(problem.value)


@pytest.mark.parametrize("missing", ["id", "name", "class"])
def test_properties_xnat_can_not_do_without(tmp_path: Path, missing: str) -> None:
    make_plugin_jar(tmp_path, properties=PROPERTIES.replace(f"{missing}=", "x="))
    with pytest.raises(SpecError, match=f"lack '{missing}'"):
        SchemaRegistry(tmp_path).names()


def test_two_jars_of_one_plugin_are_told(tmp_path: Path) -> None:
    make_plugin_jar(tmp_path, version="1.0.0")
    make_plugin_jar(tmp_path, version="2.0.0")
    with pytest.raises(SpecError, match="handMade is there twice"):
        SchemaRegistry(tmp_path).names()


def test_versions_sort_by_number() -> None:
    assert sorted(["1.10.0", "1.9.0", "1.9", "2.0.0-rc1"], key=version_key) == ["1.9", "1.9.0", "1.10.0", "2.0.0-rc1"]


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("integer", " 7 ", 7),
        ("float", "1e3", 1000.0),
        ("float", "NaN", "NaN"),
        ("boolean", "TRUE", 1),
        ("boolean", False, 0),
        ("date", "05/01/2026", "2026-05-01"),
        ("date", "20260501", "2026-05-01"),
        ("time", "10:11", "10:11:00"),
        ("time", "10:11:12.5", "10:11:12.500"),
        ("dateTime", "2026-05-01T10:11:12", "2026-05-01 10:11:12"),
        ("string", "NULL", None),
        ("string", "", None),
        ("string", " kept ", " kept "),
    ],
)
def test_values_take_their_fields_kind(kind: str, raw: object, value: object) -> None:
    assert coerce(FieldType("f", kind), raw) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [("integer", "1.5"), ("float", "1,5"), ("float", "1e999"), ("float", "0x10"), ("boolean", "yes"), ("date", "1/13"),
     ("time", "25:00"), ("string", "a\x00b"), ("string", "x" * 256)],
)  # fmt: skip
def test_values_of_another_kind_are_refused(kind: str, raw: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        coerce(FieldType("f", kind), raw)  # type: ignore[arg-type]
