"""Which DICOM object lies in which file of the archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from overread.errors import DataError
from overread.hub.arrival.objects import read_file_header, text, whole_number
from overread.hub.items.folders import Owner, file_path, owner_item
from overread.hub.models import Experiment, Instance, Resource, ResourceFile, Scan, Share

if TYPE_CHECKING:
    from overread.hub.core import Hub


_COLLECTION: Final = "icr:roiCollectionData"
_COLLECTION_RESOURCES: Final = ("SEG", "RTSTRUCT")


def index_file(db: Session, hub: Hub, session: Experiment, file: ResourceFile) -> Instance | None:
    """Note which object a stored file holds, so that DICOMweb and the ROI checks find it.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    session
        Image session that the file belongs to: that of its scan, or of its assessor.
    file
        The file, stored already. What was noted of it before is forgotten.

    Returns
    -------
    Instance or None
        None if the file is no DICOM object.
    """
    db.execute(delete(Instance).where(Instance.file_pk == file.pk))
    try:
        header = read_file_header(file_path(db, hub, file))
    except DataError:
        return None
    dataset = header.dataset
    instance = Instance(
        session_id=session.id,
        file_pk=file.pk,
        study_instance_uid=header.study_instance_uid,
        series_instance_uid=header.series_instance_uid,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        modality=text(dataset, "Modality"),
        series_number=whole_number(dataset, "SeriesNumber"),
        series_description=text(dataset, "SeriesDescription"),
        instance_number=whole_number(dataset, "InstanceNumber"),
    )
    db.add(instance)
    db.flush()
    return instance


def index_upload(db: Session, hub: Hub, resource: Resource, file: ResourceFile) -> Instance | None:
    """Note which object a file holds that somebody uploaded, if it is one that DICOMweb serves.

    Those are the objects of scans, and those that ROI collections are made of.

    Returns
    -------
    Instance or None
        None if the file is no DICOM object, or lies elsewhere.
    """
    owner = owner_item(db, Owner(resource.owner_kind, resource.owner_id))
    is_collection = isinstance(owner, Experiment) and owner.xsi_type == _COLLECTION
    if not (isinstance(owner, Scan) or (is_collection and resource.label in _COLLECTION_RESOURCES)):
        return None
    session_id = owner.session_id if isinstance(owner, Scan | Experiment) else None
    return index_file(db, hub, db.get_one(Experiment, session_id), file) if session_id is not None else None


def seen_in(project: str) -> ColumnElement[bool]:
    """Return the condition that an instance, joined with its session, is seen in a project."""
    lent = select(Share.object_id).where(Share.kind == "experiment", Share.project == project)
    # Without correlation: it is asked for once, not for each instance.
    visible = (
        select(ResourceFile.pk)
        .join(Resource, Resource.pk == ResourceFile.resource_pk)
        .join(Instance, Instance.file_pk == ResourceFile.pk)
        .where(Instance.session_id.in_(lent), or_(Resource.owner_kind == "scan", Resource.owner_id.in_(lent)))
        .correlate(None)
    )
    return or_(Experiment.project == project, and_(Experiment.id.in_(lent), Instance.file_pk.in_(visible)))


def find_instances(
    db: Session, *, project: str, study: str | None = None, series: str | None = None, sop: str | None = None
) -> Sequence[Instance]:
    """Return the objects of a project's sessions, its own and those lent to it, by series and instance number.

    What hangs on a lent session (segmentations of its assessors) is not lent with it.

    Parameters
    ----------
    db
        Transaction.
    project
        Project ID.
    study, series, sop
        UIDs; None leaves them open.
    """
    query = (
        select(Instance)
        .join(Experiment, Experiment.id == Instance.session_id)
        .where(seen_in(project))
        .order_by(Instance.series_number, Instance.series_instance_uid, Instance.instance_number, Instance.pk)
    )
    for column, value in (
        (Instance.study_instance_uid, study),
        (Instance.series_instance_uid, series),
        (Instance.sop_instance_uid, sop),
    ):
        if value is not None:
            query = query.where(column == value)
    return db.scalars(query).all()
