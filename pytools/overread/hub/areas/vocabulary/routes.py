"""``/data/services/scan-quality-labels``, ``/data/scanners``, ``/data/investigators``; lists of reconstructions."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from overread.hub import answers
from overread.hub.access import readable_projects
from overread.hub.areas.config.store import current_config
from overread.hub.errors import forbidden
from overread.hub.http import Call, Route
from overread.hub.models import Experiment, Project, User
from overread.hub.rest.locate import experiment_of

_TOOL, _PATH = "scan-quality", "labels"
_QUALITIES: Final = ("usable", "questionable", "unusable")
_SCANNED: Final = {f"xnat_{kind}sessiondata": f"xnat:{kind}SessionData" for kind in ("mr", "pet", "ct")}
_PERSON: Final = ("firstname", "lastname", "institution", "department", "email")
_RECONSTRUCTIONS: Final = ("ID", "type", "baseScanType", "xnat_reconstructedimagedata_id", "URI")


def quality_labels(call: Call) -> Response:
    """Tell the words for a scan's quality: a project's own, else the site's (configuration ``scan-quality/labels``)."""
    project = call.params.get("project", "")
    places = [project, ""] if project in readable_projects(call.db, call.caller) else [""]
    entries = (current_config(call.db, project=place, tool=_TOOL, path=_PATH) for place in places)
    texts = [entry.contents for entry in entries if entry is not None and entry.status == "enabled" and entry.contents]
    labels = re.split(r"\s*,\s*", texts[0].strip()) if texts else list(_QUALITIES)
    return JSONResponse({project or "site": labels})


def scanners(call: Call) -> Response:
    """List the scanners of MR sessions (or of PET or CT, by ``table``) that the caller may read."""
    kind = _SCANNED.get(call.query.get("table", "xnat_mrSessionData").lower())
    if kind is None:
        raise forbidden("table is xnat_mrSessionData, xnat_petSessionData or xnat_ctSessionData.")
    scanner = Experiment.fields["scanner"].as_string()
    query = (
        select(scanner)
        .where(
            Experiment.project.in_(readable_projects(call.db, call.caller)),
            Experiment.xsi_type == kind,
            scanner.is_not(None),
            scanner != "",
        )
        .distinct()
    )
    rows = [{"scanner": name} for name in sorted(call.db.scalars(query))]
    return answers.table(rows, ("scanner",), form=call.format or "json", total=len(rows))


def investigators(call: Call) -> Response:
    """List the investigators of the projects that the caller may read, with the login of who has the same name."""
    query = select(Project).where(Project.id.in_(readable_projects(call.db, call.caller))).order_by(Project.id)
    users = {(user.first_name.lower(), user.last_name.lower()): user.login for user in call.db.scalars(select(User))}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for project in call.db.scalars(query):
        person = {name: str(project.fields.get(f"PI/{name}") or "") for name in _PERSON}
        last, first = person["lastname"], person["firstname"]
        if last and (last, first) not in found:
            login = users.get((first.lower(), last.lower()), "")
            found[last, first] = {**person, "xnat_investigatordata_id": "", "login": login}
    rows = [found[name] for name in sorted(found)]
    columns = (*_PERSON, "xnat_investigatordata_id", "login")
    return answers.table(rows, columns, form=call.format or "json", total=len(rows))


def reconstructions(call: Call) -> Response:
    """List a session's reconstructions: the hub keeps none."""
    experiment_of(call)
    return answers.table([], _RECONSTRUCTIONS, form=call.format or "json", total=0)


_LABELS = "/data/services/scan-quality-labels"

ROUTES = [
    Route("GET", _LABELS, quality_labels),
    Route("GET", f"{_LABELS}/{{project}}", quality_labels),
    Route("GET", "/data/scanners", scanners),
    Route("GET", "/data/investigators", investigators),
    Route("GET", "/data/experiments/{experiment}/reconstructions", reconstructions),
    Route(
        "GET", "/data/projects/{project}/subjects/{subject}/experiments/{experiment}/reconstructions", reconstructions
    ),
]
