"""The quick look says what pydicom says, or nothing."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from overread.operators.quick_header import quick_header
from overread.synthetic import awkward
from overread.synthetic.phantoms import make_mr_series

IMAGE = make_mr_series((2, 16, 16))[0]
KEYWORDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def saved(ds: Dataset, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian])
def test_a_plain_image_is_read(tmp_path, syntax):
    ds = awkward.in_syntax([IMAGE], syntax)[0] if syntax else IMAGE
    found = quick_header(saved(ds, tmp_path / "a.dcm"))
    assert found is not None
    assert dict(found.uids) == {keyword: str(getattr(IMAGE, keyword)) for keyword in KEYWORDS}


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, RLELossless])
def test_of_other_syntaxes_nothing_is_said(tmp_path, syntax):
    assert quick_header(saved(awkward.in_syntax([IMAGE], syntax)[0], tmp_path / "a.dcm")) is None


def test_of_frames_of_cut_off_images_and_of_what_is_no_dicom_nothing_is_said(tmp_path):
    whole = saved(IMAGE, tmp_path / "a.dcm").read_bytes()
    assert quick_header(saved(awkward.enhanced([IMAGE]), tmp_path / "b.dcm")) is None
    for content in (b"", b"hello" * 100, whole[:200], whole[:500], whole[: len(whole) - 300]):
        (tmp_path / "c.dcm").write_bytes(content)
        assert quick_header(tmp_path / "c.dcm") is None


def test_of_pydicoms_own_files_it_says_what_pydicom_says():
    said = 0
    for name in sorted(Path(pydicom.data.__file__).parent.glob("test_files/*.dcm")):
        found = quick_header(name)
        if found is not None:
            ds = dcmread(name, stop_before_pixels=True, force=True)
            assert dict(found.uids) == {keyword: str(getattr(ds, keyword)) for keyword in KEYWORDS}, name.name
            said += 1
    assert said >= 5


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=0, max_value=1200), value=st.integers(min_value=0, max_value=255))
def test_a_wrong_byte_never_makes_it_fail(tmp_path, at, value):
    buffer = BytesIO()
    IMAGE.save_as(buffer, enforce_file_format=True)
    content = bytearray(buffer.getvalue())
    content[at % len(content)] = value
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    found = quick_header(path)
    assert found is None or set(found.uids) == set(KEYWORDS)
