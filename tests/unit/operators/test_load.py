from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian

from helpers.exam_files import write_series, write_session
from helpers.segments import seg_of
from overread.dicom.codes import MILLILITRE, VOLUME
from overread.dicom.seg import ObjectInfo
from overread.dicom.sr import SegmentMeasurement, measurement_report
from overread.errors import DataError
from overread.operators.load import load_folder
from overread.operators.select import select_inputs
from overread.operators.volume import read_volume
from overread.study.manifest import SeriesRule
from overread.synthetic.phantoms import make_case, make_mr_series

SHAPE = (5, 6, 7)
RULES = {"flair": SeriesRule.model_validate({"where": [{"tag": "SeriesDescription", "matches": "FLAIR"}]})}


def test_series_are_found_whatever_the_folders(tmp_path):
    write_series(tmp_path / "a", make_mr_series(SHAPE)[:3])
    write_series(tmp_path / "b" / "c", make_mr_series(SHAPE)[3:])
    write_series(tmp_path, make_mr_series((3, 6, 7), series_number=2, series_description="T1"))
    folder = load_folder(tmp_path, keywords=["EchoTime"])
    assert sorted((s.summary.instances, s.summary.header["SeriesDescription"]) for s in folder.series) == [
        (3, "T1"), (5, "FLAIR"),
    ]  # fmt: skip
    assert float(folder.series[0].summary.header["EchoTime"]) == 10.0
    assert folder.series[0].study_date == "20240115"
    assert folder.warning == ""


def test_of_a_session_only_the_scans_are_read(tmp_path):
    case = make_case(SHAPE)
    session = write_session(tmp_path, case.datasets)
    write_series(session / "ASSESSORS" / "BT-1" / "SEG", [seg_of(case)])
    (session / "ASSESSORS" / "BT-1" / "result.json").write_text("{}")
    folder = load_folder(session)
    assert [s.summary.header["Modality"] for s in folder.series] == ["MR"]
    assert folder.skipped == {}


def test_a_segmentation_beside_the_images_is_never_chosen(tmp_path):
    case = make_case(SHAPE, series_description="FLAIR")
    seg = seg_of(case)
    seg.SeriesDescription = "FLAIR"
    write_series(tmp_path, [*case.datasets, seg])
    selection = select_inputs(load_folder(tmp_path), RULES)
    assert selection.inputs["flair"][0].summary.series_instance_uid == case.datasets[0].SeriesInstanceUID
    assert selection.missing == ""


def test_copies_count_once(tmp_path):
    write_series(tmp_path / "a", make_mr_series(SHAPE))
    write_series(tmp_path / "b", make_mr_series(SHAPE))
    folder = load_folder(tmp_path)
    assert folder.series[0].summary.instances == 5
    assert folder.warning == "5 files were left out: 5 another copy of the same image"


def test_what_is_no_file_is_not_opened(tmp_path):
    write_series(tmp_path, make_mr_series(SHAPE))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    folder = load_folder(tmp_path)
    assert folder.skipped == {}
    assert folder.series[0].summary.instances == 5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), as_dicom=st.booleans())
@pytest.mark.filterwarnings("ignore")
def test_no_file_can_stop_the_search(tmp_path, content, as_dicom):
    (tmp_path / "x").write_bytes((b"\0" * 128 + b"DICM" if as_dicom else b"") + content)
    folder = load_folder(tmp_path)
    assert folder.series == ()
    assert sum(folder.skipped.values()) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0, 10_000))
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_file_cut_off_anywhere_is_left_out_or_refused(tmp_path, length):
    images = make_mr_series((3, 6, 7))
    write_series(tmp_path, images)
    victim = tmp_path / f"{images[1].SOPInstanceUID[-12:]}.dcm"
    whole = victim.read_bytes()
    victim.write_bytes(whole[: min(length, len(whole) - 1)])
    folder = load_folder(tmp_path)
    (series,) = folder.series
    if series.summary.instances == 3:
        with pytest.raises(DataError, match="cut off or damaged"):
            read_volume(series)
    else:
        assert (series.summary.instances, sum(folder.skipped.values())) == (2, 1)


def test_a_report_is_no_cause_of_a_warning_and_never_chosen(tmp_path):
    case = make_case(SHAPE)
    seg = seg_of(case)
    measurements = [SegmentMeasurement(segment_number=1, name=VOLUME, value=1.0, unit=MILLILITRE)]
    report = measurement_report(seg, case.datasets, measurements=measurements, info=ObjectInfo(), device_uid="2.25.4")
    write_series(tmp_path, [*case.datasets, report])
    folder = load_folder(tmp_path)
    assert folder.skipped == {}
    assert {s.summary.header["Modality"] for s in folder.series} == {"MR", "SR"}
    rule = SeriesRule.model_validate({"where": [{"tag": "StudyInstanceUID", "exists": True}]})
    (chosen,) = select_inputs(folder, {"any": rule}).inputs["any"]
    assert chosen.summary.header["Modality"] == "MR"


def test_a_deflated_file_is_read(tmp_path):
    images = make_mr_series(SHAPE)
    for ds in images:
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    write_series(tmp_path, images)
    assert load_folder(tmp_path).series[0].summary.instances == 5


def test_several_studies_are_refused(tmp_path):
    write_series(tmp_path / "a", make_mr_series(SHAPE))
    write_series(tmp_path / "b", make_mr_series(SHAPE, patient_id="B"))
    with pytest.raises(DataError, match="holds 2 studies"):
        select_inputs(load_folder(tmp_path), RULES)


def test_a_role_nobody_can_play_says_why(tmp_path):
    write_series(tmp_path, make_mr_series(SHAPE, series_description="T1"))
    assert "flair: no series fits" in select_inputs(load_folder(tmp_path), RULES).missing
