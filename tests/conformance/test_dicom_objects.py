"""Every kind of object that we write, judged by David Clunie's ``dciodvfy`` and by dcmtk: not by ourselves."""

from __future__ import annotations

import datetime
import subprocess

import numpy as np
import pytest

from helpers.segments import LESION, seg_of
from helpers.viewer_seg import frames_of, labelmap
from overread.dicom.codes import LONG_AXIS, MILLILITRE, MILLIMETRE, VOLUME
from overread.dicom.evening import even_images, even_segmentation
from overread.dicom.multiframe import single_frames
from overread.dicom.normalise import empty_seg, normalise_viewer_seg
from overread.dicom.seg import ObjectInfo, write_seg
from overread.dicom.sr import SegmentMeasurement, measurement_report
from overread.dicom.volumes import volumes_ml
from overread.study.blinding import uids_of
from overread.synthetic import awkward
from overread.synthetic.phantoms import make_case

ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique")
SAVED_AT = datetime.datetime(2026, 5, 4, 10, 11, 12, tzinfo=datetime.UTC)


def errors_in(path) -> list[str]:
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 or "Error" in done.stderr, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def objects(orientation):
    case = make_case(orientation=orientation)
    seg = seg_of(case)
    edited = case.mask.copy()
    edited[0, 0, :5] = True
    upload = labelmap(case.datasets, [*frames_of(edited), *frames_of(case.mask, 2)], {1: "Lesion", 2: "Lesion 2"})
    read = normalise_viewer_seg(
        upload, original=seg, source_images=case.datasets, reader="jdoe", content_datetime=SAVED_AT
    )
    measurements = [
        SegmentMeasurement(segment_number=1, name=VOLUME, value=volumes_ml(seg)[1], unit=MILLILITRE),
        SegmentMeasurement(segment_number=1, name=LONG_AXIS, value=12.3, unit=MILLIMETRE),
    ]
    by_reader = ObjectInfo(content_creator_name="jdoe")
    yield "seg", seg
    yield "edited", read
    yield "empty", write_seg(case.datasets, {1: np.zeros_like(case.mask)}, [LESION])
    yield "nothing", empty_seg(seg, case.datasets, reader="jdoe", content_datetime=SAVED_AT)
    whole = awkward.enhanced(case.datasets)
    of_frames = write_seg([whole], {1: case.mask}, [LESION])
    yield "multi-frame", of_frames
    yield (
        "sr-multi-frame",
        measurement_report(
            of_frames, single_frames([whole]), measurements=measurements, info=ObjectInfo(), device_uid="2.25.4"
        ),
    )
    uids = uids_of(bytes(32), "K3F9W2ZB7M")
    for name, exam, drawn in (("", case.datasets, seg), ("-multi-frame", [whole], of_frames)):
        images = even_images(exam, code="K3F9W2ZB7M", uids=uids)
        if images[0].get("NumberOfFrames") is None:  # multi-frame images of phantoms have errors themselves: see below
            yield f"evened{name}", images[0]
        yield (
            f"evened-seg{name}",
            even_segmentation(drawn, images=images, code="K3F9W2ZB7M", uids=uids, segments=[LESION]),
        )
    for name, info in (("sr", ObjectInfo()), ("read", by_reader)):
        yield name, measurement_report(seg, case.datasets, measurements=measurements, info=info, device_uid="2.25.4")


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_dciodvfy_finds_no_error(orientation, tmp_path):
    for name, ds in objects(orientation):
        path = tmp_path / f"{name}.dcm"
        ds.save_as(path, enforce_file_format=True)
        assert errors_in(path) == [], name


@pytest.mark.needs("dciodvfy")
def test_evening_out_adds_no_error_to_a_multi_frame_image(tmp_path):
    whole = awkward.enhanced(make_case().datasets)
    even = even_images([whole], code="K3F9W2ZB7M", uids=uids_of(bytes(32), "K3F9W2ZB7M"))[0]
    for name, ds in (("before", whole), ("after", even)):
        ds.save_as(tmp_path / name, enforce_file_format=True)
    assert set(errors_in(tmp_path / "after")) - set(errors_in(tmp_path / "before")) == set()


@pytest.mark.needs("dciodvfy")
def test_dciodvfy_would_find_one(tmp_path):
    seg = seg_of(make_case())
    del seg.SegmentSequence[0].SegmentLabel
    seg.save_as(tmp_path / "wrong.dcm", enforce_file_format=True)
    assert any("SegmentLabel" in line for line in errors_in(tmp_path / "wrong.dcm"))


@pytest.mark.needs("dcmdump")
def test_dcmtk_reads_all_of_it(tmp_path):
    for name, ds in objects("oblique"):
        path = tmp_path / f"{name}.dcm"
        ds.save_as(path, enforce_file_format=True)
        done = subprocess.run(["dcmdump", "-q", str(path)], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), name
        assert "SOPInstanceUID" in done.stdout
