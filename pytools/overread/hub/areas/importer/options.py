"""Parameters of an import (xnat-rest 3.1), read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from overread.hub.access import Right, may
from overread.hub.areas.prearchive.store import editable_projects
from overread.hub.arrival.archive import Overwrite
from overread.hub.arrival.assignment import Hints, find_project
from overread.hub.errors import HubError, bad_request, forbidden, not_found
from overread.hub.http import Call

HANDLERS: Final = {"si": "SI", "dicom-zip": "DICOM-zip", "gradual-dicom": "gradual-DICOM", "inbox": "inbox"}
_MISSING: Final = {"xar", "automation", "xmirc", "dicom-inbox"}
_TIMESTAMP: Final = re.compile(r"\d{8}_\d{6}(?:\d{3})?")
_OVERWRITING: Final = {"append": "append", "delete": "delete", "override": "delete"}


@dataclass(frozen=True)
class Destination:
    """The parameter ``dest``: where an import goes.

    Parameters
    ----------
    place
        ``archive``, ``prearchive`` or "".
    project, subject, session, timestamp
        As far as the path names them.
    """

    place: str = ""
    project: str = ""
    subject: str = ""
    session: str = ""
    timestamp: str = ""


@dataclass(frozen=True)
class Options:
    """What the sender of an import asks for.

    Parameters
    ----------
    hints
        Where objects belong.
    handler
        Which importer does it: ``SI`` takes one session, unless it goes to the prearchive.
    user
        Login.
    to_prearchive
        Whether the prearchive was named as the destination.
    commit
        Whether sessions are closed at the end.
    archive
        Whether they are archived then; None leaves it to the project.
    overwrite
        What becomes of a session that is there already.
    skip_unreadable
        Whether files that are no DICOM are passed over.
    """

    hints: Hints
    handler: str
    user: str
    to_prearchive: bool = False
    commit: bool = False
    archive: bool | None = None
    overwrite: Overwrite = "none"
    skip_unreadable: bool = False


def read_handler(asked: str, content_type: str) -> str:
    """Return the importer that is asked for, else the one that fits the content."""
    if not asked:
        return "gradual-DICOM" if content_type.startswith("application/dicom") else "SI"
    known = HANDLERS.get(asked.lower())
    if known is not None:
        return known
    if asked.lower() in _MISSING:
        raise HubError(501, f"XNAT has the import-handler {asked}, the hub does not.")
    raise HubError(404, f"Unsupported import-handler: {asked}")


def read_options(call: Call, values: Mapping[str, str], handler: str) -> Options:
    """Read the parameters.

    Raises
    ------
    HubError
        400, 403 or 404: one of them can't be, or names what the caller may not write to.
    """
    dest = parse_destination(values.get("dest", ""))
    project = _project(call, dest.project or values.get("PROJECT_ID", "") or values.get("project", ""))
    waits = flag(values, "prevent_auto_commit") is True
    commits = handler in {"SI", "inbox"} or values.get("action", "").lower() == "commit" or "dest" in values
    asked = flag(values, "auto-archive", "AA")
    straight = flag(values, "Direct-Archive") is True or values.get("prearchive_code") == "1"
    if straight and not (project or dest.project):
        raise bad_request("Name the project into whose archive it is to go.")
    archive = True if dest.place == "archive" or straight else asked
    skip = flag(values, "Ignore-Unparsable")
    return Options(
        hints=Hints(
            project=project,
            subject=dest.subject or values.get("SUBJECT_ID", "") or values.get("subject", ""),
            session=dest.session or values.get("EXPT_LABEL", "") or values.get("session", "")
            or values.get("PREARC_SESSION_FOLDER", ""),
            auto_archive=archive,
            projects=frozenset(editable_projects(call.db, call.caller)),
            prevent_anon=flag(values, "prevent_anon") is True,
            prevent_auto_commit=waits,
            source=values.get("SOURCE", ""),
            visit=values.get("VISIT", ""),
            replaces=_overwrite(values) == "delete",
            timestamp=_timestamp(dest.timestamp or values.get("PREARC_TIMESTAMP", "")),
        ),
        handler=handler,
        user=call.caller.login,
        to_prearchive=dest.place == "prearchive",
        commit=commits and not waits,
        archive=archive,
        overwrite=_overwrite(values),
        skip_unreadable=commits if skip is None else skip,
    )  # fmt: skip


def parse_destination(path: str) -> Destination:
    """Read ``dest``.

    Raises
    ------
    HubError
        400: it is no such path.
    """
    place, *rest = [part for part in path.removeprefix("/data").split("/") if part] or [""]
    if place not in {"", "archive", "prearchive"}:
        raise bad_request(f"dest={path!r}: begin with /archive or /prearchive.")
    if place == "prearchive":
        if rest[:1] not in ([], ["projects"]) or len(rest) not in {0, 2, 4}:
            raise bad_request(
                f"dest={path!r}: write /prearchive/projects/P or /prearchive/projects/P/TIMESTAMP/FOLDER."
            )
        project, timestamp, session = (*rest[1:], "", "", "")[:3]
        return Destination(place, project, session=session, timestamp=timestamp)
    names = dict(zip(rest[::2], rest[1::2], strict=False))
    unknown = set(rest[::2]) - {"projects", "subjects", "experiments"}
    if unknown:
        raise bad_request(f"dest={path!r}: {sorted(unknown)[0]!r} has no place in it.")
    return Destination(place, names.get("projects", ""), names.get("subjects", ""), names.get("experiments", ""))


def flag(values: Mapping[str, str], *names: str) -> bool | None:
    """Return the first of these parameters that is given, as yes or no."""
    for name in names:
        if name in values:
            return values[name].lower() == "true"
    return None


def _project(call: Call, name: str) -> str:
    if not name:
        return ""
    found = find_project(call.db, name)
    if not found:
        raise not_found(f"project {name}")
    if not may(call.db, call.caller, found, Right.EDIT):
        raise forbidden(f"The user may not import into project {found}.")
    return found


def _timestamp(text: str) -> str:
    if text and not _TIMESTAMP.fullmatch(text):
        raise bad_request(f"{text!r} is no timestamp of the prearchive: write yyyyMMdd_HHmmssSSS.")
    return text


def _overwrite(values: Mapping[str, str]) -> Overwrite:
    asked = _OVERWRITING.get(values.get("overwrite", "").lower(), "none")
    if asked == "append" and flag(values, "overwrite_files"):
        return "delete"
    return "append" if asked == "append" else "delete" if asked == "delete" else "none"
