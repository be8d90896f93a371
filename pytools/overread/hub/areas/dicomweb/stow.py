"""STOW-RS: images go the way of C-STORE's; segmentations of an exam in the archive become ROI collections.

Viewers write segmentations with known faults. What arrives here is checked against the images of the exam, written
anew by `overread.dicom.normalise`, and kept together with what was sent.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pydicom
from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.errors import DataError
from overread.hub.areas.dicomweb.store import StoredObject, objects, with_files
from overread.hub.arrival import spooling, storage
from overread.hub.arrival.assignment import Hints
from overread.hub.arrival.objects import Header, read_file_header, text
from overread.hub.arrival.spooling import Spooled
from overread.hub.arrival.storage import Fate, Incoming
from overread.hub.errors import HubError
from overread.hub.models import Experiment, Instance, Resource, ResourceFile
from overread.hub.roi.references import references_of
from overread.hub.roi.rules import DICOM_TYPES
from overread.hub.roi.store import RAW_LABEL, content_path, newest_of_model, reader_label, save_collection

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

_CANNOT_UNDERSTAND: Final = 0xC000
_MISMATCH: Final = 0xA900
_OUT_OF_RESOURCES: Final = 0xA700
_MAX_NAME: Final = 255


@dataclass(frozen=True)
class Sender:
    """Who stores, and into which project."""

    login: str
    project: str


@dataclass(frozen=True)
class Outcome:
    """What became of one object.

    Parameters
    ----------
    sop_class_uid, series_instance_uid, sop_instance_uid, study_instance_uid
        Of the object as it is kept; "" where it could not be read.
    failure
        Failure reason (PS3.18 Annex I.2); None for success.
    reason
        Why it was refused, in words.
    """

    sop_class_uid: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    failure: int | None = None
    reason: str = ""


def store_object(hub: Hub, sender: Sender, pieces: Iterable[bytes], *, study: str | None) -> Outcome:
    """Store one object, in transactions of its own.

    Parameters
    ----------
    hub
        The hub.
    sender
        Who stores, and where; may do so.
    pieces
        A DICOM file.
    study
        The study it must be of; None for any.
    """
    if not spooling.has_room(hub, 0):
        return Outcome(failure=_OUT_OF_RESOURCES, reason="The hub's disk is full.")
    spooled = spooling.spool_file(hub, pieces)
    header: Header | None = None
    try:
        header = read_file_header(spooled.path)
        if study is not None and header.study_instance_uid != study:
            return _refused(header, _MISMATCH, "It belongs to another study than the URL says.")
        if header.sop_class_uid in DICOM_TYPES["SEG"]:
            return _store_segmentation(hub, sender, spooled, header)
        return _store_image(hub, sender, spooled, header)
    except (DataError, HubError) as problem:
        reason = problem.reason if isinstance(problem, HubError) else str(problem)
        log.warning("DICOMweb refused an object: %s", reason)
        return _refused(header, _CANNOT_UNDERSTAND, reason)
    finally:
        spooled.path.unlink(missing_ok=True)


def _store_image(hub: Hub, sender: Sender, spooled: Spooled, header: Header) -> Outcome:
    incoming = Incoming(spooled, header, f"DICOMweb by {sender.login}")
    hints = Hints(project=sender.project, projects=frozenset({sender.project}))
    receipt = storage.store(hub, incoming, hints=hints)
    if receipt.fate is Fate.SET_ASIDE:
        return _refused(header, _MISMATCH, "Another object with this SOP Instance UID is kept.")
    return _stored(header)


def _stored(header: Header) -> Outcome:
    return Outcome(header.sop_class_uid, header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)


def _refused(header: Header | None, code: int, reason: str) -> Outcome:
    if header is None:
        return Outcome(failure=code, reason=reason)
    return Outcome(
        header.sop_class_uid,
        header.study_instance_uid,
        header.series_instance_uid,
        header.sop_instance_uid,
        failure=code,
        reason=reason,
    )


def _store_segmentation(hub: Hub, sender: Sender, spooled: Spooled, header: Header) -> Outcome:
    """Make a segmentation conformant and keep it as a collection of the session that it was drawn on."""
    upload = _read_upload(spooled.path)
    series = _referenced_series(upload)
    now = datetime.now().astimezone()
    with hub.database.read() as db:
        session = _session_of(db, sender.project, header.study_instance_uid)
        repeated = _stored_before(db, session, header, spooled)
        if repeated is not None:
            return repeated
        images = [
            item
            for item in objects(db, hub, sender.project, study=header.study_instance_uid, series=series)
            if item.instance.session_id == session.id
        ]
        if not images:
            raise DataError(
                "The series it refers to is not in the archive: reload the exam and save again.", uid=series
            )
        original = _original(db, hub, session, upload, series)
    # No transaction is open while voxels are compared: others must not wait for that.
    from overread.dicom.normalise import normalise_viewer_seg  # noqa: PLC0415 - highdicom: the hub starts without it

    kept = normalise_viewer_seg(
        upload,
        original=original,
        source_images=_headers(images),
        reader=sender.login,
        content_datetime=now,
    )
    with hub.database.write() as db:
        session = db.get_one(Experiment, session.id)
        repeated = _stored_before(db, session, header, spooled)  # the same request, while voxels were compared
        if repeated is not None:
            return repeated
        name = text(kept, "SeriesDescription")[:_MAX_NAME]
        collection = save_collection(
            db,
            hub,
            session,
            kept,
            label=reader_label(sender.login, now),
            collection_type="SEG",
            name=name,
            user=sender.login,
            raw=spooled.path,
        )
        log.info("segmentation of session %s kept as %s", session.id, collection.id)
    return Outcome(
        str(kept.SOPClassUID), str(kept.StudyInstanceUID), str(kept.SeriesInstanceUID), str(kept.SOPInstanceUID)
    )


def _read_upload(path: Path) -> Dataset:
    """Read a segmentation.

    Of compressed ones only RLE is taken, and decoded in Python: bytes from a stranger must not reach a decoder that can
    take the whole hub down.
    """
    upload = pydicom.dcmread(path)
    syntax = upload.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return upload
    uid = text(upload, "SOPInstanceUID")
    if syntax != pydicom.uid.RLELossless:
        raise DataError(f"Segmentations in {syntax.name} are not taken: store it uncompressed or as RLE.", uid=uid)
    try:
        upload.decompress(decoding_plugin="pydicom", generate_instance_uid=False)
    except (ValueError, TypeError, AttributeError, EOFError, RuntimeError, NotImplementedError, struct.error) as fault:
        raise DataError("Its frames can't be decoded: save it again.", uid=uid, tag="PixelData") from fault
    return upload


def _referenced_series(upload: Dataset) -> str:
    series = sorted(references_of(upload).series)
    if len(series) != 1:
        raise DataError(
            f"It refers to {len(series)} series: a segmentation must be drawn on exactly one.",
            uid=text(upload, "SOPInstanceUID"),
            tag="ReferencedSeriesSequence",
        )
    return series[0]


def _session_of(db: Session, project: str, study: str) -> Experiment:
    """Return the project's own session of a study; one that is only shared into it can't be changed from here."""
    found = db.scalar(
        select(Experiment)
        .join(Instance, Instance.session_id == Experiment.id)
        .where(Experiment.project == project, Instance.study_instance_uid == study)
        .order_by(Experiment.insert_date)
        .limit(1)
    )
    if found is None:
        raise DataError(f"Project {project} has no exam of this study in its archive.", uid=study)
    return found


def _stored_before(db: Session, session: Experiment, header: Header, spooled: Spooled) -> Outcome | None:
    """Answer a request that was sent twice as the first time; refuse another object of the same UID."""
    query = select(Instance).where(
        Instance.session_id == session.id, Instance.sop_instance_uid == header.sop_instance_uid
    )
    instance = db.scalar(query.limit(1))
    if instance is None:
        return None
    collection = db.scalar(
        select(Resource.owner_id)
        .join(ResourceFile, ResourceFile.resource_pk == Resource.pk)
        .where(ResourceFile.pk == instance.file_pk, Resource.owner_kind == "experiment")
    )
    raw = db.scalar(
        select(ResourceFile.digest)
        .join(Resource, Resource.pk == ResourceFile.resource_pk)
        .where(Resource.owner_id == collection, Resource.owner_kind == "experiment", Resource.label == RAW_LABEL)
    )
    if raw == spooled.digest:
        return Outcome(
            instance.sop_class_uid,
            instance.study_instance_uid,
            instance.series_instance_uid,
            instance.sop_instance_uid,
        )
    raise DataError("Another object with this SOP Instance UID is kept: save it anew.", uid=header.sop_instance_uid)


def _original(db: Session, hub: Hub, session: Experiment, upload: Dataset, series: str) -> Dataset | None:
    """Return the segmentation that the reader was shown: the one the upload names, else the newest of a model."""
    from overread.dicom.seg import predecessor_of  # noqa: PLC0415 - see above

    named = predecessor_of(upload)
    if named:
        found = db.scalars(
            select(Instance).where(Instance.session_id == session.id, Instance.sop_instance_uid == named)
        ).all()
        segmentations = [one for one in found if one.sop_class_uid in DICOM_TYPES["SEG"]]
        if not segmentations:
            raise DataError(
                f"The segmentation that it corrects, {named}, is not in the archive: reload the exam and save again.",
                uid=text(upload, "SOPInstanceUID"),
                tag="PredecessorDocumentsSequence",
            )
        return pydicom.dcmread(with_files(db, hub, segmentations)[0].path)
    model = newest_of_model(db, session, series)
    return None if model is None else pydicom.dcmread(content_path(db, hub, model))


def _headers(images: Sequence[StoredObject]) -> list[Dataset]:
    return [read_file_header(item.path).dataset for item in images]
