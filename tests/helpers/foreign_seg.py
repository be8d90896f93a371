"""Segmentations as other programs write them: structure sets by hand, SEGs by highdicom and by dcmqi."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from overread.dicom.geometry import geometry_of

RTSTRUCT = UID("1.2.840.10008.5.1.4.1.1.481.3")
Contour = tuple[str, str, int, Sequence[tuple[float, float]]]
"""Region, type, slice from 0, corners (row, column)."""


def structure_set(images: Sequence[Dataset], contours: Sequence[Contour], *, algorithm: str = "MANUAL") -> Dataset:
    """Return an RT Structure Set of contours on these images."""
    first, geometry = images[0], geometry_of(images)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = RTSTRUCT
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality, ds.SeriesInstanceUID, ds.StudyInstanceUID = "RTSTRUCT", generate_uid(), first.StudyInstanceUID
    ds.PatientID, ds.PatientName, ds.OperatorsName = first.PatientID, first.PatientName, "planner"
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    study.ReferencedSOPInstanceUID, study.RTReferencedSeriesSequence = first.StudyInstanceUID, [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = first.FrameOfReferenceUID, [study]
    ds.ReferencedFrameOfReferenceSequence = [frame]
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, name in enumerate(dict.fromkeys(one[0] for one in contours), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = number, name, algorithm
        roi.ReferencedFrameOfReferenceUID = first.FrameOfReferenceUID
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for _, kind, k, corners in (one for one in contours if one[0] == name):
            contour = Dataset()
            points = [geometry.position_mm((k, row, column)) for row, column in corners]
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [round(float(value), 4) for value in np.ravel(points)]
            drawn.ContourSequence.append(contour)
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(drawn)
    return ds


def by_highdicom(
    images: Sequence[Dataset], masks: Sequence[NDArray[Any]], kind: str, *, shuffled: bool = False
) -> Dataset:
    """Return a SEG of highdicom's: BINARY, FRACTIONAL (PROBABILITY) or LABELMAP."""
    described = [
        hd.seg.SegmentDescription(
            number, f"Part {number}", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL
        )
        for number in range(1, len(masks) + 1)
    ]
    stack = np.stack(masks, axis=-1)
    pixels: NDArray[Any] = stack.astype(np.float32 if kind == "FRACTIONAL" else np.uint8)
    if kind == "LABELMAP":
        pixels = np.max(stack * np.arange(1, len(masks) + 1), axis=-1).astype(np.uint8)
    ds: Dataset = hd.seg.Segmentation(
        source_images=list(images), pixel_array=pixels, segmentation_type=kind, segment_descriptions=described,
        series_instance_uid=generate_uid(), series_number=7, sop_instance_uid=generate_uid(), instance_number=1,
        manufacturer="Elsewhere", manufacturer_model_name="Other", software_versions="1", device_serial_number="1",
        omit_empty_frames=bool(stack.any()),
    )  # fmt: skip
    return _reordered(ds) if shuffled else ds


def _reordered(ds: Dataset) -> Dataset:
    """Return it with its frames in another order."""
    frames = np.asarray(ds.pixel_array)
    order = np.random.default_rng(5).permutation(len(frames))
    packed = np.packbits(frames[order].reshape(-1), bitorder="little").tobytes()
    ds.PixelData = packed + b"\0" * (len(packed) % 2)
    ds.PerFrameFunctionalGroupsSequence = [ds.PerFrameFunctionalGroupsSequence[int(n)] for n in order]
    return ds


def by_dcmqi(images: Sequence[Dataset], mask: NDArray[np.bool_], folder: Path) -> Dataset:
    """Return a SEG that dcmqi's itkimage2segimage, which 3D Slicer writes by, makes of a NIfTI."""
    scans = folder / "scans"
    scans.mkdir(parents=True)
    for number, image in enumerate(images):
        image.save_as(scans / f"{number}.dcm", enforce_file_format=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry_of(images).affine_lps[:, [2, 1, 0, 3]]
    nibabel.save(nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), affine), folder / "mask.nii.gz")  # type: ignore[no-untyped-call]
    code = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    segment = {
        "labelID": 1, "SegmentLabel": "Drawn", "SegmentDescription": "Drawn", "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyCategoryCodeSequence": code, "SegmentedPropertyTypeCodeSequence": code,
    }  # fmt: skip
    meta = {
        "ContentCreatorName": "Slicer", "SeriesNumber": "9", "InstanceNumber": "1", "ContentLabel": "SEGMENTATION",
        "SeriesDescription": "Segmentation", "segmentAttributes": [[segment]],
    }  # fmt: skip
    (folder / "meta.json").write_text(json.dumps(meta))
    command = [
        str(Path(sys.executable).with_name("itkimage2segimage")), "--inputImageList", str(folder / "mask.nii.gz"),
        "--inputDICOMDirectory", str(scans), "--inputMetadata", str(folder / "meta.json"),
        "--outputDICOM", str(folder / "seg.dcm"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return dcmread(folder / "seg.dcm")
