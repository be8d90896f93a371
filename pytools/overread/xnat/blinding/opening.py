"""Unblinding of one case: by an owner of the key's project, and written down there before it is told."""

from __future__ import annotations

import datetime
import getpass
import json
import secrets
from typing import Final
from urllib.parse import quote

from overread.errors import ArchiveError, Denied, NotFound, OverreadError
from overread.xnat.blinding.secrets import Reading, fetch_key, key_project, listed
from overread.xnat.connection import Archive, Request

LOG_RESOURCE: Final = "UNBLINDING"
_MIN_REASON: Final = 10
_MAX_REASON: Final = 1000


def open_case(archive: Archive, *, project: str, code: str, reason: str, user: str, now: datetime.datetime) -> Reading:
    """Return what a code stands for, after the act is written down.

    The act is a file of its own in the key's project, which readers can't even see; it is read back before anything is
    told. A file is never replaced.

    Parameters
    ----------
    archive
        The server.
    project
        The study's project.
    code
        Of the case.
    reason
        Why, in words: 10 to 1000 characters.
    user
        Login.
    now
        When.

    Raises
    ------
    Denied
        The user is no owner of the key's project. An administrator of the site who is none is refused as well.
    NotFound
        There is no such code.
    OverreadError
        No reason is given.
    ArchiveError
        The act could not be written down.
    """
    reason = " ".join(reason.split())
    if not _MIN_REASON <= len(reason) <= _MAX_REASON:
        raise OverreadError(f"say why, in {_MIN_REASON} to {_MAX_REASON} characters: the reason is kept with the act")
    holder = key_project(project)
    _require_owner(archive, holder, user)
    found = next((one for one in fetch_key(archive, project) if one.code == code), None)
    _write_down(archive, holder, code=code, reason=reason, user=user, now=now, known=found is not None)
    if found is None:
        raise NotFound(f"{holder} knows no case {code}; check the code (the attempt is written down)")
    return found


def opened_cases(archive: Archive, *, project: str) -> list[dict[str, str]]:
    """Return what has been opened, by whom, when and why; the oldest first.

    Raises
    ------
    NotFound
        The user may not see it.
    """
    holder = key_project(project)
    base = f"/data/projects/{quote(holder)}/resources/{LOG_RESOURCE}/files"
    if archive.get(f"/data/projects/{quote(holder)}", {"format": "json"}) is None:
        raise NotFound(f"there is no project {holder}, or you may not see it")
    answer = archive.get(base, {"format": "json"})
    names = sorted(str(row.get("Name", "")) for row in listed(answer.value())) if answer is not None else []
    acts = []
    for name in names:
        act = archive.get(f"{base}/{quote(name)}")
        value = act.value() if act is not None else None
        if isinstance(value, dict):
            acts.append({key: str(text) for key, text in value.items()})
    return acts


def _require_owner(archive: Archive, holder: str, user: str) -> None:
    answer = archive.get(f"/data/projects/{quote(holder)}/users", {"format": "json"})
    if answer is None:
        raise Denied(f"there is no project {holder}, or {user} may not see it: only its owners open cases")
    rows = listed(answer.value())
    owners = {str(row.get("login", "")) for row in rows if str(row.get("GROUP_ID", "")).endswith("_owner")}
    if user not in owners:
        raise Denied(
            f"{user} is no owner of project {holder}: only {', '.join(sorted(owners)) or 'nobody'} may do this"
        )


def _write_down(
    archive: Archive, holder: str, *, code: str, reason: str, user: str, now: datetime.datetime, known: bool
) -> None:
    act = {
        "code": code,
        "reason": reason,
        "by": user,
        "at": now.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        "from": _account(),
        "known": known,
    }
    name = f"{now.astimezone(datetime.UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}.json"
    path = f"/data/projects/{quote(holder)}/resources/{LOG_RESOURCE}/files/{name}"
    query = {"inbody": "true", "format": "JSON", "event_reason": reason[:200]}
    archive.send(Request("PUT", path, query, content=json.dumps(act, indent=1).encode()))
    back = archive.get(path)
    if back is None or back.value() != act:
        raise ArchiveError(f"{holder}: the act could not be written down, so nothing is told; try again")


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
