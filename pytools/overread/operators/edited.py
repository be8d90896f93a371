"""What a reader made of a segmentation: found in its collection, traced back to the result it corrects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from overread.dicom.geometry import VolumeGeometry, attribute, text_of
from overread.dicom.seg import DecodedSeg, decode_seg, is_seg, predecessor_of
from overread.errors import DataError
from overread.operators.load import FoundSeries, load_folder
from overread.operators.result import Comparison, Lesion, Measurement, Model, check_result
from overread.operators.structures import STRUCTURE_SET, segmentation_of_structures, series_of_structures
from overread.operators.write import RESULT_NAME

_MAX_RESULT_BYTES: Final = 4 * 2**20
_HEADER: Final = ("SOPClassUID", "SOPInstanceUID", "PredecessorDocumentsSequence")


@dataclass(frozen=True, kw_only=True, eq=False)
class Original:
    """The model's result that a segmentation corrects.

    Parameters
    ----------
    label
        Of the result in XNAT.
    model
        That made it.
    role
        Role of the series that was segmented.
    seg
        The model's segmentation.
    texts
        What its result says in words.
    """

    label: str
    model: Model
    role: str
    seg: Dataset
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Edit:
    """A reader's segmentation, measured.

    Parameters
    ----------
    seg
        As stored.
    mask
        (slices, rows, columns): what any of its segments covers.
    measurements
        On that mask.
    original
        Result that it corrects, None if it was drawn from nothing.
    reader
        Login.
    caption
        What the preview says.
    lesions, comparison
        The parts of the mask, and how it differs from the one that it corrects.
    before
        The mask that it corrects, None if there is none.
    texts
        What the result says in words, by field.
    parts, shown
        For the preview, as in `overread.operators.preview`.
    """

    seg: Dataset
    mask: NDArray[np.bool_]
    measurements: tuple[Measurement, ...]
    original: Original | None
    reader: str
    caption: str
    lesions: tuple[Lesion, ...] = ()
    comparison: Comparison | None = None
    before: NDArray[np.bool_] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[NDArray[np.bool_], ...] = ()
    shown: tuple[float, float] | None = None


def find_seg(folder: Path, session: Path) -> Dataset | None:
    """Return the one segmentation in a collection's folder, None if its file has not been stored yet.

    A structure set (RTSTRUCT) is drawn into the grid of its images, see `overread.operators.structures`.

    Parameters
    ----------
    folder
        Of the collection.
    session
        Of the exam, which holds the images that it was drawn on.

    Raises
    ------
    DataError
        If there are several: a collection is one segmentation; or it is a structure set that encloses nothing.
    """
    found = {text_of(header, "SOPInstanceUID"): path for path, header in drawn_objects(folder)}
    if len(found) > 1:
        raise DataError(f"The collection holds {len(found)} segmentations: store each as a collection of its own.")
    return read_drawn(next(iter(found.values())), session) if found else None


def read_drawn(path: Path, session: Path) -> Dataset:
    """Read a segmentation; a structure set is drawn into the grid of its images, which the session holds."""
    found = dcmread(path)
    if is_seg(found):
        return found
    referenced = series_of_structures(found)
    return segmentation_of_structures(found, _series_in(session, referenced, text_of(found, "SOPInstanceUID")))


def is_of_a_reader(seg: Dataset) -> bool:
    """Return whether a person had a hand in a segmentation: by correcting one, or by drawing.

    A reader who saves an AI's segmentation unchanged agrees with it; that is also an answer.
    """
    drawn = any(segment.algorithm_type != "AUTOMATIC" for segment in decode_seg(seg).segments)
    return drawn or bool(predecessor_of(seg))


def find_original(seg: Dataset, session: Path) -> Original | None:
    """Return the model's result at the beginning of a segmentation's line of predecessors.

    Parameters
    ----------
    seg
        A reader's segmentation; it may correct another reader's.
    session
        Folder of the exam as XNAT keeps it: ``ASSESSORS/<label>/…``.

    Returns
    -------
    Original or None
        None if it was drawn from nothing, or what it corrects is not in this session.
    """
    folder = session / "ASSESSORS"
    stored = dict(segmentations(folder))
    paths = {text_of(header, "SOPInstanceUID"): path for path, header in stored.items()}
    predecessors = {text_of(header, "SOPInstanceUID"): predecessor_of(header) for header in stored.values()}
    uid, seen = predecessor_of(seg), {text_of(seg, "SOPInstanceUID")}
    while uid and predecessors.get(uid) and uid not in seen:
        seen.add(uid)
        uid = predecessors[uid]
    return _result_with(uid, folder, paths) if uid and uid not in seen else None


def images_of(seg: Dataset, session: Path) -> FoundSeries:
    """Return the series that a segmentation was drawn on.

    Raises
    ------
    DataError
        If the session does not hold it.
    """
    referenced = [text_of(item, "SeriesInstanceUID") for item in attribute(seg, "ReferencedSeriesSequence") or ()]
    return _series_in(session, referenced, text_of(seg, "SOPInstanceUID"))


def _series_in(session: Path, referenced: list[str], uid: str) -> FoundSeries:
    for series in load_folder(session).series:
        if series.summary.series_instance_uid in referenced:
            return series
    raise DataError(
        "The series that the segmentation was drawn on is not in this session: store both in one.",
        uid=referenced[0] if referenced else uid,
        tag="ReferencedSeriesSequence",
    )


def union_mask(decoded: DecodedSeg, geometry: VolumeGeometry) -> NDArray[np.bool_]:
    """Return what any segment covers, as (slices, rows, columns)."""
    mask = np.zeros(geometry.shape, dtype=np.bool_)
    for segment in decoded.segments:
        mask |= decoded.volume(segment.number, geometry)
    return mask


def _result_with(seg_uid: str, assessors: Path, stored: Mapping[str, Path]) -> Original | None:
    for path in sorted(assessors.glob(f"*/*/{RESULT_NAME}")):
        document = _document(path)
        if document and seg_uid in stored and document["outputs"].get("seg", {}).get("sop_instance_uid") == seg_uid:
            return Original(
                label=path.relative_to(assessors).parts[0],
                model=Model(**document["model"]),
                role=str(document["inputs"][0]["role"]),
                seg=dcmread(stored[seg_uid]),
                texts=document.get("texts", {}),
            )
    return None


def _document(path: Path) -> dict[str, Any] | None:
    """Return a result's document, None if the file is none: what lies in a session is not always ours."""
    try:
        if path.stat().st_size > _MAX_RESULT_BYTES:
            return None
        document = json.loads(path.read_bytes())
        check_result(document)
    except (OSError, ValueError, RecursionError, DataError):
        return None
    return document if isinstance(document, dict) else None


def segmentations(folder: Path) -> Iterator[tuple[Path, Dataset]]:
    """Yield the segmentations below a folder with their headers; what can't be read is none."""
    yield from ((path, header) for path, header in drawn_objects(folder) if is_seg(header))


def drawn_objects(folder: Path) -> Iterator[tuple[Path, Dataset]]:
    """Yield segmentations and structure sets."""
    for path in sorted(folder.rglob("*.dcm")):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER))
        except Exception:  # noqa: BLE001, S112 - a damaged file can make the parser raise anything; it is no segmentation
            continue
        if is_seg(header) or text_of(header, "SOPClassUID") == STRUCTURE_SET:
            yield path, header
