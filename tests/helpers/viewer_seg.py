"""Segmentations as OHIF 3.11 stores them, faults included, for tests of what is made of them.

Written by hand with pydicom alone, so that our own writer is not its own judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
BINARY = "1.2.840.10008.5.1.4.1.1.66.4"

Frame = tuple[int, NDArray[Any]]
"""(slice, values (rows, columns))"""


def labelmap(
    images: Sequence[Dataset], frames: Sequence[Frame], labels: Mapping[int, str], *, rle: bool = False
) -> Dataset:
    """Return a LABELMAP: values are segment numbers, one frame per non-empty slice, several where segments overlap."""
    ds = _common(images, [k for k, _ in frames], labels, kind="LABELMAP")
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = b"".join(np.asarray(values, dtype=np.uint8).tobytes() for _, values in frames)
    if len(ds.PixelData) % 2:
        ds.PixelData += b"\0"
    ds["PixelData"].VR = "OB"
    for item in ds.SegmentSequence:
        item.SegmentAlgorithmName = "OHIF Brush"
    if rle:
        ds.compress(RLELossless, generate_instance_uid=False)
    return ds


def binary(images: Sequence[Dataset], frames: Sequence[tuple[int, Frame]], labels: Mapping[int, str]) -> Dataset:
    """Return a BINARY: `frames` are (number in the frame, (slice, values)); `labels` is what SegmentSequence lists."""
    ds = _common(images, [k for _, (k, _) in frames], labels, kind="BINARY")
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = 0
    bits = np.concatenate([np.asarray(values, dtype=np.uint8).ravel() for _, (_, values) in frames])
    ds.PixelData = pack_bits(bits)
    ds["PixelData"].VR = "OB"
    for group, (number, _) in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        identification = Dataset()
        identification.ReferencedSegmentNumber = number
        group.SegmentIdentificationSequence = [identification]
    return ds


def frames_of(mask: NDArray[np.bool_], number: int = 1) -> list[Frame]:
    """Return the non-empty slices of a mask as frames of a label map."""
    return [(k, plane.astype(np.uint8) * number) for k, plane in enumerate(mask) if plane.any()]


def _common(images: Sequence[Dataset], slices: Sequence[int], labels: Mapping[int, str], *, kind: str) -> Dataset:
    first = images[0]
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = LABEL_MAP if kind == "LABELMAP" else BINARY
    ds.SOPInstanceUID = generate_uid(prefix=None)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        setattr(ds, keyword, getattr(first, keyword))
    ds.SeriesInstanceUID = generate_uid(prefix=None)
    ds.SeriesNumber = "3101"
    ds.SeriesDescription = "Research Derived series"
    ds.Modality = "SEG"
    ds.Manufacturer = "Unspecified"
    ds.ContentCreatorName = ""
    ds.ContentLabel = "SEGMENTATION"
    ds.SegmentationType = kind
    ds.Rows, ds.Columns, ds.NumberOfFrames = first.Rows, first.Columns, len(slices)
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.FrameOfReferenceUID = first.FrameOfReferenceUID
    ds.SegmentSequence = [_segment(number, label) for number, label in labels.items()]
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ReferencedInstanceSequence = [_reference(images[k]) for k in sorted(set(slices))]
    ds.ReferencedSeriesSequence = [series]
    shared = Dataset()
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    measures.PixelSpacing = first.PixelSpacing
    measures.SliceThickness = first.SliceThickness
    measures.SpacingBetweenSlices = first.SpacingBetweenSlices
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_group(images[k]) for k in slices]
    return ds


def _segment(number: int, label: str) -> Dataset:
    item, tissue = Dataset(), Dataset()
    tissue.CodeValue, tissue.CodingSchemeDesignator, tissue.CodeMeaning = "T-D0050", "SRT", "Tissue"
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = number, label, "MANUAL"
    item.SegmentedPropertyCategoryCodeSequence = [tissue]
    item.SegmentedPropertyTypeCodeSequence = [tissue]
    item.RecommendedDisplayCIELabValue = [41662, 48000, 40000]
    return item


def _group(image: Dataset) -> Dataset:
    source, derivation, position, group = Dataset(), Dataset(), Dataset(), Dataset()
    source.ReferencedSOPInstanceUID = image.SOPInstanceUID
    source.ReferencedFrameNumber = "1"
    derivation.SourceImageSequence = [source]
    position.ImagePositionPatient = image.ImagePositionPatient
    group.DerivationImageSequence = [derivation]
    group.PlanePositionSequence = [position]
    return group


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item
