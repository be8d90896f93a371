"""Segments and segmentations that several tests use."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import highdicom as hd
from pydicom import dcmread
from pydicom.dataset import Dataset

from overread.dicom.codes import CodedTerm
from overread.dicom.seg import SegmentInfo, write_seg
from overread.synthetic.phantoms import PhantomCase

BRAIN = CodedTerm("12738006", "SCT", "Brain")
NEOPLASM = CodedTerm("108369006", "SCT", "Neoplasm")
ABNORMAL = CodedTerm("49755003", "SCT", "Morphologically Abnormal Structure")

LESION = SegmentInfo(
    number=1,
    label="Lesion",
    category=ABNORMAL,
    type=NEOPLASM,
    anatomic_region=BRAIN,
    algorithm_type="AUTOMATIC",
    algorithm_name="brain-tumor-segmentation",
    algorithm_version="1.0.0",
    tracking_id="Lesion",
    tracking_uid="2.25.1234567890",
    color_cielab=(41662, 53975, 40092),
)


def seg_of(case: PhantomCase) -> Dataset:
    """Return the case's mask as a segmentation with one automatic segment."""
    return write_seg(case.datasets, {1: case.mask}, [LESION])


def measurement_groups(sr: Dataset, *, tracking_uid: str | None = None) -> list[Any]:
    """Return a report's measurement groups as highdicom reads them."""
    content = hd.sr.Comprehensive3DSR.from_dataset(sr).content
    assert isinstance(content, hd.sr.MeasurementReport)
    return list(content.get_volumetric_roi_measurement_groups(tracking_uid=tracking_uid))


def through_bytes(ds: Dataset) -> Dataset:
    """Return a dataset written and read again."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return dcmread(BytesIO(buffer.getvalue()))
