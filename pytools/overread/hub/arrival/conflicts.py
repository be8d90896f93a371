"""What stands against archiving a session: XNAT's checks with its codes and texts (xnat-rest 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival.assignment import UNASSIGNED
from overread.hub.items.experiments import SESSION_BASE
from overread.hub.items.subjects import find_subject
from overread.hub.models import Experiment, Scan, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

EXISTS = "Session already exists, retry with overwrite enabled"


@dataclass(frozen=True)
class Notice:
    """One finding.

    Parameters
    ----------
    code
        XNAT's number of it.
    type
        FAIL stops in any case, CONFLICT unless overwriting is asked for, WARN never.
    message
        XNAT's text, and what to do where it has none.
    """

    code: int
    type: Literal["FAIL", "CONFLICT", "WARN"]
    message: str


def existing_session(db: Session, hub: Hub, target: Experiment, *, project: str, study: str, subject: str) -> (
    Iterator[Notice]
):  # fmt: skip
    """Go through what stands against adding to a session that is there.

    Parameters
    ----------
    target
        The session that is there.
    project, study, subject
        Project, StudyInstanceUID and the subject's label ("" leaves it) of what is to be archived.
    """
    yield Notice(1, "CONFLICT", EXISTS)
    if not hub.schemas.is_a(target.xsi_type, SESSION_BASE):
        yield Notice(2, "FAIL", f"Label {target.label} is in use for {target.id}, no image session: take another.")
    if target.project != project:
        yield Notice(3, "FAIL", "Invalid modification of session project via archive process.")
    owner = db.get(Subject, target.subject_id) if target.subject_id else None
    if subject and owner is not None and subject not in {owner.label, owner.id}:
        message = "Invalid modification of session subject via archive process."
        yield Notice(4, "FAIL", f"{message}: {target.label} Already Exists for another Subject")
    # XNAT lets this pass when overwriting: two studies, perhaps of two patients, in one session.
    if target.uid and target.uid != study:
        yield Notice(5, "FAIL", "Invalid modification of session UID via archive process: take another label.")


def scans(db: Session, target: Experiment, arriving: dict[str, str]) -> Iterator[Notice]:
    """Go through the scans of a session that `arriving` series (UID: number) meet."""
    known = db.execute(select(Scan.id, Scan.uid).where(Scan.session_id == target.id).order_by(Scan.pk)).all()
    for uid, number in arriving.items():
        same_number = next((scan for scan in known if scan.id == number), None)
        same_uid = next((scan for scan in known if scan.uid == uid), None)
        if same_number is not None and same_number.uid == uid:
            yield Notice(16, "CONFLICT", f"Session already contains a scan ({number}) with the same UID and number.")
        elif same_number is not None:
            yield Notice(
                17,
                "CONFLICT",
                f"Session already contains a scan ({number}) with the same number, but a different UID. - New scan"
                " will be renamed during archive.",
            )
        if same_uid is not None and same_uid.id != number:
            yield Notice(
                18,
                "CONFLICT",
                f"Session already contains a scan ({same_uid.id}) with the same UID, but a different number.",
            )


def place(db: Session, *, project: str, subject: str, is_new: bool) -> Iterator[Notice]:
    """Go through what is missing of the place where a session is to go."""
    if project == UNASSIGNED:
        yield Notice(6, "FAIL", "unable to identify destination project")
    elif not subject and is_new:
        yield Notice(11, "FAIL", "Unable to identify subject.")
    elif is_new and find_subject(db, project, subject) is None:
        yield Notice(12, "WARN", f"Subject {subject} will be created.")
