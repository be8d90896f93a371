"""ROI collections of the OHIF plugin: checked before they are sent, sent, read back, and compared.

The ROI service refuses a SEG or RTSTRUCT with 422 and few words. Its conditions are checked here first, against the
session as the server has it, each with what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from overread.dicom.geometry import attribute, text_of
from overread.dicom.seg_read import decode_seg
from overread.errors import DataError, NotFound
from overread.xnat.connection import FileArchive, Request

MODALITIES = ("MR", "CT", "PT", "US")
# SOP class -> type of collection.
_LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
_TYPES = {"1.2.840.10008.5.1.4.1.1.66.4": "SEG", _LABEL_MAP: "SEG", "1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT"}
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NEAR_MM = 1e-3


@dataclass(frozen=True)
class Reference:
    """What an object refers to: UIDs of studies, series, and instances."""

    studies: frozenset[str]
    series: frozenset[str]
    instances: frozenset[str]


@dataclass(frozen=True)
class Problem:
    """Why the ROI service would refuse, and what to do."""

    what: str
    mend: str

    def __str__(self) -> str:
        """Return both in one sentence."""
        return f"{self.what}; {self.mend}"


def read_object(path: Path) -> Dataset:
    """Read a SEG or RTSTRUCT.

    Raises
    ------
    DataError
        It is neither, or no DICOM.
    """
    try:
        found = dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise DataError(f"{path} can't be read as DICOM ({type(error).__name__}); check the file") from None
    if text_of(found, "SOPClassUID") not in _TYPES:
        raise DataError(f"{path} is neither SEG nor RTSTRUCT; no other object can be a ROI collection from here")
    return found


def type_of(found: Dataset) -> str:
    """Return ``SEG`` or ``RTSTRUCT``."""
    return _TYPES[text_of(found, "SOPClassUID")]


def references_of(found: Dataset) -> Reference:
    """Return what a SEG (PS3.3 A.51) or RTSTRUCT (PS3.3 A.19) refers to."""
    if type_of(found) == "SEG":
        series = list(attribute(found, "ReferencedSeriesSequence") or ())
        listed = {uid for item in series for uid in _uids(attribute(item, "ReferencedInstanceSequence"))}
        groups = [*(attribute(found, "PerFrameFunctionalGroupsSequence") or ())]
        drawn = {
            uid
            for group in groups
            for image in attribute(group, "DerivationImageSequence") or ()
            for uid in _uids(attribute(image, "SourceImageSequence"))
        }
        names = {text_of(item, "SeriesInstanceUID") for item in series}
        return Reference(frozenset({text_of(found, "StudyInstanceUID")}), frozenset(names), frozenset(listed | drawn))
    frames = [*(attribute(found, "ReferencedFrameOfReferenceSequence") or ())]
    studies = [study for frame in frames for study in attribute(frame, "RTReferencedStudySequence") or ()]
    series = [one for study in studies for one in attribute(study, "RTReferencedSeriesSequence") or ()]
    listed = {uid for one in series for uid in _uids(attribute(one, "ContourImageSequence"))}
    drawn = {uid for _, contour in _contours(found) for uid in _uids(attribute(contour, "ContourImageSequence"))}
    return Reference(
        frozenset(_uids(studies)) or frozenset({text_of(found, "StudyInstanceUID")}),
        frozenset(text_of(one, "SeriesInstanceUID") for one in series),
        frozenset(listed | drawn),
    )


def check(
    archive: FileArchive, found: Dataset, *, project: str, session: str, label: str, overwrite: bool
) -> tuple[Problem, ...]:
    """Hold an object against all that the ROI service demands.

    Parameters
    ----------
    archive
        The server.
    found
        The SEG or RTSTRUCT.
    project, session
        Where it shall go; the session by label or ID.
    label
        Label of the collection.
    overwrite
        A collection of that label on the session is replaced.

    Returns
    -------
    tuple of Problem
        Empty when it would be taken.

    Raises
    ------
    NotFound
        There is no such session.
    """
    fields = _session(archive, project, session)
    return tuple(_problems(archive, found, fields, project=project, label=label, overwrite=overwrite))


def put(
    archive: FileArchive, path: Path, *, project: str, session: str, label: str, overwrite: bool
) -> tuple[str, tuple[str, ...]]:
    """Check a file, upload it, read it back and compare.

    Returns
    -------
    str
        ID of the collection.
    tuple of str
        In what it differs from what was sent; empty when it came back as it was.

    Raises
    ------
    DataError
        The ROI service would refuse it: nothing was sent.
    ArchiveError
        The server refuses it all the same.
    """
    found = read_object(path)
    problems = check(archive, found, project=project, session=session, label=label, overwrite=overwrite)
    if problems:
        raise DataError("; ".join(map(str, problems)))
    number = str(_session(archive, project, session)["ID"])
    base = f"/xapi/roi/projects/{quote(project)}"
    query = {"type": type_of(found), "overwrite": str(overwrite).lower()}
    request = Request("PUT", f"{base}/sessions/{number}/collections/{quote(label)}", query, content=path.read_bytes())
    made = archive.send(request).text.strip()
    with TemporaryDirectory() as folder:
        back = Path(folder) / "back.dcm"
        get(archive, project=project, label=label, target=back)
        return made, compare(found, read_object(back))


def get(archive: FileArchive, *, project: str, label: str, target: Path) -> None:
    """Write a collection's object to a file.

    Raises
    ------
    NotFound
        The project has no collection of that label or ID.
    """
    base = f"/xapi/roi/projects/{quote(project)}"
    there = archive.get(f"{base}/exists/{quote(label)}")
    if there is None or there.value() is not True:
        raise NotFound(f"project {project} has no ROI collection {label}; check its label or ID")
    archive.download(f"{base}/collections/{quote(label)}", target)


def compare(one: Dataset, other: Dataset) -> tuple[str, ...]:
    """Say in what two objects differ: segments or ROIs, their labels, voxels or contours, and where they lie.

    Raises
    ------
    DataError
        One of them can't be decoded.
    """
    if type_of(one) != type_of(other):
        return (f"one is a {type_of(one)}, the other a {type_of(other)}",)
    return tuple(_segmentations(one, other) if type_of(one) == "SEG" else _structures(one, other))


def _problems(
    archive: FileArchive, found: Dataset, fields: dict[str, Any], *, project: str, label: str, overwrite: bool
) -> Iterator[Problem]:
    number, base = str(fields["ID"]), f"/xapi/roi/projects/{quote(project)}"
    if text_of(found, "SOPClassUID") == _LABEL_MAP:
        yield Problem("it is a label map, which XNAT's ROI plugin does not know", "save it as a binary SEG")
    if not _LABEL.fullmatch(label):
        yield Problem(f"'{label}' is no label of a collection", "use up to 64 letters, digits, - and _")
    modality = str(fields.get("modality") or "")
    if modality not in MODALITIES:
        yield Problem(
            f"the session's modality is {modality or 'not set'}, the ROI service takes {', '.join(MODALITIES)}",
            "set the session's modality, or keep the object as a resource of a scan",
        )
    refers = references_of(found)
    uid = str(fields.get("UID") or "")
    if not uid:
        yield Problem("the session has no study UID", "set its UID: PUT <session>?UID=...")
    elif refers.studies != {uid}:
        yield Problem(
            f"it belongs to study {', '.join(sorted(refers.studies)) or 'none'}, the session to {uid}",
            "take the object made from this session; anonymisation after it was made changes UIDs",
        )
    yield from _missing(archive, refers, f"{base}/sessions/{number}")
    taken = archive.get(f"{base}/exists/{quote(label)}") if _LABEL.fullmatch(label) else None
    if taken is not None and taken.value() is True:
        mine = any(row.get("label") == label for row in _assessors(archive, number))
        if not mine:
            yield Problem(f"the label {label} is another session's in this project", "choose another: it is unique")
        elif not overwrite:
            yield Problem(f"the session has a collection {label} already", "choose another label, or say --overwrite")


def _missing(archive: FileArchive, refers: Reference, base: str) -> Iterator[Problem]:
    if not refers.series:
        yield Problem("it refers to no series", "write it with the series that it was drawn on")
    answer = archive.get(f"{base}/uididmap")
    scans = answer.value() if answer else {}
    scans = scans if isinstance(scans, dict) else {}
    lost = sorted(refers.series - scans.keys())
    if lost:
        yield Problem(
            f"series {lost[0]}{_more(lost)} of it is in no scan of the session",
            "archive that series, or set the UID of its scan",
        )
        return
    there: set[str] = set()
    for series in refers.series:
        listed = archive.get(f"{base}/scans/{quote(str(scans[series]))}/uids")
        value = listed.value() if listed else []
        there |= set(map(str, value if isinstance(value, list) else []))
    gone = sorted(refers.instances - there)
    if gone:
        mend = "archive the whole series, or take the object made from it"
        yield Problem(f"image {gone[0]}{_more(gone)} of it is not in the session", mend)


def _segmentations(one: Dataset, other: Dataset) -> Iterator[str]:
    ours, theirs = decode_seg(one), decode_seg(other)
    for name in ("rows", "columns", "frame_of_reference_uid", "study_instance_uid", "sop_instance_uid"):
        if getattr(ours, name) != getattr(theirs, name):
            yield f"{name}: {getattr(ours, name)} -> {getattr(theirs, name)}"
    if set(ours.referenced_series_uids) != set(theirs.referenced_series_uids):
        yield "the series that it refers to"
    if [(s.number, s.label) for s in ours.segments] != [(s.number, s.label) for s in theirs.segments]:
        names = (", ".join(f"{s.number} {s.label}" for s in seg.segments) for seg in (ours, theirs))
        yield f"segments: {' -> '.join(names)}"
    for number, masks in ours.masks.items():
        others = theirs.masks.get(number, {})
        if masks.keys() != others.keys():
            yield f"segment {number} is on {len(masks)} images -> {len(others)}"
            continue
        off = sum(_off(mask, others[uid]) for uid, mask in masks.items())
        if off:
            yield f"segment {number} differs in {off} voxels"


def _structures(one: Dataset, other: Dataset) -> Iterator[str]:
    ours, theirs = _names(one), _names(other)
    if ours != theirs:
        yield f"ROIs: {', '.join(ours.values())} -> {', '.join(theirs.values())}"
    if references_of(one) != references_of(other):
        yield "the images that it refers to"
    drawn, others = _points(one), _points(other)
    for number in sorted(drawn.keys() | others.keys()):
        mine, back = drawn.get(number, []), others.get(number, [])
        if len(mine) != len(back):
            yield f"ROI {number} has {len(mine)} contours -> {len(back)}"
        elif not all(_near(a, b) for a, b in zip(mine, back, strict=True)):
            yield f"ROI {number}: its points"


def _off(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(one != other)) if one.shape == other.shape else one.size


def _near(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, atol=_NEAR_MM, rtol=0))


def _names(found: Dataset) -> dict[str, str]:
    rois = attribute(found, "StructureSetROISequence") or ()
    return {text_of(roi, "ROINumber"): text_of(roi, "ROIName") for roi in rois}


def _points(found: Dataset) -> dict[str, list[Any]]:
    points: dict[str, list[Any]] = {}
    for number, contour in _contours(found):
        data = attribute(contour, "ContourData") or ()
        points.setdefault(number, []).append(np.asarray([float(value) for value in data]))
    return points


def _contours(found: Dataset) -> Iterator[tuple[str, Dataset]]:
    for roi in attribute(found, "ROIContourSequence") or ():
        for contour in attribute(roi, "ContourSequence") or ():
            yield text_of(roi, "ReferencedROINumber"), contour


def _session(archive: FileArchive, project: str, session: str) -> dict[str, Any]:
    answer = archive.get(f"/data/projects/{quote(project)}/experiments/{quote(session)}", {"format": "json"})
    document = answer.value() if answer else {}
    items = document.get("items") if isinstance(document, dict) else None
    if not items:
        raise NotFound(f"project {project} has no session {session}, or you may not see it; check label or ID")
    return dict(items[0]["data_fields"])


def _assessors(archive: FileArchive, number: str) -> list[dict[str, Any]]:
    answer = archive.get(f"/data/experiments/{number}/assessors", {"format": "json", "columns": "ID,label"})
    document = answer.value() if answer else {}
    rows = document.get("ResultSet", {}).get("Result", []) if isinstance(document, dict) else []
    return [row for row in rows if isinstance(row, dict)]


def _uids(items: Iterable[Dataset] | None) -> Iterator[str]:
    for item in items or ():
        uid = text_of(item, "ReferencedSOPInstanceUID")
        if uid:
            yield uid


def _more(uids: list[str]) -> str:
    return f" and {len(uids) - 1} more" if len(uids) > 1 else ""
