from __future__ import annotations

from pathlib import Path

import pytest

from helpers.study_folder import DATATYPE_YAML
from overread.errors import SpecError
from overread.plugins.datatype import DataType, load_datatype, read_datatype

ROOT = Path(__file__).parents[3]


def complaints(folder: Path, text: str) -> list[str]:
    path = folder / "knee.yaml"
    path.write_text(text, "utf-8")
    result = read_datatype(path)
    return [] if isinstance(result, DataType) else [f"{p.path}: {p.message}; {p.mend}" for p in result]


def with_field(line: str) -> str:
    return DATATYPE_YAML + f"  - {line}\n"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{name: effusion_ml, type: float, title: Again}", "fields[3]: 'effusion_ml' stands twice"),
        ("{name: user, type: string, title: User}", "fields[3]: 'user' is a word of SQL"),
        ("{name: date, type: date, title: Date}", "fields[3]: xnat:imageAssessorData has 'date' already"),
        ("{name: Volume, type: float, title: V}", "fields[3].name: 'Volume' can't be used here"),
        (
            "{name: volume, type: double, title: V}",
            "fields[3].type: 'double' is not possible; one of 'string', 'float'",
        ),
        ("{name: volume, type: float, title: V, values: [a]}", "fields[3]: a float has neither max_length nor values"),
        ("{name: side, type: string, title: S, unit: mL}", "fields[3]: a string has no unit; drop the unit"),
        (
            "{name: side, type: string, title: S, max_length: 2, values: [left]}",
            "fields[3]: the value 'left' is longer",
        ),
        ("{name: side, type: string, title: It's a side}", "fields[3].title: \"It's a side\" can't be used here"),
    ],
)
def test_field_that_xnat_would_trip_over_is_refused(tmp_path: Path, line: str, complaint: str) -> None:
    assert [c[: len(complaint)] for c in complaints(tmp_path, with_field(line))] == [complaint]


def test_prefix_of_another_plugin_is_refused(tmp_path: Path) -> None:
    assert complaints(tmp_path, DATATYPE_YAML.replace("prefix: knee", "prefix: icr")) == [
        "prefix: 'icr' belongs to XNAT or one of its plugins; choose another word"
    ]


def test_included_fields_come_first(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text("fields: [{name: reader, type: string, title: Reader}]", "utf-8")
    (tmp_path / "knee.yaml").write_text(DATATYPE_YAML.replace("fields:", "include: [common.yaml]\nfields:"), "utf-8")
    datatype = load_datatype(tmp_path / "knee.yaml")
    assert [item.name for item in datatype.fields] == ["reader", "status", "effusion_ml", "remarks"]
    assert datatype.numbers == ("effusion_ml",)


def test_missing_include_is_told_with_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "knee.yaml").write_text(DATATYPE_YAML.replace("fields:", "include: [gone.yaml]\nfields:"), "utf-8")
    with pytest.raises(SpecError, match=r"knee\.yaml:9: include\[0\]: there is no file gone\.yaml; check the path"):
        load_datatype(tmp_path / "knee.yaml")


def test_shipped_datatype_has_the_fields_of_the_contract() -> None:
    datatype = load_datatype(ROOT / "schemas" / "brain-tumor.yaml")
    assert (datatype.xsi_type, datatype.namespace) == ("braintumor:resultData", "http://overread/xnat/braintumor")
    names = """
        status reason origin model_name model_version weights_sha256 device image image_digest command
        study_instance_uid series_instance_uids input_fingerprint seg_sop_instance_uid seg_series_instance_uid
        sr_sop_instance_uid reader original_label collection warnings timings lesions comparison
        lesion_volume_ml lesion_count longest_axial_diameter_mm
    """
    assert [item.name for item in datatype.fields] == names.split()
