"""Conditions of matchers and payload filters, as the Container Service's and the Event Service's documents use them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.hub.runs.jsonfilter import MAX_LENGTH, Filter, FilterError

SESSION: dict[str, Any] = {
    "xsiType": "xnat:mrSessionData",
    "label": "1_2_840",
    "integer-id": 7,
    "shared": True,
    "note": None,
    "scans": [
        {"id": "1", "scan-type": "T1", "frames": 160, "resources": [{"label": "DICOM"}, {"label": "SNAPSHOTS"}]},
        {"id": "2", "scan-type": "FLAIR 3D", "frames": 40, "resources": []},
    ],
}


@pytest.mark.parametrize(
    "condition",
    [
        '@.xsiType == "xnat:mrSessionData"',
        "(@.xsiType in ['xnat:mrSessionData'])",
        '(@.xsiType == "xnat:mrSessionData")',
        "@.xsiType != 'xnat:ctSessionData'",
        "@.absent != 'x'",
        "!(@.label =~ /AI-.*/)",
        "!@.absent && @.label",
        "@.note",
        "@['integer-id'] == 7",
        "@.integer-id >= 7 && @.integer-id < 7.5",
        "@.shared == true",
        "@.note == null",
        "'T1' in @.scans[*].scan-type",
        "'DICOM' in @.scans[*].resources[*].label",
        '@.scans[0].scan-type in ["T1","MPRAGE"]',
        "@.scans[1].scan-type =~ /flair.*/i",
        "@.scans[*].id subsetof ['1', '2', '3']",
        "@.scans[*].id anyof ['2']",
        "@.scans[*].id noneof ['9']",
        "@.scans size 2",
        "@.scans[1].resources empty true",
        "@.label contains '840'",
        "@.scans[*].id contains '2'",
        "@.label == 'x' || (@.shared == true && !(@.integer-id == 8))",
        "'it\\'s' == 'it\\'s'",
    ],
)
def test_holds(condition: str) -> None:
    assert Filter(condition).matches(SESSION)


@pytest.mark.parametrize(
    "condition",
    [
        "@.xsiType == 'xnat:ctSessionData'",
        "@.absent",
        "@.absent == null",
        "@.absent == 'x'",
        "@.integer-id == '7'",
        "@.integer-id == true",
        "@.label =~ /1_2/",
        "@.label > 1",
        "@.scans[9].id == '1'",
        "'DICOM' in @.scans[1].resources[*].label",
        "'x' in @.label",
        "@.scans nin [1] && @.absent",
        "@.label size 3",
    ],
)
def test_does_not_hold(condition: str) -> None:
    assert not Filter(condition).matches(SESSION)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "at the end"),
        ("@.a ==", "at the end"),
        ("@.a = 1", "character 4"),
        ("@.a == 1)", "expected the end"),
        ("(@.a == 1", r"expected \)"),
        ("'a'", "expected a comparison"),
        ("@.a == [1, @.b]", "expected a value"),
        ("__import__('os')", "can't be read"),
        ("@.a == 'open", "character"),
        ("@.a =~ /(a+)+/", "can't be used"),
        ("@.a =~ /a/q", "unknown flags: q"),
        ("(" * 100 + "@.a", "nested"),
        ("@.a == 1 " * MAX_LENGTH, "characters"),
    ],
)
def test_what_can_not_be_read_is_told(condition: str, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        Filter(condition)


@given(st.text(alphabet="@.$[]*()!&|=<>'\"/\\ ab1-in~,", max_size=60))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    try:
        condition = Filter(text)
    except FilterError:
        return
    assert condition.matches(SESSION) in (True, False)


def test_a_long_condition_is_read_quickly() -> None:
    started = time.monotonic()
    assert not Filter(" && ".join(["@.absent == 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"] * 80)).matches(SESSION)
    with pytest.raises(FilterError):
        Filter("'" + "\\" * 3001)
    assert time.monotonic() - started < 1
