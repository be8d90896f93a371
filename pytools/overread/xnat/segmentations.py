"""Segmentations by people: taken from SEG, RTSTRUCT, NIfTI or OHIF, held against the exam, kept with their source.

They become ROI collections of the exam's session in the study's project, all of one form: BINARY, the study's segments,
the grid of the images. Who made one stands in the session's custom fields and in the collection's label. Nothing is
resampled or guessed: what does not fit is refused in words.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from overread.dicom.contours import masks_of_contours
from overread.dicom.foreign_grid import on_grid
from overread.dicom.geometry import VolumeGeometry, geometry_of, text_of
from overread.dicom.multiframe import single_frames
from overread.dicom.normalise import check_belongs
from overread.dicom.seg import ObjectInfo, SegmentInfo, decode_seg, write_seg
from overread.errors import DataError, NotFound
from overread.study.reading import prefix_of
from overread.xnat.connection import FileArchive, Request
from overread.xnat.roi import get, put, read_object, references_of, type_of

Masks = dict[str, NDArray[np.bool_]]

FIELD: Final = "segmentation:"
"""Custom field of the session, followed by the label of the collection: one a collection, so nobody overwrites."""
_NIFTI: Final = (".nii", ".nii.gz")
_DIGITS: Final = 12
_SERIES_NUMBER: Final = 905


@dataclass(frozen=True, kw_only=True)
class Given:
    """A segmentation as somebody hands it in.

    Parameters
    ----------
    source
        ``expert``, ``novice``: one of the manifest's reading.sources, not the model.
    reader
        Who drew it: a login.
    path
        SEG, RTSTRUCT or NIfTI; None for `collection`.
    collection
        Label of a collection drawn in OHIF, in the same session.
    names
        Name (SEG, RTSTRUCT) or number (NIfTI) there to the study's label, where they differ.
    scan
        The scan that a NIfTI was drawn on; needed when the session has several.
    """

    source: str
    reader: str
    path: Path | None = None
    collection: str = ""
    names: Mapping[str, str] | None = None
    scan: str = ""


@dataclass(frozen=True)
class Kept:
    """What has become of it: label and ID of the collection, its kind, voxels of each segment."""

    label: str
    number: str
    kind: str
    voxels: Mapping[str, int]


def label_of(source: str, *, session: str, reader: str) -> str:
    """Return the label of the collection: the same for the same exam (its session's ID), source and reader."""
    return prefix_of(source) + hashlib.sha256(f"{session}|{source}|{reader}".encode()).hexdigest()[:_DIGITS]


def add(
    archive: FileArchive,
    given: Given,
    *,
    project: str,
    session: str,
    segments: Sequence[SegmentInfo],
    now: datetime.datetime,
    overwrite: bool = False,
) -> Kept:
    """Check a segmentation against its exam, and keep it.

    Parameters
    ----------
    archive
        The server.
    given
        What is handed in.
    project, session
        Study's project, and label or ID of the exam's session.
    segments
        Of the study, numbered 1, 2, 3 …
    now
        When.
    overwrite
        Replace one of the same exam, source and reader.

    Raises
    ------
    DataError
        It does not belong to the exam, does not lie on its grid, holds other structures than the study's, or none.
    NotFound
        There is no such session, scan or collection.
    ArchiveError
        The server refuses it.
    """
    number = _session_id(archive, project, session)
    with TemporaryDirectory(prefix="overread-segmentation-") as name:
        folder = Path(name)
        path = given.path
        if path is None:
            path = folder / "drawn.dcm"
            get(archive, project=project, label=given.collection, target=path)
        if path.name.lower().endswith(_NIFTI):
            kind = "NIFTI"
            images = _images(archive, number, _only_scan(archive, project, number, given.scan), folder)
            drawn: Masks = _of_nifti(path, geometry_of(single_frames(images)), segments, given.names or {})
        else:
            found = read_object(path)
            kind = "OHIF" if given.path is None else type_of(found)
            images = _images(archive, number, _scan_of(archive, project, number, found), folder)
            drawn = _of_object(found, images, segments, given.names or {})
        seg = _written(drawn, images, segments, given, now)
        target = folder / "kept.dcm"
        seg.save_as(target, enforce_file_format=True)
        label = label_of(given.source, session=number, reader=given.reader)
        made, different = put(archive, target, project=project, session=number, label=label, overwrite=overwrite)
    if different:
        raise DataError(f"collection {label} came back otherwise than it was sent: {'; '.join(different)}")
    moment = now.astimezone(datetime.UTC).isoformat(timespec="seconds")
    act = {"source": given.source, "reader": given.reader, "added_at": moment, "from": kind}
    if given.collection:
        act["collection"] = given.collection
    path_ = f"/xapi/custom-fields/projects/{quote(project)}/experiments/{quote(number)}/fields"
    archive.send(Request("PUT", path_, json={FIELD + label: act}))
    return Kept(label, made, kind, {label_: int(mask.sum()) for label_, mask in drawn.items()})


def sources_of(archive: FileArchive, project: str, session: str) -> dict[str, dict[str, str]]:
    """Return the segmentations by people of a session: label of the collection to source, reader, added_at, from."""
    path = f"/xapi/custom-fields/projects/{quote(project)}/experiments/{quote(session)}/fields"
    answer = archive.get(path)
    value = answer.value() if answer is not None else {}
    fields = value if isinstance(value, dict) else {}
    found = {}
    for key, act in fields.items():
        act = json.loads(act) if isinstance(act, str) and act.startswith("{") else act  # noqa: PLW2901
        if key.startswith(FIELD) and isinstance(act, dict):
            found[key.removeprefix(FIELD)] = {name: str(text) for name, text in act.items()}
    return found


def _written(
    drawn: Masks, images: Sequence[Dataset], segments: Sequence[SegmentInfo], given: Given, now: datetime.datetime
) -> Dataset:
    if not any(mask.any() for mask in drawn.values()):
        raise DataError("nothing is drawn in it: an empty mask is kept only when a reader says so on the page")
    shape = next(iter(drawn.values())).shape
    nothing = np.zeros(shape, dtype=np.bool_)
    info = ObjectInfo(
        series_number=_SERIES_NUMBER,
        series_description=f"{given.source} segmentation",
        content_creator_name=given.reader,
        content_datetime=now,
        model_name="Overread segmentation",
    )
    return write_seg(images, {s.number: drawn.get(s.label, nothing) for s in segments}, segments, info=info)


def _of_object(
    found: Dataset, images: Sequence[Dataset], segments: Sequence[SegmentInfo], names: Mapping[str, str]
) -> Masks:
    frames = single_frames(images)
    geometry = geometry_of(frames)
    if type_of(found) == "RTSTRUCT":
        _check_frame(found, geometry)
        return _named(masks_of_contours(found, geometry), segments, names)
    decoded = decode_seg(found, geometry=geometry)
    check_belongs(decoded, found, frames[0], geometry)
    masks: Masks = {}
    for segment in decoded.segments:
        if segment.label in masks:
            raise DataError(f"two segments are called '{segment.label}': name them apart", tag="SegmentLabel")
        masks[segment.label] = decoded.volume(segment.number, geometry)
    return _named(masks, segments, names)


def _of_nifti(path: Path, geometry: VolumeGeometry, segments: Sequence[SegmentInfo], names: Mapping[str, str]) -> Masks:
    try:
        image: Any = nib.load(path)
        if np.prod([float(size) for size in image.shape]) != np.prod(geometry.shape):
            raise DataError(
                f"{path.name} has {image.shape} voxels, the images {geometry.shape} (slices, rows, columns): it was "
                "made of another series, or resampled"
            )
        qform, sform = image.get_qform(coded=True), image.get_sform(coded=True)
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path.name} can't be read as NIfTI ({type(error).__name__}); check the file") from None
    if not qform[1] and not sform[1]:
        raise DataError(f"{path.name} does not say where it lies (no qform, no sform): export it with its affine")
    if qform[1] and sform[1] and not np.allclose(qform[0], sform[0], atol=1e-2):
        raise DataError(f"{path.name} says in two ways where it lies (qform and sform differ): export it again")
    labels = on_grid(values, np.asarray(image.affine, dtype=np.float64), geometry)
    numbers = [int(value) for value in np.unique(labels) if value]
    known = {str(segment.number): segment.label for segment in segments}
    wanted = known | dict(names)
    masks: Masks = {}
    for number in numbers:
        if str(number) not in wanted:
            raise DataError(
                f"{path.name} has the label {number}, which is none of the study's ({_listed(known)}): say what it is "
                f"with --name {number}=LABEL"
            )
        masks[str(number)] = labels == number
    return _named(masks, segments, wanted)


def _named(masks: Masks, segments: Sequence[SegmentInfo], names: Mapping[str, str]) -> Masks:
    """Return the masks under the study's labels; several of one label are joined."""
    known = {_key(segment.label): segment.label for segment in segments}
    given = {_key(name): label for name, label in names.items()}
    named: Masks = {}
    for name, mask in masks.items():
        label = known.get(_key(given.get(_key(name), name)))
        if label is None:
            raise DataError(
                f"it holds '{name}', which is none of the study's ({', '.join(known.values())}): say what it is with "
                f"--name '{name}=LABEL', or remove it"
            )
        named[label] = named[label] | mask if label in named else mask
    return named


def _check_frame(found: Dataset, geometry: VolumeGeometry) -> None:
    frames = {text_of(item, "FrameOfReferenceUID") for item in found.get("ReferencedFrameOfReferenceSequence") or ()}
    if frames and geometry.frame_of_reference_uid and geometry.frame_of_reference_uid not in frames:
        raise DataError("it lies in another frame of reference than the images: it was drawn on another series")


def _session_id(archive: FileArchive, project: str, session: str) -> str:
    answer = archive.get(f"/data/projects/{quote(project)}/experiments/{quote(session)}", {"format": "json"})
    items = answer.value().get("items") if answer is not None and isinstance(answer.value(), dict) else None
    if not items:
        raise NotFound(f"project {project} has no session {session}, or you may not see it; check label or ID")
    return str(items[0]["data_fields"]["ID"])


def _scans(archive: FileArchive, project: str, number: str) -> dict[str, str]:
    answer = archive.get(f"/xapi/roi/projects/{quote(project)}/sessions/{quote(number)}/uididmap")
    value = answer.value() if answer is not None else {}
    return {str(uid): str(scan) for uid, scan in value.items()} if isinstance(value, dict) else {}


def _scan_of(archive: FileArchive, project: str, number: str, found: Dataset) -> str:
    scans = _scans(archive, project, number)
    series = references_of(found).series
    there = sorted(series & scans.keys())
    if len(there) != 1 or len(series) != 1:
        named = ", ".join(sorted(series)) or "none"
        raise DataError(
            f"it refers to series {named}, the session has {len(scans)} others: take the object that was drawn on this "
            "exam (anonymisation after it was drawn changes UIDs)"
            if not there
            else f"it refers to {len(series)} series ({named}): give one that was drawn on one series"
        )
    return scans[there[0]]


def _only_scan(archive: FileArchive, project: str, number: str, asked: str) -> str:
    scans = sorted(_scans(archive, project, number).values())
    if asked and asked not in scans:
        raise NotFound(f"the session has no scan {asked}: it has {', '.join(scans) or 'none'}")
    if not asked and len(scans) != 1:
        raise DataError(f"the session has {len(scans)} scans ({', '.join(scans)}): say with --scan which was drawn on")
    return asked or scans[0]


def _images(archive: FileArchive, number: str, scan: str, folder: Path) -> list[Dataset]:
    """Return the headers of a scan's images."""
    target = folder / "scan.zip"
    path = f"/data/experiments/{quote(number)}/scans/{quote(scan)}/resources/DICOM/files"
    archive.download(f"{path}?format=zip", target)
    images: list[Dataset] = []
    try:
        with zipfile.ZipFile(target) as packed:
            for entry in sorted(packed.namelist()):
                if entry.endswith(("/", "catalog.xml")):
                    continue
                with packed.open(entry) as file:
                    images.append(dcmread(file, stop_before_pixels=True))
    except (zipfile.BadZipFile, InvalidDicomError, OSError) as error:
        raise DataError(f"scan {scan} can't be read ({type(error).__name__}); try again") from None
    target.unlink()
    return images


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()


def _listed(known: Mapping[str, str]) -> str:
    return ", ".join(f"{number} {label}" for number, label in known.items())
