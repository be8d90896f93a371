"""Steps for the people who read: the accounts that the site's own file names become members of the study's project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, ValidationError

from overread.errors import SpecError
from overread.study.fields import Form, Spec
from overread.study.manifest import StudyManifest
from overread.study.problems import problems_of
from overread.study.yamltext import parse_yaml
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Request
from overread.xnat.state import ServerState
from overread.xnat.steps import Step

# Readers store corrections and answers: what XNAT lets a member do, and a collaborator not. Nobody of them may delete.
_ROLE = "member"
_Login = Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", "write a login as XNAT has it")]


class ReadersFile(Spec):
    """Who the readers are: a file of the site, not of the study."""

    groups: dict[str, tuple[_Login, ...]] = Field(min_length=1, description="Group -> logins.")


def read_readers(path: Path, manifest: StudyManifest) -> tuple[str, ...]:
    """Read the logins of a study's readers.

    Parameters
    ----------
    path
        A YAML file such as ``groups: {neuroradiologists: [ada, bert]}``.
    manifest
        Names the group.

    Raises
    ------
    SpecError
        The file is no such file, or lacks the group.
    """
    if manifest.readers is None:
        raise SpecError("the study names no readers; add readers: {group: ...} to its manifest", source=str(path))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SpecError("can't be read as text; check the path", source=str(path)) from None
    document = parse_yaml(text, source=str(path))
    try:
        file = ReadersFile.model_validate(document.value)
    except ValidationError as error:
        first, *others = problems_of(error, model=ReadersFile, source=str(path), lines=document.lines)
        raise first.error(others=len(others)) from None
    group = manifest.readers.group
    logins = file.groups.get(group, ())
    if len(set(logins)) < manifest.readers.per_case:
        raise SpecError(
            f"group '{group}' has {len(set(logins))} readers, an exam needs {manifest.readers.per_case}; add logins",
            source=str(path),
            path=f"groups.{group}",
        )
    return tuple(dict.fromkeys(logins))


def plan_readers(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Plan a step for each reader. Nobody is taken out of a project: that is decided by who answers for it."""
    project = bundle.manifest.project
    if bundle.manifest.readers is None:
        return
    if not bundle.readers:
        if state.has_project and not state.readers:
            how = f"name them by --readers FILE, or add them to {project} in XNAT under Manage Access, as members"
            yield Step(f"readers of {project}", "note", f"nobody but its owners can see it; {how}")
        return
    there = {login.lower() for login in state.readers}
    owners = {login.lower() for login in state.owners}
    known = None if state.accounts is None else {login.lower() for login in state.accounts}
    shadow = bundle.manifest.mode == "shadow"
    for login in bundle.readers:
        name = f"reader {login} of {project}"
        if shadow and login.lower() in there | owners:
            how = f"take it away: overread study mode {bundle.source} shadow --reason WHY"
            yield Step(name, "note", f"has a role, and can see results though the study is in shadow; {how}")
        elif shadow:
            yield Step(name, "unchanged", "no role while the study is in shadow")
        elif login.lower() in there | owners:
            yield Step(name, "unchanged")
        elif known is not None and login.lower() not in known:
            how = "make the account (Administer, Users), or let its owner log in once by LDAP; then run this again"
            yield Step(name, "refuse", f"the server has no account {login}; {how}")
        else:
            path = f"/data/projects/{project}/users/{_ROLE}/{quote(login)}"
            yield Step(name, "create", f"as {_ROLE}", (Request("PUT", path),))
    others = sorted(there - {login.lower() for login in bundle.readers})
    if others:
        yield Step(
            f"others in {project}", "note", f"{len(others)} more can read there; look under Manage Access, if unwanted"
        )
