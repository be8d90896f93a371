"""From the parameters of a path to items, with rights checked and what may not be seen hidden."""

from __future__ import annotations

from overread.hub.access import Right, may
from overread.hub.errors import forbidden, not_found, unprocessable
from overread.hub.http import Call
from overread.hub.items.experiments import find_experiment
from overread.hub.items.projects import find_project
from overread.hub.items.scans import find_scan
from overread.hub.items.subjects import find_subject
from overread.hub.items.uris import find_assessor
from overread.hub.models import Experiment, Project, Scan, Share, Subject

Item = Project | Subject | Experiment | Scan


def project_of(call: Call, right: Right = Right.READ) -> Project:
    """Return the project of the path (ID or alias), if the caller has `right` there."""
    name = call.params["project"]
    project = find_project(call.db, name)
    call.require(project.id if project is not None else name, right)
    if project is None:
        raise not_found(f"project {name}")
    return project


def find_or_refuse_project(call: Call) -> Project:
    """Return the project whose list is asked for: 404 if there is none, 403 if it may not be read, as XNAT has it."""
    project = find_project(call.db, call.params["project"])
    if project is None:
        raise not_found(f"project {call.params['project']}")
    call.about.project = project.id
    if not may(call.db, call.caller, project.id, Right.READ):
        raise forbidden(f"The user may not read project {project.id}.")
    return project


def target_project(call: Call) -> Project:
    """Return the project of the path, to make something in: 422 for an administrator if there is none, as in XNAT."""
    project = find_project(call.db, call.params["project"])
    if project is None and call.caller.is_admin:
        raise unprocessable(f"Unable to identify project {call.params['project']}")
    return project_of(call, Right.EDIT)


def subject_of(call: Call, right: Right = Right.READ) -> Subject:
    """Return the subject of the path: a label or ID within its project, else an ID."""
    name = call.params["subject"]
    if "project" in call.params:
        project = project_of(call)
        subject = find_subject(call.db, project.id, name)
    else:
        subject = call.db.get(Subject, name)
    if subject is None:
        raise not_found(f"subject {name}")
    require_subject(call, subject, right)
    return subject


def require_subject(call: Call, subject: Subject, right: Right) -> None:
    """Refuse the call unless the caller has `right` on `subject`. Hides what may not be seen."""
    call.about.item, call.about.project = subject.id, call.about.project or subject.project
    if may(call.db, call.caller, subject.project, right):
        return
    shared = call.db.query(Share.project).filter(Share.kind == "subject", Share.object_id == subject.id)
    visible = may(call.db, call.caller, subject.project, Right.READ) or any(
        may(call.db, call.caller, project, Right.READ) for (project,) in shared
    )
    if not visible:
        call.about.hidden = True
        raise not_found(f"subject {subject.id}")
    if right is not Right.READ:
        raise forbidden(f"The user may not change {subject.id}.")


def experiment_of(call: Call, right: Right = Right.READ) -> Experiment:
    """Return the experiment of the path: a label or ID within its project, else an ID."""
    name = call.params["experiment"]
    experiment = lookup_experiment(call)
    if experiment is None:
        raise not_found(f"experiment {name}")
    call.require_experiment(experiment, right)
    return experiment


def lookup_experiment(call: Call) -> Experiment | None:
    """Return the experiment that the path names, if there is one. Rights on it are not checked."""
    name = call.params["experiment"]
    if "project" not in call.params:
        return call.db.get(Experiment, name)
    project = project_of(call)
    found = find_experiment(call.db, project.id, name)
    if found is None or "subject" not in call.params:
        return found
    subject = find_subject(call.db, project.id, call.params["subject"])
    owner = found.subject_id
    if owner is None and found.session_id is not None:
        owner = call.db.get_one(Experiment, found.session_id).subject_id
    return found if subject is not None and owner == subject.id else None


def assessor_of(call: Call, right: Right = Right.READ) -> Experiment:
    """Return the assessor of the path: ID or label within its session."""
    session = experiment_of(call)
    name = call.params["assessor"]
    assessor = find_assessor(call.db, session.id, name)
    if assessor is None:
        raise not_found(f"assessor {name}")
    call.require_experiment(assessor, right)
    return assessor


def scan_of(call: Call, right: Right = Right.READ) -> Scan:
    """Return the scan of the path."""
    session = experiment_of(call, right)
    scan = find_scan(call.db, session.id, call.params["scan"])
    if scan is None:
        raise not_found(f"scan {call.params['scan']}")
    return scan


def item_of(call: Call, right: Right = Right.READ) -> Item:
    """Return the innermost item that the path names."""
    params = call.params
    if "scan" in params:
        return scan_of(call, right)
    if "assessor" in params:
        return assessor_of(call, right)
    if "experiment" in params:
        return experiment_of(call, right)
    if "subject" in params:
        return subject_of(call, right)
    return project_of(call, right)
