"""Reading copies: made here from the originals, evened out, and put into a reader's own project.

The order of requests is such that a copy that was cut off anywhere is made whole by the next run: images in one upload,
which counts as a whole or not at all; then what lies with them, each replaced by the same.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from overread.dicom.evening import even_images, even_segmentation
from overread.dicom.segments import SegmentInfo
from overread.errors import ArchiveError, DataError
from overread.plugins.datatype import DataType
from overread.study.blinding import uids_of
from overread.study.manifest import StudyManifest
from overread.study.reading import MODEL, Reading
from overread.xnat.connection import FileArchive, Request
from overread.xnat.reading.cases import Exam, listed_ids, rows, shown_scans

FINDINGS: Final = "findings.json"
_RESULT: Final = "result.json"
_RESOURCE: Final = "FINDINGS"
_MAX_RESULT_BYTES: Final = 16 * 1024**2
_MAX_RATIO: Final = 200
_SMALL_BYTES: Final = 64 * 2**20
"""A file up to this size may be packed however well: an empty slice is nothing but zeros."""
_WHITE: Final = 255.0


@dataclass
class Originals:
    """Images of the exam that was asked for last, kept in a folder: its copies are made one after another."""

    archive: FileArchive
    manifest: StudyManifest
    folder: Path
    _exam: str = ""
    _files: list[list[Path]] = field(default_factory=list)

    def series(self, exam: Exam) -> Iterator[list[Dataset]]:
        """Yield the images of each shown scan.

        Raises
        ------
        DataError
            No series fits, or a file can't be read.
        """
        if self._exam != exam.number:
            self._exam, self._files = "", []
            for old in self.folder.iterdir():
                old.unlink()
            scans = shown_scans(self.archive, self.manifest, exam)
            self._files = [list(self._download(exam, scan, index)) for index, scan in enumerate(scans)]
            self._exam = exam.number
        for files in self._files:
            yield [_read(path) for path in files]

    def _download(self, exam: Exam, scan: str, index: int) -> Iterator[Path]:
        packed = self.folder / "scan.zip"
        base = f"/data/experiments/{quote(exam.number)}/scans/{quote(scan)}/resources/DICOM/files"
        self.archive.download(f"{base}?format=zip", packed)
        try:
            with zipfile.ZipFile(packed) as archive:
                for number, entry in enumerate(e for e in archive.infolist() if not e.is_dir()):
                    if entry.file_size > max(_SMALL_BYTES, _MAX_RATIO * entry.compress_size):
                        raise DataError(f"scan {scan}: a file grows more than {_MAX_RATIO} times when unpacked")
                    if entry.filename.endswith(".xml"):
                        continue
                    target = self.folder / f"{index:03d}-{number:05d}"
                    target.write_bytes(archive.read(entry))
                    yield target
        except zipfile.BadZipFile:
            raise ArchiveError(f"scan {scan} of {exam.number}: what came is no zip; try again") from None
        finally:
            packed.unlink(missing_ok=True)


@contextmanager
def originals(archive: FileArchive, manifest: StudyManifest) -> Iterator[Originals]:
    """Give a place for original images, emptied at the end."""
    with tempfile.TemporaryDirectory(prefix="overread-readers-") as folder:
        yield Originals(archive, manifest, Path(folder))


@dataclass(frozen=True)
class Copy:
    """One copy that is to be made.

    Parameters
    ----------
    project, code
        Where, and under which name.
    exam
        Of what.
    aided
        With the model's result.
    source
        With the segmentation of this source; empty for none.
    """

    project: str
    code: str
    exam: Exam
    aided: bool = False
    source: str = ""


@dataclass(frozen=True)
class _Made:
    """A copy whose images are on the server, under the session's ID there."""

    copy: Copy
    session: str
    images: Sequence[Sequence[Dataset]]
    uids: Callable[[str], str]


def make_copy(
    archive: FileArchive, copy: Copy, originals: Originals, *, reading: Reading, datatype: DataType, salt: bytes
) -> str:
    """Make one copy, or complete it.

    Returns
    -------
    str
        Study Instance UID of the copy.

    Raises
    ------
    DataError
        The originals can't be copied: they can't be read, may show a name in the pixels, or do not fit together.
    ArchiveError
        The server refuses it.
    """
    uids = uids_of(salt, copy.code)
    images: list[list[Dataset]] = []
    for number, series in enumerate(originals.series(copy.exam), start=1):
        plain = [_uncompressed(ds) for ds in series] if reading.page == "findings" else series
        images.append(even_images(plain, code=copy.code, uids=uids, series_number=number))
    _upload_images(archive, copy, images)
    made = _Made(copy, _session(archive, copy), images, uids)
    with tempfile.TemporaryDirectory(prefix="overread-readers-") as name:
        if copy.source or (copy.aided and reading.page == "segmentation"):
            _put_segmentation(archive, made, reading, Path(name))
        if copy.aided and reading.page == "findings":
            _put_findings(archive, made, datatype, Path(name))
    return str(images[0][0].StudyInstanceUID)


def _upload_images(archive: FileArchive, copy: Copy, images: Sequence[Sequence[Dataset]]) -> None:
    there = rows(archive, f"/data/projects/{quote(copy.project)}/experiments", {"columns": "ID,label"})
    number = dict(listed_ids(there)).get(copy.code)
    if number is not None:
        files = rows(archive, f"/data/experiments/{quote(number)}/scans/ALL/files")
        if sum(not str(row.get("Name", "")).lower().endswith(".xml") for row in files) >= sum(map(len, images)):
            return
    with tempfile.TemporaryDirectory(prefix="overread-readers-") as name:
        packed = Path(name) / "copy.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
            for scan, series in enumerate(images, start=1):
                for index, ds in enumerate(series, start=1):
                    path = Path(name) / "image.dcm"
                    ds.save_as(path, enforce_file_format=True)
                    target.write(path, f"{scan}/{index:05d}.dcm")
        query = {
            "import-handler": "DICOM-zip", "inbody": "true", "overwrite": "append",
            "project": copy.project, "subject": copy.code, "session": copy.code,
            "dest": f"/archive/projects/{copy.project}/subjects/{copy.code}/experiments/{copy.code}",
        }  # fmt: skip
        request = Request("POST", "/data/services/import", query, file=packed, content_type="application/zip")
        answer = archive.send(request)
    if f"/experiments/{copy.code}" not in answer.text:
        raise ArchiveError(
            f"project {copy.project}: the copy {copy.code} was not archived "
            f"({answer.text.strip()[:200] or 'no answer'}); look into the project's prearchive and anonymisation"
        )


def _session(archive: FileArchive, copy: Copy) -> str:
    listed = rows(archive, f"/data/projects/{quote(copy.project)}/experiments", {"columns": "ID,label"})
    number = dict(listed_ids(listed)).get(copy.code)
    if number is None:
        raise ArchiveError(f"project {copy.project}: the server took the copy {copy.code} but does not list it")
    return number


def _put_segmentation(archive: FileArchive, made: _Made, reading: Reading, folder: Path) -> None:
    copy, session, images, uids = made.copy, made.session, made.images, made.uids
    label = f"{copy.code}_SEG"
    base = f"/data/experiments/{quote(session)}/assessors"
    if label in dict(listed_ids(rows(archive, base))):
        return
    collection = copy.exam.collections[copy.source or MODEL]
    seg = _download_seg(archive, collection, folder)
    drawn_on = {uids(str(item.SeriesInstanceUID)) for item in getattr(seg, "ReferencedSeriesSequence", ())}
    series = next((one for one in images if str(one[0].SeriesInstanceUID) in drawn_on), images[0])
    shown = reading.show.segments if reading.show else ()
    segments = [SegmentInfo(number=s.number, label=s.label, color_cielab=cielab_of(s.color)) for s in shown]
    even = even_segmentation(seg, images=series, code=copy.code, uids=uids, segments=segments)
    path = folder / "even.dcm"
    even.save_as(path, enforce_file_format=True)
    place = f"/xapi/roi/projects/{quote(copy.project)}/sessions/{quote(session)}/collections/{label}"
    archive.send(Request("PUT", place, {"type": "SEG", "overwrite": "true"}, file=path))


def _download_seg(archive: FileArchive, collection: str, folder: Path) -> Dataset:
    base = f"/data/experiments/{quote(collection)}"
    for row in rows(archive, f"{base}/files"):
        if str(row.get("Name", "")).lower().endswith(".dcm"):
            path = folder / "original.dcm"
            archive.download(_address(row), path)
            return _read(path)
    raise DataError(f"segmentation {collection} has no DICOM file")


def _put_findings(archive: FileArchive, made: _Made, datatype: DataType, folder: Path) -> None:
    """Store what the model found, and nothing of where and when: numbers and words of a list, and boxes."""
    copy, uids = made.copy, made.uids
    label = f"{copy.code}_RESULT"
    there = dict(listed_ids(rows(archive, f"/data/experiments/{quote(made.session)}/assessors")))
    number = there.get(label) or _put_result(archive, copy, label, datatype)
    base = f"/data/experiments/{quote(number)}"
    if any(row.get("Name") == FINDINGS for row in rows(archive, f"{base}/files")):
        return
    document = {"findings": [_finding(one, uids) for one in _findings(archive, copy.exam, folder)]}
    query = {"inbody": "true", "overwrite": "true", "format": "JSON"}
    content = json.dumps(document, indent=1).encode()
    archive.send(Request("PUT", f"{base}/resources/{_RESOURCE}/files/{FINDINGS}", query, content=content))


def _put_result(archive: FileArchive, copy: Copy, label: str, datatype: DataType) -> str:
    answer = archive.get(f"/data/experiments/{quote(copy.exam.result)}", {"format": "json"})
    items = answer.value().get("items") if answer is not None and isinstance(answer.value(), dict) else None
    said = items[0].get("data_fields", {}) if items else {}
    wanted = {one.name for one in datatype.fields if one.name in datatype.numbers or one.values} - {"origin"}
    fields = {f"{datatype.xsi_type}/{name}": str(said[name]) for name in sorted(wanted) if said.get(name) is not None}
    place = f"/data/projects/{quote(copy.project)}/subjects/{copy.code}/experiments/{copy.code}/assessors/{label}"
    return archive.send(Request("PUT", place, {"xsiType": datatype.xsi_type, **fields})).text.strip()


def _findings(archive: FileArchive, exam: Exam, folder: Path) -> list[Mapping[str, Any]]:
    for row in rows(archive, f"/data/experiments/{quote(exam.result)}/files"):
        if str(row.get("Name", "")) == _RESULT and int(str(row.get("Size") or 0) or 0) <= _MAX_RESULT_BYTES:
            path = folder / _RESULT
            archive.download(_address(row), path)
            try:
                found = json.loads(path.read_text("utf-8")).get("findings")
            except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
                break
            return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    raise DataError(f"result {exam.result} has no {_RESULT} with findings")


def _finding(finding: Mapping[str, Any], uids: Callable[[str], str]) -> dict[str, Any]:
    kept = {key: finding.get(key) for key in ("name", "side", "class", "confidence")}
    box = finding.get("box")
    if not isinstance(box, dict) or not box.get("sop_instance_uid"):
        return {**kept, "box": None}
    frame = {key: box.get(key) for key in ("x", "y", "width", "height")}
    return {**kept, "box": {"sop_instance_uid": uids(str(box["sop_instance_uid"])), **frame}}


def _address(row: Mapping[str, Any]) -> str:
    uri = str(row.get("URI") or "")
    if not uri.startswith("/data/"):
        raise ArchiveError(f"a file's address is {uri[:80]!r}, not below /data")
    return uri


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except (InvalidDicomError, OSError, ValueError) as error:
        raise DataError(f"an image can't be read as DICOM ({type(error).__name__})") from None


def _uncompressed(ds: Dataset) -> Dataset:
    """Return an image as browsers read it without help: Explicit VR Little Endian."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_compressed:
        try:
            ds.decompress(generate_instance_uid=False)
        except (RuntimeError, ValueError, NotImplementedError, AttributeError) as error:
            raise DataError(f"an image can't be decompressed ({syntax.name}: {error})") from None
    elif syntax == ImplicitVRLittleEndian:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def cielab_of(color: str) -> tuple[int, int, int]:
    """Return ``#rrggbb`` (sRGB, white D65) as DICOM stores CIELab (PS3.3 C.10.7.1.1): three numbers from 0 to 65535."""
    red, green, blue = (_linear(int(color[i : i + 2], 16) / _WHITE) for i in (1, 3, 5))
    x = _bent((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505)
    y = _bent(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    z = _bent((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089)
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    return tuple(  # type: ignore[return-value]
        max(0, min(65535, round(value))) for value in (lightness * 655.35, (a + 128) * 257, (b + 128) * 257)
    )


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - IEC 61966-2-1


def _bent(value: float) -> float:
    return value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116  # noqa: PLR2004 - CIE 15
