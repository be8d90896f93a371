"""The objects of one series become files of one scan.

Files are linked, not moved: each gets its name in the archive while the transaction runs and loses the one in the
prearchive once it is kept. So a crash at any moment leaves every file where the database says it is; what is left over
besides is removed at the next start (`overread.hub.arrival.recovery`), or replaced at the next attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival.describe import scan_fields, scan_type
from overread.hub.arrival.objects import file_stem, read_file_header, text
from overread.hub.arrival.storage import link, make_folder
from overread.hub.database import undo
from overread.hub.items.catalogs import touch
from overread.hub.items.files import delete_file, ensure_resource, owner_of, resource_folder
from overread.hub.items.scans import save_scan
from overread.hub.layout import clean_label, sync_folder
from overread.hub.models import Experiment, Instance, ReceivedObject, Resource, ResourceFile, Scan
from overread.study.selection import is_source_image

if TYPE_CHECKING:
    from overread.hub.core import Hub

RESOURCE_LABEL: Final = "DICOM"


@dataclass(frozen=True)
class ArrivedSeries:
    """The objects of one series.

    Parameters
    ----------
    uid
        SeriesInstanceUID.
    objects
        Their lines of the ledger, at least one.
    dataset
        Attributes of the first.
    """

    uid: str
    objects: Sequence[ReceivedObject]
    dataset: Dataset

    @property
    def modality(self) -> str:
        """Modality of the first object."""
        return text(self.dataset, "Modality")

    @property
    def is_image(self) -> bool:
        """Whether these are images, not something made from images."""
        return is_source_image(self.objects[0].header).ok


def series_of(hub: Hub, objects: Sequence[ReceivedObject]) -> list[ArrivedSeries]:
    """Group objects by series: images before what was made from them, each in the order in which they came."""
    grouped: dict[str, list[ReceivedObject]] = {}
    for item in objects:
        grouped.setdefault(item.series_instance_uid, []).append(item)
    series = [
        ArrivedSeries(uid, items, read_file_header(hub.layout.home / items[0].path).dataset)
        for uid, items in grouped.items()
    ]
    return sorted(series, key=lambda one: not one.is_image)


class Filing:
    """Files series into a session of the archive, within one transaction.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    target
        The session.
    user
        Login of who archives.
    replaces
        Whether an object takes the place of another one with its UID; else that one stays.
    """

    def __init__(self, db: Session, hub: Hub, target: Experiment, *, user: str, replaces: bool = False) -> None:
        self._db, self._hub, self._target, self._user = db, hub, target, user
        self._replaces = replaces
        rows = db.execute(
            select(Instance.sop_instance_uid, ResourceFile.digest)
            .join(ResourceFile, ResourceFile.pk == Instance.file_pk)
            .where(Instance.session_id == target.id)
        )
        self._known = {row.sop_instance_uid: row.digest for row in rows}

    def file(self, series: ArrivedSeries) -> int:
        """Give each object of a series its place in the scan of that series, which is made if need be.

        Returns
        -------
        int
            How many objects the session did not have before.
        """
        if self._replaces:
            self._make_room(series)
        new = [item for item in series.objects if item.sop_instance_uid not in self._known]
        for item in series.objects:
            if item.sop_instance_uid in self._known:
                self._leave_out(item)
        if new:
            self._place_all(series, new)
        return len(new)

    def _make_room(self, series: ArrivedSeries) -> None:
        """Take out of the session what objects of a series are to replace."""
        digests = {item.sop_instance_uid: item.digest for item in series.objects}
        uids = [uid for uid, digest in digests.items() if self._known.get(uid, digest) != digest]
        for instance in self._db.scalars(
            select(Instance).where(Instance.session_id == self._target.id, Instance.sop_instance_uid.in_(uids))
        ).all():
            uid, file = instance.sop_instance_uid, self._db.get_one(ResourceFile, instance.file_pk)
            line = self._db.scalar(
                select(ReceivedObject).where(
                    ReceivedObject.session_id == self._target.id,
                    ReceivedObject.sop_instance_uid == uid,
                    ReceivedObject.state == "archived",
                )
            )
            if line is not None:
                line.state, line.reason, line.path = "deleted", "replaced by a later object with its UID", ""
            self._count_frames(instance, line)
            delete_file(self._db, self._hub, file)
            del self._known[uid]

    def _count_frames(self, gone: Instance, line: ReceivedObject | None) -> None:
        """Take an object's frames off its scan's number."""
        uid = gone.series_instance_uid
        scan = self._db.scalar(select(Scan).where(Scan.session_id == self._target.id, Scan.uid == uid))
        if scan is not None:
            frames = (line is not None and _whole(line.header.get("NumberOfFrames"))) or 1
            scan.fields = {**scan.fields, "frames": max(0, (_whole(scan.fields.get("frames")) or 0) - frames)}
            self._db.flush()

    def _place_all(self, series: ArrivedSeries, objects: Sequence[ReceivedObject]) -> None:
        scan = self._scan(series, objects)
        resource = ensure_resource(
            self._db,
            self._hub,
            owner_of(scan),
            RESOURCE_LABEL,
            format="DICOM",
            content="RAW" if series.is_image else "",
            user=self._user,
        )
        folder = resource_folder(self._db, self._hub, resource)
        make_folder(folder)
        taken = set(self._db.scalars(select(ResourceFile.path).where(ResourceFile.resource_pk == resource.pk)))
        for item in objects:
            name = f"{file_stem(item.sop_instance_uid)}.dcm"
            if name in taken:  # a file of another kind has the name
                name = f"{file_stem(item.sop_instance_uid)}-{item.pk}.dcm"
            self._place(item, resource, folder / name)
        sync_folder(folder)

    def _scan(self, series: ArrivedSeries, objects: Sequence[ReceivedObject]) -> Scan:
        frames = sum(_whole(item.header.get("NumberOfFrames")) or 1 for item in objects)
        scan = self._db.scalar(select(Scan).where(Scan.session_id == self._target.id, Scan.uid == series.uid))
        if scan is not None:
            fields: dict[str, object] = {"frames": (_whole(scan.fields.get("frames")) or 0) + frames}
            return save_scan(
                self._db, self._hub, self._target, scan_id=scan.id, xsi_type="", fields=fields, user=self._user
            )
        schemas = self._hub.schemas
        xsi_type = scan_type(schemas, modality=series.modality, sop_class_uid=series.objects[0].sop_class_uid)
        return save_scan(
            self._db,
            self._hub,
            self._target,
            scan_id=self._free_scan_id(series),
            xsi_type=xsi_type,
            fields=scan_fields(schemas, xsi_type, series.dataset, frames=frames),
            user=self._user,
        )

    def _free_scan_id(self, series: ArrivedSeries) -> str:
        """Return the series' number, made unique as XNAT does it (``3-MR1``); without one the next free number."""
        taken = set(self._db.scalars(select(Scan.id).where(Scan.session_id == self._target.id)))
        number = clean_label(text(series.dataset, "SeriesNumber"))
        counts = range(1, len(taken) + 2)
        if not number:
            return next(str(n) for n in counts if str(n) not in taken)
        if number not in taken:
            return number
        stem = f"{number}-{clean_label(series.modality) or 'OT'}"
        return next(f"{stem}{n}" for n in counts if f"{stem}{n}" not in taken)

    def _place(self, item: ReceivedObject, resource: Resource, target: Path) -> None:
        target.unlink(missing_ok=True)  # left over from an attempt that a crash ended: no row of the database knows it
        link(self._hub.layout.home / item.path, target)
        undo(self._db, lambda: target.unlink(missing_ok=True))
        file = ResourceFile(
            resource_pk=resource.pk,
            path=target.name,
            size=item.size,
            digest=item.digest,
            format="DICOM",
            insert_user=self._user,
        )
        self._db.add(file)
        self._db.flush()
        touch(self._db, self._hub, resource)
        self._db.add(_instance(self._target, file, item))
        self._known[item.sop_instance_uid] = item.digest
        item.state, item.session_id = "archived", self._target.id
        item.path = target.relative_to(self._hub.layout.home).as_posix()

    def _leave_out(self, item: ReceivedObject) -> None:
        """Keep the object that the archive has; another one of its UID is put aside, as the receiver would do it."""
        item.session_id = self._target.id
        if item.digest == self._known[item.sop_instance_uid]:
            item.state, item.reason, item.path = "duplicate", "the same object is in the archive", ""
            return
        source = self._hub.layout.home / item.path
        aside = self._hub.layout.refused / f"{item.pk}_{source.name}"
        aside.unlink(missing_ok=True)
        link(source, aside)
        undo(self._db, lambda: aside.unlink(missing_ok=True))
        sync_folder(aside.parent)
        item.state, item.path = "refused", aside.relative_to(self._hub.layout.home).as_posix()
        item.reason = "another object with this SOP Instance UID is in the archive; that one is kept in use"


def _instance(target: Experiment, file: ResourceFile, item: ReceivedObject) -> Instance:
    return Instance(
        session_id=target.id,
        file_pk=file.pk,
        study_instance_uid=item.study_instance_uid,
        series_instance_uid=item.series_instance_uid,
        sop_instance_uid=item.sop_instance_uid,
        sop_class_uid=item.sop_class_uid,
        transfer_syntax_uid=item.transfer_syntax_uid,
        modality=str(item.header.get("Modality") or ""),
        series_number=_whole(item.header.get("SeriesNumber")),
        series_description=str(item.header.get("SeriesDescription") or ""),
        instance_number=_whole(item.header.get("InstanceNumber")),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
