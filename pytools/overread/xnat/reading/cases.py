"""Which exams of a study's project are cases for readers, and what of each is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from overread.errors import DataError
from overread.study.manifest import StudyManifest
from overread.study.reading import Reading, prefix_of
from overread.study.rules import needed_keywords
from overread.study.selection import KEYWORDS, choose_series
from overread.xnat.connection import Archive
from overread.xnat.watch import scan_series

_COLLECTION = "icr:roiCollectionData"


@dataclass(frozen=True)
class Exam:
    """A session of the study's project.

    Parameters
    ----------
    number, label
        Its ID and label.
    subject
        Label of its subject.
    result
        ID of the model's newest result; empty without one.
    collections
        Source -> ID of its newest segmentation.
    """

    number: str
    label: str
    subject: str
    result: str = ""
    collections: Mapping[str, str] = field(default_factory=dict)

    def is_case(self, reading: Reading) -> bool:
        """Tell whether all that readers are to get is there: the model's result, and a segmentation of each source."""
        return bool(self.result) and all(source in self.collections for source in reading.segmentations)


def exams_of(archive: Archive, manifest: StudyManifest, *, result_type: str) -> tuple[Exam, ...]:
    """List the exams of a study, oldest first.

    Raises
    ------
    ArchiveError
        The server does not answer as it should.
    """
    project = manifest.project
    columns = {"columns": "ID,label,xsiType,subject_label,insert_date"}
    listed = rows(archive, f"/data/projects/{quote(project)}/experiments", columns)
    results = _newest(archive, project, result_type, keep="")
    sources = manifest.reading.segmentations if manifest.reading else ()
    drawn = {source: _newest(archive, project, _COLLECTION, keep=prefix_of(source)) for source in sources}
    found = [
        Exam(
            number, str(row.get("label") or ""), str(row.get("subject_label") or ""), results.get(number, ""),
            {source: one[number] for source, one in drawn.items() if number in one},
        )
        for row in sorted(listed, key=_age)
        if (number := str(row.get("ID") or "")) and str(row.get("xsiType", "")).endswith("SessionData")
    ]  # fmt: skip
    return tuple(found)


def shown_scans(archive: Archive, manifest: StudyManifest, exam: Exam) -> tuple[str, ...]:
    """Return the scans that a reader gets, in the order of the manifest's roles.

    On a page of findings every series that fits a role is shown, else the one that the study's rules choose.

    Raises
    ------
    DataError
        No series fits a role.
    """
    url = f"/archive/projects/{quote(manifest.project)}/subjects/{quote(exam.subject)}/experiments/{quote(exam.label)}"
    keywords = needed_keywords(manifest) | KEYWORDS
    by_uid = {summary.series_instance_uid: (scan, summary) for scan, summary in scan_series(archive, url, keywords)}
    roles = {role: manifest.arrival.series[role] for role in manifest.shown_series}
    choices = choose_series(roles, [summary for _, summary in by_uid.values()])
    every = manifest.reading is not None and manifest.reading.page == "findings"
    found: dict[str, None] = {}
    for role, choice in choices.items():
        if choice.series_instance_uid is None:
            raise DataError(f"no images for {role}: {choice.reason}")
        uids = sorted(choice.candidates, key=lambda uid: _number(by_uid[uid][0])) if every else ()
        for uid in uids or (choice.series_instance_uid,):
            found[by_uid[uid][0]] = None
    return tuple(found)


def rows(archive: Archive, path: str, query: Mapping[str, str] | None = None) -> list[Mapping[str, Any]]:
    """Get the rows of one of XNAT's tables; none where there is no such thing."""
    answer = archive.get(path, {"format": "json", **(query or {})})
    document = answer.value() if answer else {}
    found = document.get("ResultSet", {}).get("Result", []) if isinstance(document, dict) else []
    return [row for row in found if isinstance(row, dict)]


def _newest(archive: Archive, project: str, xsi_type: str, *, keep: str) -> dict[str, str]:
    """Return the newest assessor of a type for each session, of those whose label begins with `keep`."""
    query = {"project": project, "xsiType": xsi_type, "columns": _columns(xsi_type)}
    listed = rows(archive, "/data/experiments", query)
    found: dict[str, str] = {}
    for row in sorted(listed, key=_age):
        session = str(row.get("session_ID") or "")
        origin = str(row.get(f"{xsi_type}/origin") or row.get(f"{xsi_type.lower()}/origin") or "")
        if session and origin != "edited" and str(row.get("label") or "").upper().startswith(keep):
            found[session] = str(row.get("ID"))
    return found


def _columns(xsi_type: str) -> str:
    own = "" if xsi_type == _COLLECTION else f",{xsi_type}/origin"
    return f"ID,label,session_ID,insert_date{own}"


def _age(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("insert_date") or ""), str(row.get("ID") or "")


def _number(scan: str) -> tuple[int, str]:
    return (int(scan) if scan.isdecimal() else 1 << 30, scan)


def listed_ids(listed: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield label and ID of the rows of a list of experiments."""
    for row in listed:
        yield str(row.get("label") or ""), str(row.get("ID") or "")
