"""Turns what a viewer stored into a segmentation that can be kept.

Viewers forget what they were given: OHIF calls every segment MANUAL and "Tissue", writes no tracking UIDs, no frame
content in label maps, no predecessor, and numbers that do not fit after a deletion in BINARY ones. Here the upload is
checked against the exam it claims to belong to, decoded voxel by voxel, matched with the segmentation that the reader
was shown, and written anew. Voxels are never changed.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from overread.dicom.geometry import VolumeGeometry, geometry_of, text_of, whole_number
from overread.dicom.headers import plain_text
from overread.dicom.multiframe import single_frames
from overread.dicom.seg_read import DecodedSeg, decode_seg
from overread.dicom.seg_write import ObjectInfo, write_seg
from overread.dicom.segments import SegmentInfo
from overread.errors import DataError

Mask = NDArray[np.bool_]

_UID = re.compile(r"(?=.{3,64}\Z)[0-9]+(\.[0-9]+)+")
_READER = re.compile(r"[^\\^=\x00-\x1f\x7f]{1,64}")
_EDIT_SERIES_NUMBER: Final = 910
_MAX_SERIES_NUMBER: Final = 2**31 - 1
_DESCRIPTION: Final = "Reader's segmentation"
_LO_MAX: Final = 64


@dataclass(frozen=True)
class _Drawn:
    """A segment as it is to be written, with its voxels (slices, rows, columns)."""

    info: SegmentInfo
    mask: Mask


def normalise_viewer_seg(
    upload: Dataset,
    *,
    original: Dataset | None,
    source_images: Sequence[Dataset],
    reader: str,
    content_datetime: datetime.datetime,
) -> Dataset:
    """Return a conformant BINARY segmentation with the voxels of `upload`.

    SeriesInstanceUID and SOPInstanceUID stay those of the upload, so that the viewer finds what it stored.
    Segments are matched with those of `original` by number and label, else by label; a matched segment keeps number,
    codes, tracking UIDs and colour. It also keeps its algorithm type if its voxels are unchanged; else it is
    SEMIAUTOMATIC (MANUAL stays MANUAL). A segment of `original` that the reader deleted stays listed, without voxels:
    that it is empty is a finding. Further segments are MANUAL and follow after those of `original`.

    Parameters
    ----------
    upload
        LABELMAP or BINARY, with pixel data.
    original
        Segmentation that the reader was shown, None if there was none.
    source_images
        All images of the series that was drawn on; headers are enough.
    reader
        Login; becomes ContentCreatorName.
    content_datetime
        When it was saved.

    Returns
    -------
    Dataset
        Segmentation Storage, Explicit VR Little Endian.

    Raises
    ------
    DataError
        If the upload belongs to another exam or series, is not drawn on the grid of the images, can't be understood
        with certainty, or has no voxel at all (that finding has a function of its own, `empty_seg`).
    """
    _check_reader(reader)
    source_images = single_frames(source_images)
    geometry = geometry_of(source_images)
    decoded = decode_seg(upload, geometry=geometry)
    check_belongs(decoded, upload, source_images[0], geometry)
    _check_numbers(decoded)
    if not any(decoded.masks.values()):
        raise DataError(
            'Nothing is drawn in it: if there is nothing to find, use "no lesion" instead of saving an empty mask.',
            uid=decoded.sop_instance_uid,
            tag="PixelData",
        )
    shown = _decode_original(original, source_images[0], geometry)
    if shown is not None and decoded.sop_instance_uid == shown.sop_instance_uid:
        raise DataError("It has the UID of the segmentation it corrects: save it anew.", uid=decoded.sop_instance_uid)
    drawn = _match(decoded, shown, geometry)
    return _write(
        drawn,
        source_images,
        original,
        ObjectInfo(
            series_instance_uid=decoded.series_instance_uid,
            sop_instance_uid=decoded.sop_instance_uid,
            series_number=_series_number(upload),
            series_description=plain_text(text_of(upload, "SeriesDescription"), limit=_LO_MAX) or _DESCRIPTION,
            content_creator_name=reader,
            content_datetime=content_datetime,
            model_name="Overread review",
        ),
    )


def empty_seg(
    original: Dataset | None,
    source_images: Sequence[Dataset],
    *,
    reader: str,
    content_datetime: datetime.datetime,
    label: str = "Lesion",
) -> Dataset:
    """Return the segmentation by which a reader says that there is nothing to be seen.

    Parameters
    ----------
    original
        Segmentation that the reader was shown: its segments stay listed, without voxels. None: one segment `label`.
    source_images
        All images of the series.
    reader, content_datetime
        As for `normalise_viewer_seg`.
    label
        Of the only segment where there is no `original`.

    Returns
    -------
    Dataset
        BINARY, with an empty frame per segment and slice.
    """
    _check_reader(reader)
    source_images = single_frames(source_images)
    geometry = geometry_of(source_images)
    shown = _decode_original(original, source_images[0], geometry)
    nothing = np.zeros(geometry.shape, dtype=np.bool_)
    if shown is None:
        drawn = [_Drawn(_new_segment(SegmentInfo(number=1, label=label), number=1, known=()), nothing)]
    else:
        drawn = [
            _Drawn(_edited(s) if shown.masks[s.number] else s, nothing)
            for s in (replace(s, number=n) for n, s in enumerate(shown.segments, start=1))
        ]
    return _write(
        drawn,
        source_images,
        original,
        ObjectInfo(
            series_number=_EDIT_SERIES_NUMBER,
            series_description="Reader: nothing to segment",
            content_creator_name=reader,
            content_datetime=content_datetime,
            model_name="Overread review",
        ),
    )


def _write(
    drawn: Sequence[_Drawn], source_images: Sequence[Dataset], original: Dataset | None, info: ObjectInfo
) -> Dataset:
    masks = {d.info.number: d.mask for d in drawn}
    return write_seg(source_images, masks, [d.info for d in drawn], info=info, predecessor=original)


def _check_reader(reader: str) -> None:
    if not _READER.fullmatch(reader) or reader != reader.strip():
        raise DataError("The reader's login must have 1 to 64 characters, none of them \\ ^ or =: log in with another.")


def check_belongs(decoded: DecodedSeg, upload: Dataset, image: Dataset, geometry: VolumeGeometry) -> None:
    """Demand that a segmentation belongs to a series and lies on its grid.

    Parameters
    ----------
    decoded, upload
        The segmentation.
    image, geometry
        Any image of the series, and the grid of all.

    Raises
    ------
    DataError
        With what does not fit.
    """
    uid = decoded.sop_instance_uid
    series = text_of(image, "SeriesInstanceUID")
    for value, keyword in ((uid, "SOPInstanceUID"), (decoded.series_instance_uid, "SeriesInstanceUID")):
        if not _UID.fullmatch(value):
            raise DataError("The upload has no proper UID here: save it again.", tag=keyword)
    if decoded.series_instance_uid == series or uid in geometry.sop_instance_uids:
        raise DataError("It has the UID of an image or of the image series: save it as a new series.", uid=uid)
    if decoded.study_instance_uid != text_of(image, "StudyInstanceUID"):
        raise DataError(
            "It belongs to another study than the exam shown: reload the page and save again.",
            uid=uid,
            tag="StudyInstanceUID",
        )
    strangers = set(decoded.referenced_series_uids) - {series}
    if strangers:
        raise DataError(
            f"It refers to series {sorted(strangers)[0]}, the exam shown is series {series}: reload and save again.",
            uid=uid,
            tag="ReferencedSeriesSequence",
        )
    unknown = decoded.source_uids - set(geometry.sop_instance_uids)
    if unknown:
        raise DataError(
            f"{len(unknown)} of its {len(decoded.source_uids)} images are not in series {series}: reload and save "
            "again.",
            uid=uid,
            tag="ReferencedSOPInstanceUID",
        )
    if (decoded.rows, decoded.columns) != geometry.shape[1:]:
        raise DataError(
            f"Its frames are {decoded.rows} x {decoded.columns}, the images {geometry.shape[1]} x {geometry.shape[2]}: "
            "a segmentation must have the grid of its images; reload and save again.",
            uid=uid,
            tag="Rows",
        )
    frame_of_reference = decoded.frame_of_reference_uid
    if frame_of_reference and geometry.frame_of_reference_uid and frame_of_reference != geometry.frame_of_reference_uid:
        raise DataError(
            "It lies in another frame of reference than the images: reload and save again.",
            uid=uid,
            tag="FrameOfReferenceUID",
        )
    patient = text_of(upload, "PatientID")
    if patient and patient != text_of(image, "PatientID"):
        raise DataError("It names another patient than the exam shown: reload and save again.", uid=uid)


def _check_numbers(decoded: DecodedSeg) -> None:
    """Refuse BINARY uploads in which a listed segment has no frame: their numbers can't be trusted.

    A viewer that renumbers SegmentSequence after a deletion but not its frames says "1 = Lesion" while the frames show
    segment 2. With three segments that may still look like a valid file, only with a segment too many.
    """
    listed = {s.number for s in decoded.segments}
    if decoded.binary and decoded.frame_segments != listed:
        raise DataError(
            f"Segments {sorted(listed)} are listed, but frames show {sorted(decoded.frame_segments)}: after a segment "
            "was deleted or emptied, viewers store wrong numbers in BINARY segmentations; store as LABELMAP.",
            uid=decoded.sop_instance_uid,
            tag="ReferencedSegmentNumber",
        )


def _decode_original(original: Dataset | None, image: Dataset, geometry: VolumeGeometry) -> DecodedSeg | None:
    if original is None:
        return None
    shown = decode_seg(original, geometry=geometry)
    if shown.study_instance_uid != text_of(image, "StudyInstanceUID"):
        raise DataError(
            "The original segmentation is of another study: pass that of this exam.", uid=shown.sop_instance_uid
        )
    return shown


def _match(decoded: DecodedSeg, shown: DecodedSeg | None, geometry: VolumeGeometry) -> list[_Drawn]:
    known = shown.segments if shown else ()
    pairs = _pairs(decoded.segments, known)
    partner = {theirs.number: ours for ours, theirs in pairs.items()}
    nothing = np.zeros(geometry.shape, dtype=np.bool_)
    drawn: list[_Drawn] = []
    for number, before in enumerate(known, start=1):
        upload = partner.get(before.number)
        mask = decoded.volume(upload, geometry) if upload is not None else nothing
        unchanged = shown is not None and np.array_equal(mask, shown.volume(before.number, geometry))
        drawn.append(_Drawn(replace(before if unchanged else _edited(before), number=number), mask))
    for segment in decoded.segments:
        if segment.number not in pairs and decoded.masks[segment.number]:
            new = _new_segment(segment, number=len(drawn) + 1, known=known)
            drawn.append(_Drawn(new, decoded.volume(segment.number, geometry)))
    return drawn


def _pairs(uploaded: Sequence[SegmentInfo], known: Sequence[SegmentInfo]) -> Mapping[int, SegmentInfo]:
    """Return for numbers of the upload the segment of the original that it is: by number and label, else by label."""
    pairs: dict[int, SegmentInfo] = {}
    free = {s.number: s for s in known}
    for segment in uploaded:
        same = free.get(segment.number)
        if same is not None and _key(same.label) == _key(segment.label):
            pairs[segment.number] = free.pop(segment.number)
    for segment in uploaded:
        if segment.number not in pairs:
            alike = [s for s in free.values() if _key(s.label) == _key(segment.label)]
            if len(alike) == 1:
                pairs[segment.number] = free.pop(alike[0].number)
    return pairs


def _edited(segment: SegmentInfo) -> SegmentInfo:
    return segment if segment.algorithm_type == "MANUAL" else replace(segment, algorithm_type="SEMIAUTOMATIC")


def _new_segment(segment: SegmentInfo, *, number: int, known: Sequence[SegmentInfo]) -> SegmentInfo:
    """Return a segment that the reader added.

    Its codes are those of an original segment of the same name but for a number ("Lesion 2"); whatever its name, where
    all original segments are of one kind; else those of the upload, which viewers set to "Tissue".
    """
    label = plain_text(segment.label, limit=_LO_MAX) or f"Segment {number}"
    kin = next((s for s in known if _stem(s.label) == _stem(label)), known[0] if _one_kind(known) else segment)
    return replace(
        segment,
        number=number,
        label=label,
        category=kin.category,
        type=kin.type,
        anatomic_region=kin.anatomic_region,
        algorithm_type="MANUAL",
        algorithm_name="",
        algorithm_version="",
        tracking_id=label,
        tracking_uid=str(generate_uid(prefix=None)),
    )


def _one_kind(known: Sequence[SegmentInfo]) -> bool:
    return len({(segment.category, segment.type) for segment in known}) == 1


def _key(label: str) -> str:
    return " ".join(label.split()).casefold()


def _stem(label: str) -> str:
    return re.sub(r"[\s_#-]*\d+$", "", _key(label))


def _series_number(upload: Dataset) -> int:
    try:
        number = whole_number(upload, "SeriesNumber")
    except DataError:
        return _EDIT_SERIES_NUMBER
    return number if 0 < number <= _MAX_SERIES_NUMBER else _EDIT_SERIES_NUMBER
