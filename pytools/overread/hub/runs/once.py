"""What makes one automatic run the same as another: the command, its image, and what it would look at.

"The same series with the same model version never run twice by automation; late images lead to one new run."
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.items.folders import owner_of
from overread.hub.models import Container, Experiment, Instance, Project, Resource, ResourceFile, Scan, Subject
from overread.hub.runs.documents import Wrapper
from overread.hub.runs.process import ProcessRunner
from overread.study.selection import is_source_image

if TYPE_CHECKING:
    from overread.hub.core import Hub


def once_key(
    db: Session,
    hub: Hub,
    wrapper: Wrapper,
    item: Project | Subject | Experiment | Scan | Resource,
    *,
    image_digest: str = "",
) -> str | None:
    """Return the key of an automatic run of `wrapper` on `item`.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    wrapper, item
        What would run, and on what.
    image_digest
        Digest of the image that was made ready; "" takes the one that is expected (`expected_digest`).

    Returns
    -------
    str or None
        A hash of the wrapper, its command's name and version, its image's digest, and of the object: for a session
        its image series with their SOP Instance UIDs, for an image assessor or resource its ID and its files' digests.
        None for projects and subjects, which are never twice the same.
    """
    content = _content(db, item)
    if content is None:
        return None
    about = [
        wrapper.id,
        wrapper.command["name"],
        wrapper.command["version"],
        image_digest or expected_digest(db, hub, wrapper),
        content,
    ]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def expected_digest(db: Session, hub: Hub, wrapper: Wrapper) -> str:
    """Return the digest of the image that a run of `wrapper` would use, as far as it is known without an engine.

    Returns
    -------
    str
        That which the command pins; else that of the image folder, where folders are run; else that of the image which
        the wrapper's last run used on such an engine. "" if there was none: once the first run's image is ready, its
        key is made anew, and so is that of a run whose image has been replaced under the same name.
    """
    pinned = str(wrapper.command.get("hash") or "") or str(wrapper.command["image"]).partition("@")[2]
    if pinned.startswith("sha256:"):
        return pinned
    runner = hub.runs.runner
    if runner.backend == ProcessRunner.backend:
        image = hub.images.find(str(wrapper.command["image"]))
        return image.digest if image is not None else ""
    earlier = (
        select(Container.image_digest)
        .where(
            Container.wrapper_id == wrapper.id,
            Container.parent_id.is_(None),
            Container.image_digest != "",
            Container.versions["backend"].as_string() == runner.backend,
        )
        .order_by(Container.id.desc())
        .limit(1)
    )
    return db.scalar(earlier) or ""


def _content(db: Session, item: Project | Subject | Experiment | Scan | Resource) -> Any:
    match item:
        case Experiment() if item.session_id is not None:
            return [item.id, _digests(db, item)]
        case Experiment():
            return [item.id, _series(db, item.id, None)]
        case Scan():
            return [item.session_id, item.id, _series(db, item.session_id, str(item.pk))]
        case Resource():
            return [item.pk, _digests(db, item)]
        case _:
            return None


def _series(db: Session, session_id: str, scan_pk: str | None) -> list[Any]:
    """Return the image series of a session's scans (not of its assessors), each with its SOP Instance UIDs.

    Segmentations, reports and the like are no input of a model: one that is sent later makes no other run.
    """
    rows = (
        select(Instance.series_instance_uid, Instance.sop_instance_uid, Instance.modality, Instance.sop_class_uid)
        .join(ResourceFile, ResourceFile.pk == Instance.file_pk)
        .join(Resource, Resource.pk == ResourceFile.resource_pk)
        .where(Instance.session_id == session_id, Resource.owner_kind == "scan")
    )
    if scan_pk is not None:
        rows = rows.where(Resource.owner_id == scan_pk)
    found: dict[str, set[str]] = {}
    for series, sop, modality, sop_class in db.execute(rows):
        if is_source_image({"Modality": modality, "SOPClassUID": sop_class}).ok:
            found.setdefault(series, set()).add(sop)
    return [[series, sorted(found[series])] for series in sorted(found)]


def _digests(db: Session, item: Experiment | Resource) -> list[str]:
    rows = select(ResourceFile.digest).join(Resource, Resource.pk == ResourceFile.resource_pk)
    if isinstance(item, Resource):
        rows = rows.where(Resource.pk == item.pk)
    else:
        owner = owner_of(item)
        rows = rows.where(Resource.owner_kind == owner.kind, Resource.owner_id == owner.id)
    return sorted(db.scalars(rows))
