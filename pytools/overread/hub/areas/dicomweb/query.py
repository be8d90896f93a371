"""QIDO-RS: which studies, series and instances a project has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from overread.errors import DataError
from overread.hub.areas.dicomweb.matching import Query, matches, page
from overread.hub.areas.dicomweb.metadata import Json
from overread.hub.areas.dicomweb.store import Root, StoredObject, objects, with_files
from overread.hub.errors import not_found
from overread.hub.items.instances import seen_in
from overread.hub.models import Experiment, Instance, Share

_STUDY_DATE, _STUDY_TIME, _ACCESSION, _AVAILABILITY = "00080020", "00080030", "00080050", "00080056"
_MODALITIES, _RETRIEVE_URL = "00080061", "00081190"
_PATIENT_NAME, _PATIENT_ID = "00100010", "00100020"
_STUDY_UID, _STUDY_SERIES, _STUDY_INSTANCES = "0020000D", "00201206", "00201208"
_MODALITY, _SERIES_UID, _SERIES_NUMBER, _SERIES_DESCRIPTION = "00080060", "0020000E", "00200011", "0008103E"
_SERIES_INSTANCES, _SOP_UID = "00201209", "00080018"

_STUDY_TAGS: Final = (
    "00080020", "00080030", "00080050", "00080090", "00080201", "00081030", "00100010", "00100020", "00100030",
    "00100040", "0020000D", "00200010",
)  # fmt: skip
_SERIES_TAGS: Final = (
    "00080021", "00080031", "00080060", "00080201", "0008103E", "0020000E", "00200011", "00400244", "00400245",
)  # fmt: skip
_INSTANCE_TAGS: Final = (
    "00080016", "00080018", "00080201", "00200013", "00280010", "00280011", "00280100", "00280008",
)  # fmt: skip
_FROM_DATABASE: Final = frozenset(
    {
        _STUDY_DATE, _STUDY_TIME, _ACCESSION, _MODALITIES, _PATIENT_NAME, _PATIENT_ID, _STUDY_UID, _STUDY_SERIES,
        _STUDY_INSTANCES,
    }
)  # fmt: skip
"""What of a study is known without opening a file."""
_EVERYTHING: Final = frozenset({"", "*"})
"""What a filter says that leaves nothing out."""


def element(vr: str, *values: Any) -> Json:
    """Return an attribute in DICOM JSON, without a value if it is empty."""
    kept = [value for value in values if value not in ("", None)]
    return {"vr": vr, "Value": kept} if kept else {"vr": vr}


@dataclass(frozen=True)
class _Study:
    """A study by what the database knows, and one of its objects."""

    record: Json
    sample: int


def studies(db: Session, root: Root, query: Query) -> Sequence[Json]:
    """Return the studies that match, by date."""
    if not any(wanted not in _EVERYTHING for _, wanted in query.filters):
        uids = _page_of_studies(db, root, query)
        return [_with_header(db, root, study, query) for study in _studies(db, root, uids)]
    asked = [
        re.split(r"[,\\]", wanted) for tag, wanted in query.filters if tag == _STUDY_UID and wanted not in _EVERYTHING
    ]
    found = _studies(db, root, asked[0] if asked else None)
    if any(tag not in _FROM_DATABASE for tag, _ in query.filters):
        full = [_with_header(db, root, study, query) for study in found]
        return page([record for record in full if matches(record, query)], query)
    fitting = [study for study in found if matches(study.record, query)]
    return [_with_header(db, root, study, query) for study in fitting[query.offset : query.offset + query.limit]]


def series(db: Session, root: Root, query: Query, *, study: str | None) -> Sequence[Json]:
    """Return the series that match: of a study, or of all.

    Raises
    ------
    HubError
        404: the project has no such study.
    """
    grouped: dict[tuple[str, str], list[StoredObject]] = defaultdict(list)
    for item in objects(db, root.hub, root.project, study=study):
        grouped[item.instance.study_instance_uid, item.instance.series_instance_uid].append(item)
    if study is not None and not grouped:
        raise not_found(f"study {study}")
    records = [_series_record(root, items, query, with_study=study is None) for items in grouped.values()]
    return page([record for record in records if matches(record, query)], query)


def instances(db: Session, root: Root, query: Query, *, study: str | None, series: str | None) -> Sequence[Json]:
    """Return the instances that match: of a series, of a study, or of all.

    Raises
    ------
    HubError
        404: the project has no such study or series.
    """
    items = objects(db, root.hub, root.project, study=study, series=series)
    if study is not None and not items:
        raise not_found(f"series {series}" if series else f"study {study}")
    records = (_instance_record(root, item, query, with_series=series is None) for item in items)
    return page([record for record in records if matches(record, query)], query)


def _visible(root: Root) -> ColumnElement[bool]:
    shared = select(Share.object_id).where(Share.kind == "experiment", Share.project == root.project)
    return (Experiment.project == root.project) | Experiment.id.in_(shared)


def _page_of_studies(db: Session, root: Root, query: Query) -> list[str]:
    """Return the UIDs of the studies that are told when nothing filters."""
    found = (
        select(Instance.study_instance_uid)
        .join(Experiment, Experiment.id == Instance.session_id)
        .where(seen_in(root.project))
        .group_by(Instance.study_instance_uid)
        .order_by(func.min(Experiment.date), Instance.study_instance_uid)
        .limit(query.limit)
        .offset(query.offset)
    )
    return list(db.scalars(found))


def _studies(db: Session, root: Root, uids: Sequence[str] | None) -> list[_Study]:
    """Return the studies of a project by date, or those of them that have certain UIDs."""
    visible = seen_in(root.project)
    if uids is not None:
        visible &= Instance.study_instance_uid.in_(uids)
    rows = db.execute(
        select(
            Instance.study_instance_uid,
            func.min(Instance.session_id).label("session_id"),
            func.count(Instance.series_instance_uid.distinct()).label("series"),
            func.count(Instance.sop_instance_uid.distinct()).label("instances"),
            func.min(Instance.pk).label("sample"),
        )
        .join(Experiment, Experiment.id == Instance.session_id)
        .where(visible)
        .group_by(Instance.study_instance_uid)
    ).all()
    modalities: dict[str, set[str]] = defaultdict(set)
    for uid, modality in db.execute(
        select(Instance.study_instance_uid, Instance.modality)
        .join(Experiment, Experiment.id == Instance.session_id)
        .where(visible)
        .distinct()
    ):
        modalities[uid].add(modality)
    ids = [row.session_id for row in rows]
    sessions = {
        one.id: one
        for one in db.scalars(select(Experiment).where(_visible(root) if uids is None else Experiment.id.in_(ids)))
    }
    found = [
        _Study(
            _study_record(root, sessions[row.session_id], row, sorted(modalities[row.study_instance_uid])), row.sample
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (one.record[_STUDY_DATE].get("Value", [""]), one.record[_STUDY_UID]["Value"]))


def _study_record(root: Root, session: Experiment, row: Any, modalities: Iterable[str]) -> Json:
    name = {"Alphabetic": session.patient_name} if session.patient_name else None
    uid = row.study_instance_uid
    return {
        _STUDY_DATE: element("DA", session.date.replace("-", "")),
        _STUDY_TIME: element("TM", session.time.replace(":", "")),
        _ACCESSION: element("SH", session.accession_number),
        _AVAILABILITY: element("CS", "ONLINE"),
        _MODALITIES: element("CS", *modalities),
        _PATIENT_NAME: element("PN", name),
        _PATIENT_ID: element("LO", session.patient_id),
        _RETRIEVE_URL: element("UR", f"{root.url}/studies/{uid}"),
        _STUDY_UID: element("UI", uid),
        _STUDY_SERIES: element("IS", row.series),
        _STUDY_INSTANCES: element("IS", row.instances),
    }


def _with_header(db: Session, root: Root, study: _Study, query: Query) -> Json:
    """Return a study's record with what only its files say."""
    items = with_files(db, root.hub, [db.get_one(Instance, study.sample)])
    header = _header(root, items[0])
    return dict(sorted((_picked(header, _STUDY_TAGS, query) | study.record).items()))


def _series_record(root: Root, items: Sequence[StoredObject], query: Query, *, with_study: bool) -> Json:
    first = items[0].instance
    header = _header(root, items[0])
    record = _picked(header, (*_SERIES_TAGS, *(_STUDY_TAGS if with_study else ())), query)
    record |= {
        _AVAILABILITY: element("CS", "ONLINE"),
        _MODALITY: element("CS", first.modality),
        _SERIES_DESCRIPTION: element("LO", first.series_description),
        _RETRIEVE_URL: element(
            "UR", f"{root.url}/studies/{first.study_instance_uid}/series/{first.series_instance_uid}"
        ),
        _STUDY_UID: element("UI", first.study_instance_uid),
        _SERIES_UID: element("UI", first.series_instance_uid),
        _SERIES_NUMBER: element("IS", first.series_number),
        _SERIES_INSTANCES: element("IS", len(items)),
    }
    return dict(sorted(record.items()))


def _instance_record(root: Root, item: StoredObject, query: Query, *, with_series: bool) -> Json:
    tags = (*_INSTANCE_TAGS, _STUDY_UID, _SERIES_UID, *(_SERIES_TAGS if with_series else ()))
    record = _picked(_header(root, item), tags, query)
    record |= {
        _AVAILABILITY: element("CS", "ONLINE"),
        _SOP_UID: element("UI", item.instance.sop_instance_uid),
        _RETRIEVE_URL: element("UR", root.instance_url(item.instance)),
    }
    return dict(sorted(record.items()))


def _header(root: Root, item: StoredObject) -> Json:
    try:
        return root.document(item)
    except (DataError, OSError):  # the record tells what the database knows
        return {}


def _picked(header: Json, tags: Iterable[str], query: Query) -> Json:
    """Return the attributes that are told, asked for or filtered by."""
    asked = set(header) if query.include_all else {*tags, *query.include, *(tag for tag, _ in query.filters)}
    return {tag: value for tag, value in header.items() if tag in asked and "BulkDataURI" not in value}
