"""All that a member of a reading project can read of a blinded copy, by REST or in its files, as path and text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from overread.errors import DataError, NotFound
from overread.xnat.blinding.secrets import Reading, listed
from overread.xnat.connection import FileArchive

_READERS_FIELDS: Final = ("draft:", "answer:", "reading")
"""Custom fields that the reader's page writes."""
_PIXELS: Final = frozenset({"PixelData", "FloatPixelData", "DoubleFloatPixelData"})
_TOUCHED_LATER: Final = frozenset({"last_modified", "row_last_modified", "modified", "version"})
"""What changes when a reader saves something."""


def collection_of(reading: Reading) -> str:
    """Return the label of the collection that a copy carries."""
    return f"{reading.code}_SEG"


def facts_of(archive: FileArchive, reading: Reading, folder: Path, *, holder: str) -> tuple[dict[str, str], Dataset]:
    """Return all facts of a copy, and its segmentation.

    Parameters
    ----------
    archive
        The server.
    reading
        Of the key.
    folder
        For what is downloaded; emptied afterwards.
    holder
        Project to which the copy went once it was sent; its name is no fact, as the reader never sees the copy there.

    Raises
    ------
    NotFound
        The copy is not in the reading project (not released yet, or withdrawn).
    DataError
        Its segmentation can't be read.
    """
    for home in (reading.project, holder):
        base = f"/data/projects/{quote(home)}"
        answer = archive.get(f"{base}/experiments/{quote(reading.code)}", {"format": "json"})
        items = answer.value().get("items") if answer is not None and isinstance(answer.value(), dict) else None
        if items:
            break
    else:
        raise NotFound(f"project {reading.project} has no session {reading.code}")
    number = str(items[0].get("data_fields", {}).get("ID", ""))
    label = collection_of(reading)
    facts = dict(_flat(items[0], "session", keep=label))
    facts.update(_row(archive, f"{base}/experiments", number, "list"))
    facts.update(_fields(archive, home, reading.code))
    facts.update(_files(archive, f"/data/experiments/{quote(number)}/scans/ALL/files", "images"))
    facts.update(_image(archive, number, folder))
    collection = next((row for row in _assessors(archive, number) if row.get("label") == label), None)
    if collection is None:
        raise NotFound(f"session {reading.code} of project {reading.project} has no collection {label}")
    assessor = f"/data/experiments/{quote(number)}/assessors/{quote(str(collection.get('ID', '')))}"
    facts.update({f"collection.{key}": str(value) for key, value in collection.items()})
    facts.update(_files(archive, f"{assessor}/files", "collection.files"))
    target = folder / "collection.dcm"
    archive.download(f"/xapi/roi/projects/{quote(home)}/collections/{quote(label)}", target)
    facts["segmentation.bytes"] = str(target.stat().st_size)
    seg = _read(target)
    facts.update(attributes(seg, "segmentation"))
    target.unlink()
    if home == holder:
        facts = {name: value.replace(holder, reading.project) for name, value in facts.items()}
    return facts, seg


def attributes(ds: Dataset, name: str) -> dict[str, str]:
    r"""Return all attributes of a dataset and of its file meta information.

    Items of a sequence share a path; their values stand one after the other, parted by ``|``. Of pixels only the length
    is a fact: what is drawn is judged by its shape.
    """
    found: dict[str, list[str]] = {}
    for part, holder in ((f"{name}.meta", getattr(ds, "file_meta", Dataset())), (name, ds)):
        for path, value in _walk(holder, part):
            found.setdefault(path, []).append(value)
    return {path: "|".join(values) for path, values in found.items()}


def _walk(ds: Dataset, above: str) -> Iterator[tuple[str, str]]:
    for element in ds:
        path = f"{above}.{element.keyword or str(element.tag).replace(' ', '')}"
        if element.VR == "SQ":
            yield f"{path}[]", str(len(element.value))
            for item in element.value:
                yield from _walk(item, path)
        elif element.keyword in _PIXELS:
            yield f"{path} length", str(len(element.value))
        else:
            yield path, str(element.value)


def _flat(item: Any, path: str, *, keep: str) -> Iterator[tuple[str, str]]:
    """Lay XNAT's document of an item flat; of its assessors only the copy's collection."""
    for key, value in item.get("data_fields", {}).items():
        if key not in _TOUCHED_LATER:
            yield f"{path}.{key}", str(value)
    for key, value in item.get("meta", {}).items():
        yield f"{path}.meta.{key}", str(value)
    for child in item.get("children", ()):
        field = str(child.get("field", ""))
        rows = child.get("items", ())
        if field.startswith("assessors"):
            rows = [row for row in rows if row.get("data_fields", {}).get("label") == keep]
        yield f"{path}.{field}[]", str(len(rows))
        for index, row in enumerate(rows):
            yield from _flat(row, f"{path}.{field}[{index}]", keep=keep)


def _row(archive: FileArchive, path: str, number: str, name: str) -> dict[str, str]:
    """Return a session's row in the list of its project, with when it was put in."""
    columns = "ID,label,insert_date,insert_user,date,time,note,subject_ID,subject_label"
    answer = archive.get(path, {"format": "json", "columns": columns})
    rows = listed(answer.value()) if answer is not None else []
    row = next((row for row in rows if row.get("ID") == number), {})
    return {f"{name}.{key}": str(value) for key, value in row.items()}


def _fields(archive: FileArchive, project: str, code: str) -> dict[str, str]:
    path = f"/xapi/custom-fields/projects/{quote(project)}/experiments/{quote(code)}/fields"
    answer = archive.get(path)
    value = answer.value() if answer is not None else {}
    fields = value if isinstance(value, dict) else {}
    return {f"field.{key}": str(text) for key, text in fields.items() if not key.startswith(_READERS_FIELDS)}


def _files(archive: FileArchive, path: str, name: str) -> dict[str, str]:
    """Return number, sizes and kinds of files; names as they are, for they may tell."""
    answer = archive.get(path, {"format": "json"})
    rows = listed(answer.value()) if answer is not None else []
    facts = {f"{name}.count": str(len(rows))}
    for key in ("Size", "collection", "file_content", "file_format", "file_tags", "cat_ID", "Name"):
        values = sorted(str(row.get(key, "")) for row in rows)
        facts[f"{name}.{key}"] = "|".join(values)
    return facts


def _image(archive: FileArchive, number: str, folder: Path) -> dict[str, str]:
    """Return the attributes of one image of each scan: the first by name."""
    answer = archive.get(f"/data/experiments/{quote(number)}/scans/ALL/files", {"format": "json"})
    first: dict[str, str] = {}
    for row in sorted(listed(answer.value()) if answer is not None else [], key=lambda row: str(row.get("Name"))):
        if row.get("collection") == "DICOM":
            uri = urlsplit(str(row.get("URI", ""))).path
            first.setdefault(unquote(uri.partition("/scans/")[2].partition("/")[0]), uri)
    facts: dict[str, str] = {}
    for scan, uri in first.items():
        target = folder / "image.dcm"
        archive.download(uri, target)
        facts.update(attributes(_read(target), f"image {scan}"))
        target.unlink()
    return facts


def _assessors(archive: FileArchive, number: str) -> list[dict[str, Any]]:
    columns = "ID,label,xsiType,insert_date,date,time"
    answer = archive.get(f"/data/experiments/{quote(number)}/assessors", {"format": "json", "columns": columns})
    return listed(answer.value()) if answer is not None else []


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except (OSError, InvalidDicomError) as error:
        raise DataError(f"{path.name} of a copy can't be read as DICOM ({type(error).__name__})") from None
