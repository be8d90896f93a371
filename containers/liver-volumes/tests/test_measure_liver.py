"""What a reader made of the liver's three segments, measured again and told beside the model's numbers."""

from __future__ import annotations

import datetime
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from helpers.containers import Run, main_of, run_main
from helpers.exam_files import write_session
from helpers.segments import measurement_groups
from helpers.viewer_seg import frames_of, labelmap
from overread.dicom.codes import VOLUME
from overread.dicom.normalise import normalise_viewer_seg
from overread.dicom.seg import write_seg
from overread.operators.liver import PARTS, SEGMENTS
from overread.synthetic.phantoms import make_mr_series

SHAPE, SPACING = (20, 40, 50), (5.0, 4.0, 4.0)
IMAGES = make_mr_series(SHAPE, SPACING)
VOXEL_ML = 0.08
SAVED_AT = datetime.datetime(2026, 5, 4, 10, 11, 12, tzinfo=datetime.UTC)
LABEL = "jdoe-SEG_20260504_101112_ab12"


def masks() -> dict[int, np.ndarray]:
    found = {number: np.zeros(SHAPE, dtype=bool) for number in (1, 2, 3)}
    found[1][3:15, 5:25, 26:46] = True
    found[2][3:15, 5:35, 4:26] = True
    found[3][8:10, 10:14, 10:40] = True
    for number in (1, 2):
        found[number] &= ~found[3]
    return found


def the_models(session: Path) -> Dataset:
    """A model's result on three segments, stored as XNAT keeps it, for a right lobe that remains."""
    described = [
        replace(one, algorithm_type="AUTOMATIC", algorithm_name="net", algorithm_version="1.0.0",
                tracking_uid=f"2.25.77{one.number}") for one in SEGMENTS
    ]  # fmt: skip
    seg = write_seg(IMAGES, masks(), described)
    folder = session / "ASSESSORS" / "LT-0123456789ab"
    for resource in ("SEG", "RESULT"):
        (folder / resource).mkdir(parents=True)
    seg.save_as(folder / "SEG" / "seg.dcm", enforce_file_format=True)
    document = {
        "schema": 1, "status": "ok", "reason": "", "device": "cpu", "measurements": [], "findings": [], "timings": {},
        "study": {"study_instance_uid": str(IMAGES[0].StudyInstanceUID), "study_date": "20240115"},
        "model": {"name": "net", "version": "1.0.0", "weights_sha256": "", "framework": "pytorch"},
        "inputs": [{"role": "portal", "series_instance_uid": str(IMAGES[0].SeriesInstanceUID), "instances": 20,
                    "fingerprint": "a" * 64, "series_description": "portal"}],
        "warnings": [], "texts": {"remnant_lobe": "right", "phase": "portal"},
        "outputs": {"seg": {"sop_instance_uid": str(seg.SOPInstanceUID),
                            "series_instance_uid": str(seg.SeriesInstanceUID)}},
    }  # fmt: skip
    (folder / "RESULT" / "result.json").write_text(json.dumps(document), "utf-8")
    return seg


@pytest.fixture
def session(tmp_path) -> Path:
    return write_session(tmp_path / "session", IMAGES)


@pytest.fixture
def run(session, tmp_path):
    image: Any = main_of("liver-volumes")

    def start(seg: Dataset) -> Run:
        collection = session / "ASSESSORS" / LABEL
        (collection / "SEG").mkdir(parents=True)
        seg.save_as(collection / "SEG" / "seg.dcm", enforce_file_format=True)
        return run_main(
            image.measure_collection, collection, tmp_path / "out", session=session, OVERREAD_COLLECTION_LABEL=LABEL
        )

    return start


def drawn(parts: dict[int, np.ndarray]) -> list[tuple[int, np.ndarray]]:
    return [frame for number, mask in parts.items() for frame in frames_of(mask, number)]


def test_three_segments_are_measured_again_after_an_edit(run, session):
    original = the_models(session)
    edited = masks()
    moved = np.zeros(SHAPE, dtype=bool)
    moved[5:10, 20:25, 26:30] = True  # a piece of the left lobe that the reader gives to the right
    moved &= edited[1]
    edited[1] &= ~moved
    edited[2] |= moved
    upload = labelmap(IMAGES, drawn(edited), {n: one.label for n, one in enumerate(SEGMENTS, start=1)})
    seg = normalise_viewer_seg(
        upload, original=original, source_images=IMAGES, reader="jdoe", content_datetime=SAVED_AT
    )
    done = run(seg)
    assert (done.code, done.error) == (0, "")
    volumes = [int(edited[number].sum()) * VOXEL_ML for number in (1, 2, 3)]
    assert [done.measured(f"{name}_ml") for name in PARTS] == pytest.approx(volumes)
    assert done.measured("total_ml") == pytest.approx(sum(volumes))
    # the model's choice of the lobe that remains holds for its corrections
    assert done.measured("remnant_pct") == pytest.approx(100 * volumes[1] / (volumes[0] + volumes[1]))
    said = {str(c.tag).rpartition("}")[2]: c.text for c in ET.parse(done.output / "assessor.xml").getroot()}
    assert (said["origin"], said["reader"], said["original_label"]) == ("edited", "jdoe", "LT-0123456789ab")
    assert (said["remnant_lobe"], said["phase"], said["model_name"]) == ("right", "portal", "net")
    groups = measurement_groups(dcmread(done.output / "sr.dcm"))
    reported = [group.get_measurements(name=VOLUME.as_code())[0].value for group in groups]
    assert reported == pytest.approx(volumes)


def test_the_models_own_segmentation_is_not_measured_again(run, session):
    done = run(the_models(session))
    assert done.result["status"] == "not-applicable"
    assert done.files == {"result.json"}


def test_what_is_no_part_of_the_liver_is_told(run, session):
    upload = labelmap(IMAGES, drawn(masks()), {1: "left", 2: "right lobe", 3: "spleen"})
    done = run(
        normalise_viewer_seg(upload, original=None, source_images=IMAGES, reader="jdoe", content_datetime=SAVED_AT)
    )
    assert (done.code, done.error) == (0, "")
    assert done.measured("vessels_ml") == 0.0
    assert done.measured("left_lobe_ml") == pytest.approx(int(masks()[1].sum()) * VOXEL_ML)
    assert any("neither lobe nor vessel" in warning for warning in done.result["warnings"])
    assert done.result["texts"]["remnant_lobe"] == "left"
