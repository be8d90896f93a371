"""Writes BINARY segmentations (PS3.3 A.51) on the grid of their source images: highdicom the header, we the frames.

What is copied from the source images (patient, study) is copied here, attribute by attribute: real headers hold
values that a strict writer refuses, and a mask must not be lost over a patient's sex of "unknown".
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from overread import __version__
from overread.dicom.geometry import VolumeGeometry, decimal_number, geometry_of, in_slice_order
from overread.dicom.headers import as_read, copy_patient_and_study, decimal_string, plain_text, reference_copy
from overread.dicom.multiframe import single_frames
from overread.dicom.seg_frames import put_frames
from overread.dicom.segments import SegmentInfo, describe
from overread.errors import DataError

_LO_MAX: Final = 64


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """What an object that is written says of itself.

    Parameters
    ----------
    series_instance_uid, sop_instance_uid
        New ones below 2.25 if empty.
    series_number, series_description
        Of the new series.
    content_label
        Code string of at most 16 characters.
    content_creator_name
        Who made it: a login for a reader, empty for a program.
    content_datetime
        When; now if not given.
    manufacturer, model_name, software_version, serial_number
        Of the program that made it.

    Texts are cut to what a DICOM string holds.
    """

    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    series_number: int = 900
    series_description: str = "Segmentation"
    content_label: str = "SEGMENTATION"
    content_creator_name: str = ""
    content_datetime: datetime.datetime | None = None
    manufacturer: str = "Overread"
    model_name: str = "Overread"
    software_version: str = field(default=__version__)
    serial_number: str = "1"

    def __post_init__(self) -> None:
        for name in ("series_description", "manufacturer", "model_name", "software_version", "serial_number"):
            object.__setattr__(self, name, plain_text(getattr(self, name), limit=_LO_MAX))

    def uids(self) -> tuple[str, str]:
        """Return (SeriesInstanceUID, SOPInstanceUID), made up where empty."""
        return (
            self.series_instance_uid or str(generate_uid(prefix=None)),
            self.sop_instance_uid or str(generate_uid(prefix=None)),
        )

    def moment(self) -> datetime.datetime:
        """Return when the object was made, as local time of day without an offset."""
        return (self.content_datetime or datetime.datetime.now().astimezone()).replace(tzinfo=None)

    def highdicom_arguments(self) -> dict[str, Any]:
        """Return what every object of highdicom's wants: UIDs, series, equipment, times. New UIDs with each call."""
        series_uid, sop_uid = self.uids()
        moment = self.moment()
        return {
            "series_instance_uid": series_uid,
            "series_number": self.series_number,
            "series_description": self.series_description,
            "series_date": moment.date(),
            "series_time": moment.time(),
            "sop_instance_uid": sop_uid,
            "instance_number": 1,
            "manufacturer": self.manufacturer,
            "manufacturer_model_name": self.model_name,
            "software_versions": self.software_version,
            "device_serial_number": self.serial_number,
            "content_date": moment.date(),
            "content_time": moment.time(),
            "transfer_syntax_uid": ExplicitVRLittleEndian,
            "specific_character_set": "ISO_IR 192",
        }


def write_seg(
    source_images: Sequence[Dataset],
    masks: Mapping[int, NDArray[np.bool_]],
    segments: Sequence[SegmentInfo],
    *,
    info: ObjectInfo | None = None,
    predecessor: Dataset | None = None,
    every_slice: bool = False,
) -> Dataset:
    """Return a BINARY segmentation.

    Slices without a voxel of a segment get no frame, unless no segment has any voxel: then every slice has an empty
    frame per segment, for an object without frames can't be stored.

    Parameters
    ----------
    source_images
        Images of one series, in any order; enhanced ones as a whole or taken apart.
    masks
        Per segment number, (slices, rows, columns) in the slice order of `geometry_of` `source_images`.
    segments
        Numbers 1, 2, 3 … without a gap (PS3.3 C.8.20.2).
    info
        What the object says of itself.
    predecessor
        Segmentation that this one corrects; named in PredecessorDocumentsSequence.
    every_slice
        Slices without a voxel get frames, too: the size of the file tells nothing of what is drawn.

    Returns
    -------
    Dataset
        Segmentation Storage, Explicit VR Little Endian, with file meta information.

    Raises
    ------
    DataError
        If masks, segments and images do not fit together.
    """
    info = info or ObjectInfo()
    images = single_frames(source_images)
    geometry = geometry_of(images)
    ordered = in_slice_order(images, geometry)
    _check(masks, segments, geometry)
    seg = hd.seg.Segmentation(
        # One slice, all of it in every segment: enough for the header. The frames follow below.
        source_images=[_on_grid(ordered[0], geometry)],
        pixel_array=np.ones((1, *geometry.shape[1:], len(segments)), dtype=np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[describe(s) for s in segments],
        content_label=info.content_label,
        content_description=info.series_description,
        **info.highdicom_arguments(),
    )
    drawn = {number: np.asarray(mask, dtype=np.bool_) for number, mask in masks.items()}
    put_frames(seg, ordered, drawn, every_slice=every_slice)
    copy_patient_and_study(ordered[0], seg)
    seg.ContentCreatorName = info.content_creator_name
    if predecessor is not None:
        seg.PredecessorDocumentsSequence = [_hierarchical_reference(predecessor)]
    return as_read(seg)


def _check(masks: Mapping[int, NDArray[np.bool_]], segments: Sequence[SegmentInfo], geometry: VolumeGeometry) -> None:
    numbers = [s.number for s in segments]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise DataError(f"Segment numbers are {numbers}, they must be 1, 2, 3 …: number the segments anew.")
    if set(masks) != set(numbers):
        raise DataError(f"There are masks for segments {sorted(masks)} but segments {numbers}: give one mask each.")
    for number, mask in masks.items():
        if mask.shape != geometry.shape:
            raise DataError(
                f"The mask of segment {number} is {mask.shape}, the images are {geometry.shape} (slices, rows, "
                "columns): resample it to the images first."
            )


def _on_grid(image: Dataset, geometry: VolumeGeometry) -> Dataset:
    """Return an image's reference copy with the distances of the grid, from which the pixel measures are made.

    Headers are often without SpacingBetweenSlices, or have the thickness in it; positions are right.
    """
    copy = reference_copy(image)
    copy.SOPClassUID = MRImageStorage  # highdicom would look for frames in an enhanced one; put_frames names the images
    between, rows_mm, columns_mm = geometry.spacing_mm
    copy.PixelSpacing = [decimal_string(rows_mm), decimal_string(columns_mm)]
    copy.SpacingBetweenSlices = decimal_string(between)
    thickness_mm = decimal_number(image, "SliceThickness") or 0.0
    copy.SliceThickness = decimal_string(thickness_mm if thickness_mm > 0 else between)
    return copy


def _hierarchical_reference(ds: Dataset) -> Dataset:
    """Return an item of the Hierarchical SOP Instance Reference Macro (PS3.3 C.17.2.1)."""
    instance = Dataset()
    instance.ReferencedSOPClassUID = ds.SOPClassUID
    instance.ReferencedSOPInstanceUID = ds.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = ds.SeriesInstanceUID
    series.ReferencedSOPSequence = [instance]
    study = Dataset()
    study.StudyInstanceUID = ds.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study
