"""Copies for readers who must not know the source: all that could tell it, or the patient, is evened out.

What is kept of images is listed, what is not listed is dropped: a list of what to remove is never whole. Segmentations
are not cleaned but written anew from their voxels alone, with the same frames for the same exam, so that two sources
with the same voxels give the same file byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from overread.dicom.geometry import VolumeGeometry, geometry_of, text_of, whole_number
from overread.dicom.headers import as_read
from overread.dicom.multiframe import is_enhanced, single_frames
from overread.dicom.seg_read import DecodedSeg, decode_seg
from overread.dicom.seg_write import ObjectInfo, write_seg
from overread.dicom.segments import SegmentInfo
from overread.errors import DataError

Uids = Callable[[str], str]

EVEN_DATE: Final = "20000101"
EVEN_TIME: Final = "120000"
_EVEN_MOMENT: Final = datetime(2000, 1, 1, 12, 0, 0)  # noqa: DTZ001 - DICOM's own local time
_NOBODY: Final = "none"
"""Stands where a maker must be named."""
_IMPLEMENTATION_UID: Final = UID("2.25.147204861936325817482660319572409116843")
_IMPLEMENTATION: Final = "EVENED"
_STANDARD_ROOT: Final = "1.2.840.10008."
_OLDEST_AGE: Final = 89
_PALETTE: Final = (
    (38_000, 48_000, 42_000),
    (43_000, 26_000, 38_000),
    (36_000, 35_000, 18_000),
    (46_000, 36_000, 48_000),
)
"""CIELab as stored, for segments whose colour the study does not say."""

_KEPT_GROUPS: Final = frozenset({0x0018, 0x0020, 0x0028, 0x0054, 0x2050, 0x5200})
"""Acquisition, geometry, pixels, nuclear medicine, presentation, functional groups: numbers and codes of these."""
_KEPT_VRS: Final = frozenset(
    {"AT", "CS", "DS", "FD", "FL", "IS", "OW", "OB", "OD", "OF", "OL", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"}
)
_KEPT: Final = frozenset(
    {
        "AcquisitionContextSequence",
        "AnatomicRegionModifierSequence",
        "AnatomicRegionSequence",
        "BluePaletteColorLookupTableData",
        "CodeMeaning",
        "CodeValue",
        "CodingSchemeDesignator",
        "ContrastBolusAgent",
        "FrameLaterality",
        "FrameType",
        "ImageType",
        "LossyImageCompression",
        "MeasurementUnitsCodeSequence",
        "Modality",
        "PatientSex",
        "PixelData",
        "FloatPixelData",
        "DoubleFloatPixelData",
        "PixelPresentation",
        "PositionReferenceIndicator",
        "PresentationIntentType",
        "RealWorldValueFirstValueMapped",
        "RealWorldValueIntercept",
        "RealWorldValueLastValueMapped",
        "RealWorldValueMappingSequence",
        "RealWorldValueSlope",
        "RescaleType",
        "SOPClassUID",
        "SOPInstanceUID",
        "StackID",
        "StudyInstanceUID",
        "VolumeBasedCalculationTechnique",
        "VolumetricProperties",
    }
)
"""Kept whatever their group or type."""
_DROPPED: Final = frozenset(
    {
        "ContributingEquipmentSequence",
        "DerivationImageSequence",
        "ReferencedImageSequence",
        "RequestAttributesSequence",
        "SourceImageSequence",
    }
)
_EVENED_MOMENTS: Final = frozenset({"AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime"})
"""Enhanced images must have them."""
_UNREADABLE: Final = (ValueError, TypeError, OverflowError, NotImplementedError, AttributeError)
_MAY_BE_BURNED_IN: Final = re.compile(r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.(7(\.\d+)*|6(\.\d+)*|3\.1|77\.\d+(\.\d+)*)")
"""Secondary capture, ultrasound, visible light: patient data stands in the pixels more often than not."""


def burned_in(image: Dataset) -> bool | None:
    """Return whether a patient's data stands in the pixels: as the header says, None where that is to be feared."""
    said = text_of(image, "BurnedInAnnotation").upper()
    if said in ("YES", "NO"):
        return said == "YES"
    return None if _MAY_BE_BURNED_IN.fullmatch(text_of(image, "SOPClassUID")) else False


def even_images(
    datasets: Sequence[Dataset],
    *,
    code: str,
    uids: Uids,
    series_number: int = 1,
    series_description: str = "",
    look_at_pixels: bool = False,
) -> list[Dataset]:
    """Return a series as a reader gets it: no identity, no dates, new UIDs, pixels as they were.

    Sex and age stay (from 90 on as "90"), as they do on a request form. Overlays and private tags go.

    Parameters
    ----------
    datasets
        Images of one series, whole.
    code
        Of the case; stands for the patient.
    uids
        Old UID to new UID (`overread.study.blinding.uids_of`).
    series_number, series_description
        Of the copy: the original's may tell the scanner or the site.
    look_at_pixels
        Somebody has looked: images that may hold a patient's data in their pixels, without saying, are taken.

    Returns
    -------
    list of Dataset
        In the order given, with file meta information, in the transfer syntax they had.

    Raises
    ------
    DataError
        If a header says that a patient's data is burned into the pixels, or such is to be feared (see `burned_in`).
    """
    return [
        _even_image(ds, code, uids, series_number, series_description, look_at_pixels=look_at_pixels, index=index)
        for index, ds in enumerate(datasets, start=1)
    ]


def even_segmentation(
    seg: Dataset, *, images: Sequence[Dataset], code: str, uids: Uids, segments: Sequence[SegmentInfo]
) -> Dataset:
    """Return a segmentation as a reader gets it: its voxels, and nothing else of it.

    Every segment of the study has a frame on every slice, drawn or not, uncompressed: two sources of one exam give
    files of one size. Segments are found by their label.

    Parameters
    ----------
    seg
        BINARY, FRACTIONAL or LABELMAP, drawn on the original images.
    images
        Evened images of the series (`even_images`), made with the same `uids`.
    code
        Of the case; becomes SeriesDescription.
    uids
        Old UID to new UID.
    segments
        Of the study, numbered 1, 2, 3 …: label, codes, region and colour are taken from here.

    Returns
    -------
    Dataset
        BINARY Segmentation Storage, Explicit VR Little Endian: the same bytes for the same voxels, code and images.

    Raises
    ------
    DataError
        If it is of another study or grid, has a segment that the study does not know, or can't be decoded.
    """
    frames = single_frames(images)
    geometry = geometry_of(frames)
    decoded = decode_seg(seg, geometry=geometry)
    _check_belongs(decoded, frames[0], geometry, uids)
    numbers = _numbers_of(decoded, segments)
    masks: dict[int, NDArray[np.bool_]] = {s.number: np.zeros(geometry.shape, dtype=np.bool_) for s in segments}
    for number, target in numbers.items():
        _draw(decoded, number, masks[target], geometry, uids)
    info = ObjectInfo(
        series_instance_uid=uids("series of the segmentation"),
        sop_instance_uid=uids("the segmentation"),
        series_number=900,
        series_description=code,
        content_datetime=_EVEN_MOMENT,
        manufacturer=_NOBODY,
        model_name=_NOBODY,
        software_version=_NOBODY,
        serial_number=_NOBODY,
    )
    even = write_seg(images, masks, [_even_segment(s) for s in segments], info=info, every_slice=True)
    even.SegmentsOverlap = "UNDEFINED"
    for keyword in ("ContributingEquipmentSequence", "InstanceCreationDate", "InstanceCreationTime"):
        even.pop(keyword, None)
    organisation = uids("dimension organization")
    for holder in (*even.DimensionOrganizationSequence, *even.DimensionIndexSequence):
        holder.DimensionOrganizationUID = organisation
    even.PatientIdentityRemoved, even.DeidentificationMethod = "YES", "Reading copy"
    even.file_meta = _file_meta(even, ExplicitVRLittleEndian)
    return as_read(even)


def _even_image(
    ds: Dataset, code: str, uids: Uids, number: int, description: str, *, look_at_pixels: bool, index: int
) -> Dataset:
    uid = text_of(ds, "SOPInstanceUID")
    risk = burned_in(ds)
    if risk or (risk is None and not look_at_pixels):
        why = "its header says that" if risk else "images of this kind often have it, and the header does not say, that"
        raise DataError(
            f"It can't be given to blinded readers: {why} a patient's data stands in the pixels; take another series"
            f"{'' if risk else ', or look at it and set BurnedInAnnotation to NO'}.",
            uid=uid,
            tag="BurnedInAnnotation",
        )
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not text_of(ds, keyword):
            raise DataError("An image lacks this attribute: send the series again.", uid=uid, tag=keyword)
    even = _kept(ds, uids)
    even.SpecificCharacterSet = "ISO_IR 192"
    even.PatientName = even.PatientID = code
    even.PatientBirthDate = even.AccessionNumber = even.StudyID = even.ReferringPhysicianName = ""
    even.PatientSex = text_of(ds, "PatientSex") if text_of(ds, "PatientSex") in ("F", "M", "O") else ""
    _even_age(ds, even)
    for what in ("Study", "Series", "Acquisition", "Content"):
        setattr(even, f"{what}Date", EVEN_DATE)
        setattr(even, f"{what}Time", EVEN_TIME)
    even.SeriesNumber = number
    if description:
        even.SeriesDescription = description
    even.InstanceNumber = whole_number(ds, "InstanceNumber", default=index)
    even.Manufacturer = _NOBODY
    if is_enhanced(ds):
        even.ManufacturerModelName = even.SoftwareVersions = even.DeviceSerialNumber = _NOBODY
    if "FrameOfReferenceUID" in even and "PositionReferenceIndicator" not in even:
        even.PositionReferenceIndicator = ""
    even.PatientIdentityRemoved, even.DeidentificationMethod = "YES", "Reading copy"
    even.BurnedInAnnotation = "NO"
    syntax = getattr(ds, "file_meta", Dataset()).get("TransferSyntaxUID") or ExplicitVRLittleEndian
    even.file_meta = _file_meta(even, syntax)
    return even


def _kept(ds: Dataset, uids: Uids) -> Dataset:
    """Return the listed attributes of a dataset, sequences item by item, with new UIDs."""
    even = Dataset()
    for tag in ds.keys():  # noqa: SIM118 - iterating would convert every value, wrong ones too
        if tag.is_private or tag.element == 0:
            continue
        try:
            element = ds[tag]
            kept = _kept_element(element, uids)
        except _UNREADABLE:
            continue
        if kept is not None:
            even.add(kept)
    return even


def _kept_element(element: DataElement, uids: Uids) -> DataElement | None:
    keyword, vr = element.keyword, str(element.VR)
    listed = keyword in _KEPT
    if keyword in _DROPPED or not (listed or element.tag.group in _KEPT_GROUPS):
        return None
    if vr == "SQ":
        items = [_kept(item, uids) for item in element.value]
        return DataElement(element.tag, "SQ", items) if listed or any(items) else None
    if vr == "UI":
        return DataElement(element.tag, "UI", _new_uids(element.value, uids)) if element.value else None
    if keyword in _EVENED_MOMENTS:
        return DataElement(element.tag, "DT", EVEN_DATE + EVEN_TIME)
    return element if listed or vr in _KEPT_VRS else None


def _new_uids(value: object, uids: Uids) -> str | list[str]:
    if isinstance(value, str):
        return value if value.startswith(_STANDARD_ROOT) else uids(str(value))
    assert isinstance(value, Sequence)  # noqa: S101 - what pydicom gives for several
    return [one if one.startswith(_STANDARD_ROOT) else uids(str(one)) for one in value]


def _even_age(ds: Dataset, even: Dataset) -> None:
    found = re.fullmatch(r"(\d{3})([DWMY])", text_of(ds, "PatientAge"))
    if found:
        old = found[2] == "Y" and int(found[1]) > _OLDEST_AGE
        even.PatientAge = "090Y" if old else found[0]


def _file_meta(ds: Dataset, syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = _IMPLEMENTATION_UID
    meta.ImplementationVersionName = _IMPLEMENTATION
    return meta


def _check_belongs(decoded: DecodedSeg, image: Dataset, geometry: VolumeGeometry, uids: Uids) -> None:
    uid = decoded.sop_instance_uid
    if uids(decoded.study_instance_uid) != text_of(image, "StudyInstanceUID"):
        raise DataError(
            "The segmentation is of another study than the images: take the one of this exam.",
            uid=uid,
            tag="StudyInstanceUID",
        )
    if (decoded.rows, decoded.columns) != geometry.shape[1:]:
        raise DataError(
            f"Its frames are {decoded.rows} x {decoded.columns}, the images {geometry.shape[1]} x {geometry.shape[2]}: "
            "it must have the grid of its images; add it again from the original file.",
            uid=uid,
            tag="Rows",
        )


def _numbers_of(decoded: DecodedSeg, segments: Sequence[SegmentInfo]) -> dict[int, int]:
    """Return for numbers of the segmentation those of the study, found by label."""
    known = {_key(s.label): s.number for s in segments}
    numbers: dict[int, int] = {}
    for segment in decoded.segments:
        number = known.get(_key(segment.label))
        if number is None or number in numbers.values():
            why = "twice" if number else "not one of the study's"
            raise DataError(
                f"Its segment '{segment.label}' is {why} ({', '.join(s.label for s in segments)}): name its segments "
                "as the study does and add it again.",
                uid=decoded.sop_instance_uid,
                tag="SegmentLabel",
            )
        numbers[segment.number] = number
    return numbers


def _draw(decoded: DecodedSeg, number: int, volume: NDArray[np.bool_], geometry: VolumeGeometry, uids: Uids) -> None:
    slices = {key: k for k, key in enumerate(geometry.sop_instance_uids)}
    for key, mask in decoded.masks[number].items():
        old, mark, frame = key.partition("#")
        k = slices.get(key, slices.get(uids(old) + mark + frame))
        if k is None:
            raise DataError(
                f"A frame refers to image {old}, which is not in the series: take the segmentation of this series.",
                uid=decoded.sop_instance_uid,
            )
        volume[k] |= mask


def _even_segment(segment: SegmentInfo) -> SegmentInfo:
    return replace(
        segment,
        algorithm_type="MANUAL",
        algorithm_name="",
        algorithm_version="",
        tracking_id="",
        tracking_uid="",
        color_cielab=segment.color_cielab or _PALETTE[(segment.number - 1) % len(_PALETTE)],
    )


def _key(label: str) -> str:
    return " ".join(label.split()).casefold()
