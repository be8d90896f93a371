"""Goes the whole way of an exam on a live server, and says of each step whether it works and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from overread.commands.model import Command
from overread.errors import ArchiveError, OverreadError
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Archive, Request
from overread.xnat.phantom import Address, echo, phantom, store
from overread.xnat.plan import plan
from overread.xnat.state import ServerState, read_state

_SEEN_WITHIN_S, _LOOK_EVERY_S = 30.0, 0.5
_RUNS = "/xapi/projects/{project}/containers"


class Site(Archive, Protocol):
    """What the doctor needs of a server: pages besides."""

    def page(self, path: str, query: Mapping[str, str] | None = None) -> int:
        """Get a page and return its status."""


@dataclass(frozen=True)
class Check:
    """What was found at one step.

    Parameters
    ----------
    name
        The step.
    state
        ``ok``; ``warn``: it may work; ``fail``: exams get no further than this.
    detail
        What was seen.
    todo
        What to do about it; empty when it is well.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str = ""
    todo: str = ""


def examine(
    bundle: StudyBundle, site: Site, *, user: str, address: Address, tell: Callable[[Check], None]
) -> tuple[Check, ...]:
    """Examine a study on a server. Nothing is left behind: the one image that is sent is removed again.

    Parameters
    ----------
    bundle
        The study.
    site
        The server, logged in.
    user
        Who is logged in.
    address
        The study's receiver, as seen from here.
    tell
        Is called with each check as soon as it is made.

    Raises
    ------
    Unavailable
        The server went away.
    """
    found: list[Check] = []
    state = read_state(site, bundle)
    for check in _checks(bundle, site, state, user, address):
        found.append(check)
        tell(check)
    return tuple(found)


def _checks(bundle: StudyBundle, site: Site, state: ServerState, user: str, address: Address) -> Iterator[Check]:
    manifest = bundle.manifest
    yield Check("login", "ok", user)
    yield _roles(site, user)
    yield from _planned(bundle, state)
    if not state.has_project:
        return
    yield from _engine(bundle.model.command, site)
    yield _collections(site, manifest.project)
    yield from _receiver(site, manifest.project, address)
    yield _events(state)
    yield _runs(site, manifest.project)
    yield _results(site, manifest.project, bundle.datatype.xsi_type)
    yield _review(site, manifest.id)


def _roles(site: Site, user: str) -> Check:
    value = _value(site, f"/xapi/users/{user}/roles")
    roles = value if isinstance(value, list) else []
    if "Administrator" in roles:
        return Check("roles", "ok", ", ".join(map(str, roles)))
    todo = f"let an administrator give {user} the role, or run this as one"
    return Check("roles", "warn", f"{user} is no Administrator; receivers and the site's settings need one", todo)


def _planned(bundle: StudyBundle, state: ServerState) -> Iterator[Check]:
    """Check everything that `overread study apply` sets up, by its own plan."""
    apply = f"overread study apply {bundle.source}"
    for step in plan(bundle, state):
        if step.action == "refuse":
            yield Check(step.name, "fail", step.detail, "do that, then look again")
        elif step.action == "note":
            yield Check(step.name, "warn", step.detail, "look whether that is meant")
        elif step.action == "unchanged":
            yield Check(step.name, "ok", step.detail)
        else:
            what = "is missing" if step.action in {"create", "wait"} else "is otherwise than the manifest says"
            yield Check(step.name, "fail", f"{what} ({step.detail})" if step.detail else what, apply)


def _engine(command: Command, site: Site) -> Iterator[Check]:
    server = _value(site, "/xapi/docker/server")
    if not isinstance(server, dict):
        todo = "set it in XNAT under Administer > Plugin Settings > Container Server Setup"
        yield Check("container backend", "fail", "there is none", todo)
        return
    backend = str(server.get("backend"))
    try:
        site.get("/xapi/docker/server/ping")
        yield Check("container backend", "ok", backend)
    except ArchiveError as error:
        yield Check("container backend", "fail", str(error), "start the engine, or mend its address in XNAT")
    yield _gpu(command, backend, server)


def _gpu(command: Command, backend: str, server: Mapping[str, Any]) -> Check:
    resources = command.generic_resources or {}
    if not (command.gpus or command.runtime or resources):
        return Check("GPU", "ok", "the command asks for none")
    if backend == "kubernetes" and resources.get("gpu") and not server.get("gpu-vendor"):
        return Check("GPU", "fail", "XNAT knows no vendor, and refuses the job", "set the vendor in XNAT's server form")
    if backend in {"swarm", "kubernetes"} and not resources:
        todo = 'add "generic-resources": {"gpu": "1"} to the command'
        return Check("GPU", "fail", f"{backend} gives GPUs by generic-resources alone", todo)
    todo = "look on the engine's host: nvidia-smi, and docker info | grep nvidia"
    return Check("GPU", "warn", f"asked for; {backend} does not say over REST whether it has one", todo)


def _collections(site: Site, project: str) -> Check:
    value = _value(site, f"/xapi/roi/projects/{project}/permissions/RoiCollection")
    if not isinstance(value, dict):
        return Check("ROI collections", "fail", "the ROI plugin does not answer", "install the OHIF viewer plugin")
    if value.get("create") and value.get("edit"):
        return Check("ROI collections", "ok", "can be made")
    todo = f"make the user a member of {project}, and enable icr:roiCollectionData under Data Types"
    return Check("ROI collections", "fail", "may not be made by this user", todo)


def _receiver(site: Site, project: str, address: Address) -> Iterator[Check]:
    reach = "look at the receiver in XNAT, at firewalls, and at --dicom-host and --dicom-port"
    try:
        echo(address)
    except OverreadError as error:
        yield Check("receiver, C-ECHO", "fail", str(error), reach)
        return
    yield Check("receiver, C-ECHO", "ok", str(address))
    image = phantom()
    uid = str(image.StudyInstanceUID)
    try:
        store(address, image)
        place = _find(site, project, uid)
        if place:
            yield Check("receiver, C-STORE", "ok", f"a made-up image arrived at {place}")
        else:
            todo = "look in XNAT's prearchive under Unassigned: the receiver's routing does not lead to the project"
            yield Check("receiver, C-STORE", "fail", f"the image did not arrive in {project}", todo)
    except OverreadError as error:
        yield Check("receiver, C-STORE", "fail", str(error), reach)
    finally:
        left = _clean_up(site, project, uid)
    if left:
        yield Check("receiver, cleaned up", "warn", f"{left} is still there", "remove it by hand")
    else:
        yield Check("receiver, cleaned up", "ok", "the image is gone again")


def _find(site: Site, project: str, uid: str) -> str:
    """Wait until the image shows; return where, or nothing."""
    until = time.monotonic() + _SEEN_WITHIN_S
    while time.monotonic() < until:
        places = list(_places(site, project, uid))
        if places:
            return places[0]
        time.sleep(_LOOK_EVERY_S)
    return ""


def _places(site: Site, project: str, uid: str) -> Iterator[str]:
    """Yield the prearchive's sessions and the archive's experiments of a study, as paths."""
    for place in (project, "Unassigned"):
        for row in _rows(site, f"/data/prearchive/projects/{place}", {}):
            if row.get("tag") == uid:
                yield f"/data{row.get('url')}"
    for row in _rows(site, f"/data/projects/{project}/experiments", {"UID": uid, "columns": "ID,UID"}):
        yield f"/data/experiments/{row.get('ID')}"


def _clean_up(site: Site, project: str, uid: str) -> str:
    for path in _places(site, project, uid):
        query = {"removeFiles": "true"} if path.startswith("/data/experiments/") else {}
        try:
            site.send(Request("DELETE", path, query))
        except ArchiveError:
            continue  # said below
    return next(_places(site, project, uid), "")


def _events(state: ServerState) -> Check:
    invalid = [str(s.get("name")) for s in state.subscriptions if s.get("valid") is False]
    if invalid:
        return Check("subscriptions", "warn", f"not valid: {', '.join(invalid)}", "see why on the Event Service page")
    return Check("subscriptions", "ok", "all valid")


def _runs(site: Site, project: str) -> Check:
    rows = _value(site, _RUNS.format(project=project))
    runs = (
        sorted((r for r in rows if isinstance(r, dict)), key=lambda r: int(r.get("id") or 0))
        if isinstance(rows, list)
        else []
    )
    if not runs:
        return Check("runs", "warn", "there was none yet", "send an exam to the receiver")
    last = runs[-1]
    status, number = str(last.get("status")), last.get("id")
    if status.lower().startswith("failed"):
        return Check(
            "runs",
            "fail",
            f"the last one ({number}) is {status}",
            f"read its log: /xapi/containers/{number}/logs/stderr",
        )
    return Check("runs", "ok", f"{len(runs)}, the last one is {status}")


def _results(site: Site, project: str, xsi_type: str) -> Check:
    rows = _rows(site, "/data/experiments", {"project": project, "xsiType": xsi_type, "columns": "ID,label"})
    if not rows:
        return Check("results", "warn", f"there is no {xsi_type} yet", "send an exam to the receiver")
    return Check("results", "ok", f"{len(rows)} of {xsi_type}")


def _review(site: Site, study: str) -> Check:
    status = site.page("/overread/open", {"study": study, "uid": "2.25.0"})
    if status in range(200, 400):
        return Check("review page", "ok", "/overread/open")
    todo = "put overread-core's jar into the server's plugins folder and restart"
    return Check("review page", "fail", f"/overread/open answers {status}", todo)


def _value(site: Site, path: str) -> Any:
    try:
        answer = site.get(path)
    except ArchiveError:
        return None
    return answer.value() if answer else None


def _rows(site: Site, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    try:
        answer = site.get(path, {"format": "json", **query})
    except ArchiveError:
        return []
    document = answer.value() if answer else {}
    rows = document.get("ResultSet", {}).get("Result", []) if isinstance(document, dict) else []
    return [row for row in rows if isinstance(row, Mapping)]
