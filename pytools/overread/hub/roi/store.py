"""Keeping a ROI collection: an ``icr:roiCollectionData`` assessor with its file."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival.objects import read_file_header, text
from overread.hub.errors import conflict, unprocessable
from overread.hub.items.announce import announce
from overread.hub.items.experiments import NewExperiment, find_experiment, save_experiment
from overread.hub.items.files import Owner, add_file, delete_resource, ensure_resource, file_path
from overread.hub.items.instances import index_file
from overread.hub.layout import clean_label
from overread.hub.models import Experiment, Resource, ResourceFile
from overread.hub.roi.references import references_of

if TYPE_CHECKING:
    from overread.hub.core import Hub

XSI_TYPE: Final = "icr:roiCollectionData"
RAW_LABEL: Final = "RAW"
"""Resource that keeps what a viewer sent, before it was made conformant."""
_AI_PREFIX: Final = "AI-"


def save_collection(
    db: Session,
    hub: Hub,
    session: Experiment,
    seg: Dataset | bytes | Path,
    *,
    label: str,
    collection_type: str,
    name: str,
    user: str,
    raw: Path | None = None,
) -> Experiment:
    """Make a collection of a session, or replace the content of the one of that label.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    session
        Image session it is drawn on.
    seg
        The object: a dataset, or the bytes or path of a DICOM file, that are kept as they are (and not taken away).
    label
        Unique in the project.
    collection_type
        SEG or RTSTRUCT; also the label of its resource.
    name
        What viewers show.
    user
        Login of who saves.
    raw
        What the sender sent, if that was something else; kept beside it.

    Returns
    -------
    Experiment
        The assessor. It has fired ImageAssessorEvent CREATED when it was made, and UPDATED now that its file is there.

    Raises
    ------
    HubError
        409 if the label is in use for something else.
    """
    path = _as_file(hub, seg)
    try:
        dataset = read_file_header(path).dataset
        collection = _save(db, hub, session, dataset, label=label, kind=collection_type, name=name, user=user)
        owner = Owner("experiment", collection.id)
        for old in (collection_type, RAW_LABEL):
            _clear(db, hub, owner, old)
        resource = ensure_resource(db, hub, owner, collection_type, format="DICOM", content=collection_type, user=user)
        file = add_file(
            db, hub, resource, f"{label}.dcm", path, user=user, move=False, format="DICOM", content=collection_type
        )
        if file is not None:
            index_file(db, hub, session, file)
        if raw is not None:
            raw_resource = ensure_resource(db, hub, owner, RAW_LABEL, format="DICOM", content="as uploaded", user=user)
            # Not ".dcm": who looks for the collection's segmentation must find one.
            add_file(db, hub, raw_resource, f"{label}.upload", raw, user=user, move=False, format="DICOM")
    finally:
        if path is not seg:
            path.unlink(missing_ok=True)
    announce(db, hub, collection, "UPDATED", user=user)
    return collection


def _save(
    db: Session, hub: Hub, session: Experiment, dataset: Dataset, *, label: str, kind: str, name: str, user: str
) -> Experiment:
    existing = find_experiment(db, session.project, label)
    if existing is not None and (existing.xsi_type != XSI_TYPE or existing.session_id != session.id):
        raise conflict(f"Label {label} is in use for {existing.id}: choose another.")
    now = datetime.now().astimezone()
    new = NewExperiment(
        xsi_type=XSI_TYPE,
        project=session.project,
        label=label,
        session_id=session.id,
        id=existing.id if existing is not None else f"RoiCollection_{secrets.token_hex(5)}",
        fields={
            "UID": text(dataset, "SOPInstanceUID"),
            "collectionType": kind,
            "subjectID": session.subject_id,
            "name": name,
            "date": now.strftime("%Y-%m-%d"),
            "time": now.strftime("%H:%M:%S"),
        },
        children={"references/seriesUID": [{"seriesUID": uid} for uid in sorted(references_of(dataset).series)]},
        replace=True,
    )
    return save_experiment(db, hub, new, user=user, notify=existing is None)[0]


def reader_label(login: str, now: datetime) -> str:
    """Return a new label for what a reader drew: ``<login>-SEG_<date>_<time>_<4 hex>``."""
    return f"{clean_label(login)}-SEG_{now:%Y%m%d_%H%M%S}_{secrets.token_hex(2)}"


def find_collection(db: Session, project: str, label_or_id: str) -> Experiment | None:
    """Return a collection of a project."""
    found = find_experiment(db, project, label_or_id)
    return found if found is not None and found.xsi_type == XSI_TYPE else None


def newest_of_model(db: Session, session: Experiment, series_instance_uid: str) -> Experiment | None:
    """Return the newest collection that a model drew on a series of a session."""
    query = (
        select(Experiment)
        .where(
            Experiment.session_id == session.id,
            Experiment.xsi_type == XSI_TYPE,
            Experiment.label.startswith(_AI_PREFIX, autoescape=True),
        )
        .order_by(Experiment.insert_date.desc())
    )
    return next((one for one in db.scalars(query) if series_instance_uid in referenced_series(one)), None)


def referenced_series(collection: Experiment) -> set[str]:
    """Return the UIDs of the series that a collection is drawn on."""
    entries: Iterable[dict[str, str]] = collection.children.get("references/seriesUID", ())
    return {entry.get("seriesUID", "") for entry in entries}


def content_path(db: Session, hub: Hub, collection: Experiment) -> Path:
    """Return the file of a collection, or refuse with 422 if it has none."""
    kind = str(collection.fields.get("collectionType") or "SEG")
    file = db.scalar(
        select(ResourceFile)
        .join(Resource, Resource.pk == ResourceFile.resource_pk)
        .where(Resource.owner_kind == "experiment", Resource.owner_id == collection.id, Resource.label == kind)
        .order_by(ResourceFile.pk)
        .limit(1)
    )
    if file is None:
        raise unprocessable(f"Collection {collection.label} has no file.")
    return file_path(db, hub, file)


def _clear(db: Session, hub: Hub, owner: Owner, label: str) -> None:
    """Take the old files of a collection away that gets a new content."""
    old = db.scalar(
        select(Resource).where(
            Resource.owner_kind == owner.kind, Resource.owner_id == owner.id, Resource.label == label
        )
    )
    if old is not None:
        delete_resource(db, hub, old)
        db.flush()


def _as_file(hub: Hub, seg: Dataset | bytes | Path) -> Path:
    if isinstance(seg, Path):
        return seg
    path = hub.layout.tmp / f"collection-{secrets.token_hex(8)}.dcm"
    if isinstance(seg, bytes):
        path.write_bytes(seg)
    else:
        seg.save_as(path, enforce_file_format=True)
    return path
