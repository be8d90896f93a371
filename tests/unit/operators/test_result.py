from __future__ import annotations

import copy
import dataclasses
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.dicom.codes import VOLUME
from overread.errors import DataError
from overread.operators.assessor import Assessor, Provenance, ResultType, result_xml
from overread.operators.ids import edit_label, experiment_id, input_fingerprint, result_hash
from overread.operators.job import Context
from overread.operators.result import InputSeries, Measurement, Model, Result, WrittenObject, check_result

KIND = ResultType(prefix="x", namespace="http://overread/xnat/x", element="Result", measures=("size_ml",), code="X")
RESULT = Result(
    status="ok",
    reason="",
    study_instance_uid="1.2.3",
    study_date="20240115",
    study_time="101500",
    model=Model(name="net", version="1.0", weights_sha256="0" * 64, framework="pytorch"),
    device="cpu",
    inputs=(InputSeries(role="flair", series_instance_uid="1.2.4", instances=3, fingerprint="0" * 64),),
    measurements=(Measurement(roi="lesion", name="size_ml", value=1.5, unit="mL", code=VOLUME),),
    outputs={"seg": WrittenObject(sop_instance_uid="1.2.5", series_instance_uid="1.2.6")},
    timings_s={"load": 0.5},
)


def test_a_result_is_as_the_schema_says():
    document = RESULT.as_document()
    assert document["timings"] == {"load_s": 0.5}
    assert document["measurements"][0]["code"] == {"value": "118565006", "scheme": "SCT", "meaning": "Volume"}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"reason": "because"}, "reason"),
        ({"status": "not-applicable", "reason": ""}, "measurements|reason|outputs"),
        ({"inputs": ()}, "inputs"),
        ({"study_date": "2024-01-15"}, "study.study_date"),
        ({"study_instance_uid": "x"}, "study.study_instance_uid"),
        ({"timings_s": {"load": -1.0}}, "timings.load_s"),
        ({"outputs": {"rtstruct": WrittenObject(sop_instance_uid="1.2", series_instance_uid="1.3")}}, "outputs"),
        ({"model": Model(name="", version="1", weights_sha256="", framework="")}, "model.name"),
    ],
)
def test_what_the_schema_forbids_is_not_written(changes, place):
    with pytest.raises(DataError, match=rf"result.json is not as result.schema.json says: ({place})"):
        dataclasses.replace(RESULT, **changes).as_document()


def test_an_unknown_key_is_found():
    document = copy.deepcopy(RESULT.as_document())
    document["extra"] = 1
    with pytest.raises(DataError, match="the document"):
        check_result(document)


def xml_of(result=RESULT, context=None, **more):
    return ET.fromstring(
        result_xml(
            KIND,
            result,
            assessor=Assessor(label="X-1", date=result.study_date, time=result.study_time),
            context=context or Context(project="P", session_id="E1"),
            more=Provenance(origin="ai", **more),
        )
    )


@given(text=st.text(max_size=1500))
def test_any_text_makes_a_document_within_the_fields_limits(text):
    root = xml_of(dataclasses.replace(RESULT, status="not-applicable", reason=text))
    assert len(root.findtext("{http://overread/xnat/x}reason", "")) <= 1000
    assert root.findtext("{http://overread/xnat/x}size_ml") == "1.5"


def test_markup_stays_text():
    root = xml_of(reader="<script>alert(1)</script>&\"'")
    assert root.findtext("{http://overread/xnat/x}reader") == "<script>alert(1)</script>&\"'"


@pytest.mark.parametrize(("date", "time"), [("", ""), ("2024", "1"), ("20240115", "noon")])
def test_a_date_that_is_none_is_left_out(date, time):
    root = xml_of(dataclasses.replace(RESULT, study_date=date, study_time=time))
    assert root.find("{http://nrg.wustl.edu/xnat}time") is None
    assert (root.find("{http://nrg.wustl.edu/xnat}date") is None) == (date != "20240115")


def test_names_depend_on_what_they_name_and_nothing_else():
    base: dict[str, Any] = {
        "study_instance_uid": "1",
        "series_instance_uids": ["2", "3"],
        "fingerprint": "f",
        "model": "m",
        "version": "1",
    }
    digits = result_hash(**base)
    assert len(digits) == 12
    assert result_hash(**{**base, "series_instance_uids": ["3", "2"]}) == digits
    others = [
        result_hash(**{**base, key: value})
        for key, value in {
            "study_instance_uid": "9", "series_instance_uids": ["2"], "fingerprint": "g", "model": "n", "version": "2",
        }.items()
    ]  # fmt: skip
    assert len({digits, *others}) == 6
    assert input_fingerprint([("a", "1"), ("b", "2")]) == input_fingerprint([("b", "2"), ("a", "1")])
    assert edit_label("BT", "1.2") == edit_label("BT", "1.2") != edit_label("BT", "1.3")
    ids = {experiment_id("BT", project=p, session_id="E", label="L") for p in ("A", "B")}
    assert len(ids) == 2
