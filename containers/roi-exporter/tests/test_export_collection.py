from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from helpers.containers import main_of, run_main
from helpers.segments import seg_of
from overread.synthetic.phantoms import make_case

CASE = make_case((6, 16, 20))
CONTEXT = {
    "project": "BTS",
    "session_id": "XNAT_E00001",
    "subject_id": "XNAT_S00001",
    "collection": "AI-0123456789ab",
    "study_date": "20240115",
    "study_time": "101500.123",
}
ICR, XNAT = "{http://icr.ac.uk/icr}", "{http://nrg.wustl.edu/xnat}"


@pytest.fixture(scope="module")
def image() -> Any:
    return main_of("roi-exporter")


@pytest.fixture
def run(image, tmp_path):
    def start(*, seg=True, context=CONTEXT):
        folder = tmp_path / "in"
        folder.mkdir()
        if seg:
            seg_of(CASE).save_as(folder / "seg.dcm", enforce_file_format=True)
        if context is not None:
            (folder / "context.json").write_text(json.dumps(context))
        return run_main(image.export_collection, folder, tmp_path / "out")

    return start


def test_the_collection_is_as_the_viewers_plugin_stores_one(run, tmp_path):
    done = run()
    assert (done.code, done.error) == (0, "")
    root = ET.parse(done.output / "roi-collection.xml").getroot()
    assert root.tag == f"{ICR}RoiCollection"
    assert (root.get("project"), root.get("label")) == ("BTS", "AI-0123456789ab")
    assert root.get("ID", "").startswith("RoiCollection_")
    seg = seg_of(CASE)
    order = [child.tag for child in root]
    assert order == [
        f"{XNAT}date", f"{XNAT}time", f"{XNAT}imageSession_ID", f"{ICR}UID", f"{ICR}collectionType",
        f"{ICR}subjectID", f"{ICR}references", f"{ICR}name",
    ]  # fmt: skip
    assert root.findtext(f"{ICR}collectionType") == "SEG"
    assert root.findtext(f"{ICR}subjectID") == "XNAT_S00001"
    assert root.findtext(f"{XNAT}time") == "10:15:00"
    assert root.findtext(f"{ICR}name") == seg.SeriesDescription
    assert [e.text for e in root.iter(f"{ICR}seriesUID")] == [CASE.datasets[0].SeriesInstanceUID]


def test_without_a_segmentation_there_is_nothing_to_export(run):
    done = run(seg=False, context=None)
    assert (done.code, done.error, done.files) == (0, "", set())


@pytest.mark.parametrize("context", [None, {}, ["x"], {"project": "BTS"}])
def test_without_a_context_nobody_knows_where_it_belongs(run, context):
    done = run(context=context)
    assert done.code == 1
    assert "context.json is missing or incomplete" in done.error
