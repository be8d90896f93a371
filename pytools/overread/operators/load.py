"""Finds the series in a folder: headers first, pixels only of what is chosen.

A folder may hold anything: catalogs, previews, files cut off in transfer. What can't be read is counted by reason and
left out; it never stops a run.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian

from overread.dicom.geometry import attribute, text_of, whole_number
from overread.errors import DataError
from overread.operators.quick_header import quick_header
from overread.study.selection import KEYWORDS, SeriesSummary, is_source_image

_NEEDED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_STUDY: Final = ("StudyDate", "StudyTime", "NumberOfFrames")
_DATE: Final = re.compile(r"\d{8}")
_TIME: Final = re.compile(r"\d{6}(\.\d{1,6})?")
_PREFIX_AT: Final = 128
_NOT_DICOM, _UNREADABLE, _NO_UID, _NO_IMAGE, _COPY = (
    "not DICOM",
    "unreadable DICOM (cut off or damaged)",
    "DICOM without study, series and instance UID",
    "DICOM without an image (cut off)",
    "another copy of the same image",
)


@dataclass(frozen=True, kw_only=True)
class FoundSeries:
    """A series and its files.

    Parameters
    ----------
    summary
        What the rules for choosing series look at.
    study_instance_uid, study_date, study_time
        Of its study; date and time as DICOM writes them, empty where unknown.
    paths
        One file per SOP instance.
    """

    summary: SeriesSummary
    study_instance_uid: str
    study_date: str
    study_time: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What was found in a folder.

    Parameters
    ----------
    series
        In the order of their UIDs.
    skipped
        How many files were left out, by reason.
    """

    series: tuple[FoundSeries, ...]
    skipped: Mapping[str, int]

    @property
    def warning(self) -> str:
        """What was left out, in words; empty if nothing was."""
        if not self.skipped:
            return ""
        count = sum(self.skipped.values())
        parts = ", ".join(f"{n} {reason}" for reason, n in sorted(self.skipped.items()))
        return f"{count} file{'s were' if count > 1 else ' was'} left out: {parts}"


def load_folder(folder: Path, *, keywords: Iterable[str] = ()) -> Folder:
    """Read the headers of all DICOM files below a folder and group them by series.

    Parameters
    ----------
    folder
        Any folder with DICOM files, or a session's folder as XNAT keeps it: then only its ``SCANS`` are read, since
        results of earlier runs lie beside them.
    keywords
        Attributes that rules will look at, beyond those that every choice needs.

    Returns
    -------
    Folder
        Series with files, and what was left out.
    """
    wanted = sorted({*_NEEDED, *_STUDY, *KEYWORDS, *keywords})
    scans = folder / "SCANS"
    skipped: Counter[str] = Counter()
    headers: dict[str, Dataset] = {}
    paths: dict[str, dict[str, Path]] = defaultdict(dict)
    slices: Counter[str] = Counter()
    for path in _files(scans if scans.is_dir() else folder):
        quick = quick_header(path)
        # Of a series' first image all is read; of the others only what they are, if it can be told from a few bytes.
        if quick is not None and quick.uids["SeriesInstanceUID"] in headers:
            series_uid, sop_uid = quick.uids["SeriesInstanceUID"], quick.uids["SOPInstanceUID"]
            if sop_uid in paths[series_uid]:
                skipped[_COPY] += 1
            else:
                paths[series_uid][sop_uid] = path
                slices[series_uid] += 1
            continue
        header, reason = _read_header(path, wanted)
        if header is None:
            skipped[reason] += 1
            continue
        series_uid, sop_uid = text_of(header, "SeriesInstanceUID"), text_of(header, "SOPInstanceUID")
        if sop_uid in paths[series_uid]:
            skipped[_COPY] += 1
            continue
        paths[series_uid][sop_uid] = path
        headers.setdefault(series_uid, header)
        slices[series_uid] += _frames(header)
    return Folder(
        series=tuple(_series(uid, headers[uid], paths[uid], wanted, instances=slices[uid]) for uid in sorted(headers)),
        skipped=dict(skipped),
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield regular files below a folder in a stable order; catalogs that XNAT adds to every resource are no news."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if not name.endswith("catalog.xml") and stat.S_ISREG(path.stat(follow_symlinks=False).st_mode):
                yield path


def _read_header(path: Path, wanted: list[str]) -> tuple[Dataset | None, str]:
    try:
        with path.open("rb") as file:
            if file.read(_PREFIX_AT + 4)[_PREFIX_AT:] != b"DICM":
                return None, _NOT_DICOM
            file.seek(0)
            header = dcmread(file, stop_before_pixels=True, specific_tags=list(wanted))
            # A file that ends before its pixels may have been cut off in the middle of a UID. (A deflated one is read
            # whole, and its position says nothing.)
            deflated = header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
            ended = not deflated and file.tell() >= os.fstat(file.fileno()).st_size
            if ended and is_source_image({"Modality": text_of(header, "Modality")}).ok:
                return None, _NO_IMAGE
        if not all(text_of(header, keyword) for keyword in _NEEDED):
            return None, _NO_UID
    except Exception:  # noqa: BLE001 - a damaged file can make the parser raise anything
        return None, _UNREADABLE
    return header, ""


def _frames(header: Dataset) -> int:
    """Return how many slices an image is: rules count those of a multi-frame image as images of their own."""
    try:
        return max(1, whole_number(header, "NumberOfFrames", default=1))
    except DataError:
        return 1


def _series(uid: str, header: Dataset, paths: Mapping[str, Path], wanted: list[str], *, instances: int) -> FoundSeries:
    values = {keyword: value for keyword in wanted if (value := _plain(header, keyword)) is not None}
    return FoundSeries(
        summary=SeriesSummary(series_instance_uid=uid, instances=instances, header=values),
        study_instance_uid=text_of(header, "StudyInstanceUID"),
        study_date=_matching(_DATE, values.get("StudyDate")),
        study_time=_matching(_TIME, values.get("StudyTime")),
        paths=tuple(paths.values()),
    )


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _plain(header: Dataset, keyword: str) -> Any:
    """Return a value as text, number or a list of these; None where there is none that can be read."""
    try:
        value = attribute(header, keyword)
    except DataError:
        return None
    if isinstance(value, MultiValue | list):
        return [v if isinstance(v, int | float) else str(v) for v in value]
    return value if value is None or isinstance(value, int | float) else str(value)
