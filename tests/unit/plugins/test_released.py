"""What was released of a datatype stays: XNAT's database only takes additions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from overread.errors import SpecError
from overread.plugins.datatype import load_datatype
from overread.plugins.released import check_additive
from overread.plugins.render import java_names, render

SCHEMAS = Path(__file__).parents[3] / "schemas"


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """The brain tumour's datatype, released as it is."""
    shutil.copytree(SCHEMAS, tmp_path / "schemas")
    path = tmp_path / "schemas" / "brain-tumor.yaml"
    datatype = load_datatype(path)
    released = path.parent / "released" / "braintumor.xsd"
    released.parent.mkdir(exist_ok=True)
    names = java_names("overreadBrainTumor", datatype)
    released.write_text(render("datatype.xsd.j2", datatype=datatype, spec=datatype.spec, names=names), "utf-8")
    return path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_nothing_changed_and_a_field_more_are_fine(schema: Path) -> None:
    check_additive(load_datatype(schema))
    with schema.open("a", encoding="utf-8") as file:
        file.write("  - {name: surface_mm2, type: float, unit: mm2, title: Surface}\n")
    check_additive(load_datatype(schema))


def test_a_further_value_is_fine(schema: Path) -> None:
    change(schema.parent / "common" / "result.yaml", "values: [ai, edited]", "values: [ai, edited, expert]")
    check_additive(load_datatype(schema))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("brain-tumor.yaml", "name: lesion_count", "name: lesion_number", "'lesion_count' was released and is gone"),
        ("brain-tumor.yaml", "type: integer", "type: float", "'lesion_count' was released as integer and is float now"),
        ("common/result.yaml", "max_length: 1000", "max_length: 2000", "'reason' was released with 1000 characters"),
        ("common/result.yaml", "values: [ai, edited]", "values: [ai]", "with the value 'edited', which is gone"),
        ("common/result.yaml", "name: device, type: string", "name: device, type: string, values: [cpu]", "any text"),
    ],
)
def test_what_xnat_could_not_follow_is_refused(schema: Path, file: str, old: str, new: str, message: str) -> None:
    change(schema.parent / file, old, new)
    with pytest.raises(SpecError, match=message) as caught:
        check_additive(load_datatype(schema))
    assert "put it back and add a field" in str(caught.value)


@pytest.mark.parametrize(
    "damage", [lambda _: "<xs:schema", lambda text: text.replace("?>", "?><!DOCTYPE a [<!ENTITY b 'c'>]>")]
)
def test_a_damaged_released_schema_is_told(schema: Path, damage: Callable[[str], str]) -> None:
    released = schema.parent / "released" / "braintumor.xsd"
    released.write_text(damage(released.read_text("utf-8")), "utf-8")
    with pytest.raises(SpecError, match=r"braintumor\.xsd: is no XML"):
        check_additive(load_datatype(schema))
