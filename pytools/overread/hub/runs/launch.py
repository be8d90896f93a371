"""Launching: may this user run this wrapper on this object here, is it new, and then into the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.access import Caller, Right, may, may_on_experiment
from overread.hub.audit import Entry, note
from overread.hub.database import after_commit
from overread.hub.errors import HubError, bad_request, forbidden
from overread.hub.items import uris
from overread.hub.models import Container, Experiment, Project, Resource, Scan, Share, Subject, User, Workflow
from overread.hub.runs import orchestrations, relatives
from overread.hub.runs.documents import Wrapper, is_enabled
from overread.hub.runs.inputs import OBJECTS
from overread.hub.runs.jsonpath import is_path
from overread.hub.runs.priorities import check_values, priority_of, slot_of
from overread.hub.runs.states import QUEUED, advance
from overread.hub.runs.template import illegal_text

if TYPE_CHECKING:
    from overread.hub.core import Hub

Item = Project | Subject | Experiment | Scan | Resource


@dataclass(frozen=True)
class Step:
    """A place in an orchestration, from 0."""

    orchestration: int
    place: int


def caller_of(db: Session, login: str) -> Caller:
    """Return a user with the present roles; 403 for an account that is gone or switched off."""
    user = db.scalar(select(User).where(User.login == login))
    if user is None or not user.enabled:
        raise forbidden(f"There is no active user {login}.")
    return Caller(login, frozenset(user.roles))


def queue_launch(
    db: Session,
    hub: Hub,
    *,
    wrapper: Wrapper,
    project: str,
    user: str,
    inputs: Mapping[str, str],
    origin: str,
    once_key: str | None = None,
    job_id: str = "",
    step: Step | None = None,
    rerun_of: int | None = None,
) -> Container | None:
    """Queue a run, within the transaction of `db`: it is kept or forgotten with whatever caused it.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    wrapper
        What to run, with the defaults of `project`.
    project
        Where: the wrapper must be enabled there, and the user may edit there. "" for a launch on the site.
    user
        Login of the user in whose name it runs.
    inputs
        Values by input name; that of the first external input names the object. ``overread-priority`` says who goes
        first (`overread.hub.runs.priorities`).
    origin
        What started it, such as ``user`` or ``subscription:3:delivery:17``.
    once_key
        See `overread.hub.runs.once`; None runs in any case.
    job_id
        Id of the bulk launch it belongs to.
    step
        Its place in an orchestration; None looks whether it begins one.
    rerun_of
        The failed run that it does again.

    Returns
    -------
    Container or None
        The queued run; None if a run with this key is queued, runs or went well already.

    Raises
    ------
    HubError
        It may not or can't be launched.
    """
    caller = caller_of(db, user)
    _check_enabled(db, wrapper, project)
    _check_values(inputs)
    priority = priority_of(wrapper.command, inputs)
    check_values(inputs)
    root = _root_object(db, hub, wrapper, caller=caller, project=project, inputs=inputs)
    if once_key is not None and db.scalar(select(Container.id).where(Container.once_key == once_key)) is not None:
        return None
    if step is None:
        chain = orchestrations.beginning_with(db, project, wrapper.id)
        step = Step(chain.id, 0) if chain is not None else None
    workflow = Workflow(
        object_id=_object_id(root, project),
        data_type=_data_type(root),
        project=project,
        pipeline_name=wrapper.name,
        user=user,
        justification="Container launch",
        job_id=job_id,
        next_step_id=str(step.orchestration) if step is not None else "",
        current_step_id=str(step.place) if step is not None else "",
    )
    db.add(workflow)
    db.flush()
    container = Container(
        command_id=wrapper.command_id,
        wrapper_id=wrapper.id,
        workflow_id=workflow.id,
        project=project,
        user=user,
        origin=origin,
        once_key=once_key,
        rerun_of=rerun_of,
        priority=priority,
        slot=slot_of(wrapper.command),
        inputs=dict(inputs),
        resolved={"docker-image": wrapper.command["image"], "subtype": wrapper.command["type"]},
        outputs=[],
        history=[],
    )
    db.add(container)
    db.flush()
    advance(db, container, QUEUED, by=user)
    told = f"run {container.id}, {wrapper.name}, {origin}"
    note(db, Entry(user, "run", project=project or workflow.project, item=workflow.object_id, detail=told))
    after_commit(db, hub.runs.wake)
    return container


def _check_enabled(db: Session, wrapper: Wrapper, project: str) -> None:
    if not is_enabled(db, wrapper.id, ""):
        raise forbidden(f"Wrapper {wrapper.name} is not enabled for the site.")
    if project and not is_enabled(db, wrapper.id, project):
        raise forbidden(f"Wrapper {wrapper.name} is not enabled in project {project}.")


def _check_values(inputs: Mapping[str, str]) -> None:
    for name, value in inputs.items():
        if is_path(value):
            continue  # what it leads to is looked at when the launch is resolved
        found = illegal_text(value)
        if found is not None:
            raise bad_request(f'Input "{name}" has a value containing illegal string "{found}".')


def _root_object(
    db: Session, hub: Hub, wrapper: Wrapper, *, caller: Caller, project: str, inputs: Mapping[str, str]
) -> Item | None:
    """Return the object that is launched on, and see to it that the caller may."""
    given = wrapper.root
    text = inputs.get(given["name"], given.get("default-value") or "") if given is not None else ""
    if given is None or given["type"] not in OBJECTS:
        if not project:
            raise bad_request("A wrapper without an object runs in a project only.")
        _check_right(db, caller, project)
        return None
    if not text:
        raise bad_request(f'Input "{given["name"]}" is missing: it names the object to launch on.')
    item = uris.resolve(db, hub, str(text))
    if not relatives.is_of_type(hub, given["type"], item):
        raise bad_request(f"{text} is no {given['type']}.")
    holder = _holder(db, item)
    readable = may_on_experiment(db, caller, holder, Right.READ) if isinstance(holder, Experiment) else True
    own = holder.id if isinstance(holder, Project) else holder.project
    if not readable or (own != project and project and not _is_shared(db, holder, project)):
        raise HubError(404, f"Unable to identify {text} in project {project}")
    _check_right(db, caller, project or own)
    return item


def _holder(db: Session, item: Item) -> Project | Subject | Experiment:
    """Return what decides about rights on `item`."""
    if isinstance(item, Resource):
        item = relatives.owner(db, item)
    return db.get_one(Experiment, item.session_id) if isinstance(item, Scan) else item


def _is_shared(db: Session, holder: Project | Subject | Experiment, project: str) -> bool:
    kind = "experiment" if isinstance(holder, Experiment) else "subject"
    shared = select(Share.pk).where(Share.kind == kind, Share.object_id == holder.id, Share.project == project)
    return db.scalar(shared) is not None


def _check_right(db: Session, caller: Caller, project: str) -> None:
    if not may(db, caller, project, Right.EDIT):
        raise forbidden(f"The user may not launch containers in project {project}.")


def _object_id(root: Item | None, project: str) -> str:
    return project if root is None else str(root.pk) if isinstance(root, Resource) else root.id


def _data_type(root: Item | None) -> str:
    match root:
        case Experiment() | Scan():
            return root.xsi_type
        case Subject():
            return "xnat:subjectData"
        case Resource():
            return "xnat:resourceCatalog"
        case _:
            return "xnat:projectData"
