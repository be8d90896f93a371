"""Experiments: image sessions, subject assessors and image assessors. Finding, saving, renaming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import BindParameter, Select, bindparam, case, or_, select
from sqlalchemy.orm import Session

from overread.hub.errors import conflict, unprocessable
from overread.hub.items.announce import announce
from overread.hub.items.fields import apply_children, apply_fields, clean_children, clean_fields, require_type
from overread.hub.items.files import Owner, folder_of, move_folder
from overread.hub.items.ids import checked_id, new_experiment_id
from overread.hub.items.ledger import follow_folder
from overread.hub.layout import safe_name
from overread.hub.models import Experiment, Project, Share, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

SESSION_BASE = "xnat:imageSessionData"
ASSESSOR_BASE = "xnat:imageAssessorData"


@dataclass(frozen=True)
class NewExperiment:
    """An experiment as it is to be saved.

    Parameters
    ----------
    xsi_type
        Its datatype, such as ``xnat:mrSessionData`` or ``braintumor:resultData``.
    project, label
        Where it belongs. A label that is there already names the experiment to change.
    subject_id
        ID of its subject: sessions and subject assessors.
    session_id
        ID of its session: image assessors.
    fields, children
        Values by path below the type, as text or Python values; ``children`` the repeated elements.
    id
        The ID that a new one gets; "" for the next free accession ID.
    replace
        Whether values that are not named are cleared, and lists replaced instead of merged.
    """

    xsi_type: str
    project: str
    label: str
    subject_id: str | None = None
    session_id: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
    children: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    id: str = ""
    replace: bool = False


def _find() -> Select[Experiment]:
    """Return the question of :func:`find_experiment`: one, with what is most wanted first."""
    project: BindParameter[str] = bindparam("project")
    name: BindParameter[str] = bindparam("name")
    lent = select(Share.object_id).where(Share.kind == "experiment", Share.project == project)
    is_own = (Experiment.project == project) & (Experiment.label == name)
    is_lent = Experiment.id.in_(lent.where(Share.label == name))
    is_named = (Experiment.id == name) & ((Experiment.project == project) | Experiment.id.in_(lent))
    best = case((is_own, 0), (is_lent, 1), else_=2)
    return select(Experiment).where(or_(is_own, is_lent, is_named)).order_by(best).limit(1)


_FIND: Final = _find()  # nearly every request asks it, and making it takes longer than asking


def find_experiment(db: Session, project: str, label_or_id: str) -> Experiment | None:
    """Return the experiment of `project` (or shared into it) with this label, else with this ID."""
    return db.scalar(_FIND, {"project": project, "name": label_or_id})


def save_experiment(
    db: Session, hub: Hub, new: NewExperiment, *, user: str, notify: bool = True
) -> tuple[Experiment, bool]:
    """Make an experiment, or lay the values over the one of that label.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    new
        What to save. Its values are checked against the datatype.
    user
        Login of who saves.
    notify
        Whether the event is fired now. Who adds scans and files next passes False and calls
        :func:`overread.hub.items.announce.announce` once all is there.

    Returns
    -------
    tuple of Experiment and bool
        The experiment, and whether it is new.

    Notes
    -----
    As in XNAT, a new experiment fires CREATED, a changed image assessor UPDATED, a changed session nothing.
    """
    kind = require_type(hub.schemas, new.xsi_type, "xnat:experimentData")
    is_assessor = hub.schemas.is_a(new.xsi_type, ASSESSOR_BASE)
    values = clean_fields(kind, new.fields)
    children = clean_children(hub.schemas, kind, new.children)
    experiment = find_experiment(db, new.project, new.label)
    created = experiment is None
    if experiment is None:
        experiment = _make(db, hub, new, is_assessor=is_assessor, user=user)
    else:
        _check_same(db, experiment, new)
    apply_fields(experiment, values, replace=new.replace)
    apply_children(experiment, children, replace=new.replace)
    db.flush()
    if notify and (created or is_assessor):
        announce(db, hub, experiment, "CREATED" if created else "UPDATED", user=user)
    return experiment, created


def _make(db: Session, hub: Hub, new: NewExperiment, *, is_assessor: bool, user: str) -> Experiment:
    if db.get(Project, new.project) is None:
        raise unprocessable(f"Unable to identify project {new.project}")
    if is_assessor:
        _check_session(db, new)
    else:
        subject = db.get(Subject, new.subject_id) if new.subject_id else None
        if subject is None:
            raise unprocessable(f"Unable to identify the subject of {new.label}: subject_ID {new.subject_id!r}")
    experiment_id = checked_id(new.id) if new.id else new_experiment_id(db, hub)
    if new.id and db.get(Experiment, experiment_id) is not None:
        raise conflict(f"There is an experiment {experiment_id} already.")
    experiment = Experiment(
        id=experiment_id,
        project=new.project,
        label=safe_name(new.label),
        xsi_type=new.xsi_type,
        subject_id=None if is_assessor else new.subject_id,
        session_id=new.session_id if is_assessor else None,
        insert_user=user,
        fields={},
        children={},
        date="", time="", uid="", modality="", accession_number="", patient_id="", patient_name="",
    )  # fmt: skip
    db.add(experiment)
    return experiment


def _check_session(db: Session, new: NewExperiment) -> None:
    session = db.get(Experiment, new.session_id) if new.session_id else None
    if session is None or session.session_id is not None:
        raise unprocessable(f"Unable to identify the session of {new.label}: imageSession_ID {new.session_id!r}")
    same = select(Experiment.id).where(Experiment.session_id == session.id, Experiment.label == new.label)
    if db.scalar(same) is not None:
        raise conflict(f"The session has an assessor {new.label} already, in another project.")


def _check_same(db: Session, experiment: Experiment, new: NewExperiment) -> None:
    """Refuse to turn an experiment into something else; let a session change its subject."""
    if experiment.project != new.project:
        raise conflict(f"{experiment.id} belongs to project {experiment.project}: change it there.")
    if experiment.xsi_type != new.xsi_type:
        raise conflict(f"Label {new.label} is in use for {experiment.id}, a {experiment.xsi_type}.")
    if new.id and new.id != experiment.id:
        raise conflict(f"Label {new.label} is in use for {experiment.id}.")
    if new.session_id and new.session_id != experiment.session_id:
        raise conflict(f"Label {new.label} is in use for an assessor of another session, {experiment.session_id}.")
    if new.subject_id and new.subject_id != experiment.subject_id:
        if db.get(Subject, new.subject_id) is None:
            raise unprocessable(f"Unable to identify subject {new.subject_id}")
        experiment.subject_id = new.subject_id


def rename_experiment(db: Session, hub: Hub, experiment: Experiment, label: str) -> None:
    """Give an experiment another label and move its files."""
    if label == experiment.label:
        return
    other = find_experiment(db, experiment.project, safe_name(label))
    if other is not None:
        raise conflict(f"Label {label} is in use for {other.id}.")
    owner = Owner("experiment", experiment.id)
    before = folder_of(db, hub, owner)
    experiment.label = label
    db.flush()
    after = folder_of(db, hub, owner)
    move_folder(db, hub, before, after)
    follow_folder(db, hub, experiment.id, before, after)
