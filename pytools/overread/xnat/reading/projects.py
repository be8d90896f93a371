"""The readers' own projects: made, private, with one member, and the form; and who must not be where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from overread.errors import ArchiveError, OverreadError
from overread.study.form import FeedbackForm
from overread.xnat.connection import Archive, Request
from overread.xnat.forms import find_form, has_questions_of, save_form
from overread.xnat.reading.cases import rows

_PRIVATE, _ARCHIVES_ITSELF = "private", "4"
_ALL_DATA = ("ALL_DATA_ADMIN", "ALL_DATA_ACCESS")


def members(archive: Archive, project: str) -> dict[str, str]:
    """Return who has a role in a project: login -> group, such as ``owner``."""
    listed = rows(archive, f"/data/projects/{quote(project)}/users")
    return {str(row.get("login")): str(row.get("GROUP_ID", "")).removeprefix(f"{project}_") for row in listed}


def check_secrecy(archive: Archive, readers: Mapping[str, str], *, closed: Mapping[str, str]) -> None:
    """See that no reader can see what he must not.

    Parameters
    ----------
    archive
        The server.
    readers
        Login -> the project in which he reads.
    closed
        Project -> what it holds, of those that no reader may see.

    Raises
    ------
    OverreadError
        With who, where, and what to do.
    """
    for project, holds in closed.items():
        if archive.get(f"/data/projects/{quote(project)}", {"format": "json"}) is None:
            continue
        answer = archive.get(f"/data/projects/{quote(project)}/accessibility")
        said = answer.text.strip() if answer else ""
        if said != _PRIVATE:
            raise OverreadError(f"project {project} is {said or 'open'}, and holds {holds}: make it private first")
        inside = sorted({login.lower() for login in members(archive, project)} & {login.lower() for login in readers})
        if inside:
            raise OverreadError(
                f"{', '.join(inside)} can see project {project}, which holds {holds}: take the role there away "
                "(Manage Access), or give another login for reading"
            )
    for login in sorted(readers):
        why = _sees_all(archive, login)
        if why:
            raise OverreadError(f"{login} {why} and so sees all projects: give another login for reading")


def ensure_project(archive: Archive, project: str, *, title: str, reader: str | None, others: frozenset[str]) -> None:
    """Make a reading project, private, with one member.

    Parameters
    ----------
    archive
        The server.
    project, title
        Its ID, and its name.
    reader
        Who reads in it; None for one who left.
    others
        Logins of all readers of the study: none of these but the reader keeps a role in it.

    Raises
    ------
    OverreadError
        Somebody else has a role in it who is no owner.
    """
    base = f"/data/projects/{quote(project)}"
    if archive.get(base, {"format": "json"}) is None:
        names = {"xnat:projectData/secondary_ID": project, "xnat:projectData/name": title}
        archive.send(Request("PUT", base, names))
    for setting, want in (("accessibility", _PRIVATE), ("prearchive_code", _ARCHIVES_ITSELF)):
        answer = archive.get(f"{base}/{setting}")
        if answer is None or answer.text.strip().lower() != want:
            archive.send(Request("PUT", f"{base}/{setting}/{want}"))
    have = members(archive, project)
    for login, group in sorted(have.items()):
        if login not in others and group != "owner":
            raise OverreadError(f"{login} can see project {project}, which is one reader's alone: take the role away")
        if login in others and (login != reader or group != "member"):
            archive.send(Request("DELETE", f"{base}/users/{group}/{quote(login)}"))
    if reader is not None and have.get(reader) != "member":
        archive.send(Request("PUT", f"{base}/users/member/{quote(reader)}"))


def ensure_form(archive: Archive, project: str, form: FeedbackForm, *, xsi_type: str) -> str:
    """Apply a form to the sessions of a reading project; return its UUID.

    Raises
    ------
    ArchiveError
        The server took it but does not list it.
    """
    row = _form_row(archive, project, form, xsi_type)
    if row is None or not has_questions_of(row, form):
        archive.send(save_form(form, row, xsi_type=xsi_type, label=xsi_type, project=project))
        row = _form_row(archive, project, form, xsi_type)
    if row is None or not row.get("formUUID"):
        raise ArchiveError(f"project {project}: the server took the form '{form.title}' but does not list it")
    return str(row["formUUID"])


def _form_row(archive: Archive, project: str, form: FeedbackForm, xsi_type: str) -> Mapping[str, Any] | None:
    answer = archive.get("/xapi/customforms", {"projectId": project})
    value = answer.value() if answer else []
    found = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    return find_form(found, form, xsi_type=xsi_type, project=project)


def _sees_all(archive: Archive, login: str) -> str:
    """Say why an account sees every project; empty when it does not. Unknown accounts are an error."""
    roles = archive.get(f"/xapi/users/{quote(login)}/roles")
    if roles is None:
        raise OverreadError(f"the server knows no user {login}: make the account, or mend the file of readers")
    value = roles.value()
    if isinstance(value, list) and "Administrator" in value:
        return "is an administrator of the site"
    groups = archive.get(f"/xapi/users/{quote(login)}/groups")
    listed = groups.value() if groups else []
    if isinstance(listed, list) and any(name in listed for name in _ALL_DATA):
        return "has access to all data"
    return ""
