"""``overread study mode``: changes a study's mode, keeps who did it and why, and gives or takes what goes with it.

In shadow nobody but owners has a role in the study's project: by XNAT's own permissions readers can't reach a result.
Who loses the role is written down first, and gets it back with the next mode.

It can be cut off anywhere and said again: the change is written down before it is made, and made once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from overread.errors import ArchiveError, OverreadError, SpecError
from overread.study.manifest import load_manifest, load_stored_study
from overread.study.modes import MODES_CONFIG, ModeChange, changes_text, read_changes
from overread.xnat.connection import Archive, Request
from overread.xnat.reading.projects import members
from overread.xnat.state import STUDY_CONFIG

_SHADOW: Final = "shadow"
_MIN_REASON, _MAX_REASON = 10, 1000


def mode_changes(archive: Archive, project: str) -> tuple[ModeChange, ...]:
    """Return the changes of mode that a study's project keeps, oldest first."""
    return read_changes(_config(archive, project, MODES_CONFIG), source=f"configuration {MODES_CONFIG} of {project}")


def change_mode(
    archive: Archive, manifest: Path, mode: str, *, reason: str, user: str, now: datetime, tell: Callable[[str], None]
) -> bool:
    """Bring a study to a mode: on the server, and in its manifest.

    Parameters
    ----------
    archive
        The server.
    manifest
        Its ``mode:`` is changed as well, so that `overread study apply` agrees.
    mode
        ``shadow``, ``assist`` or ``live``.
    reason
        Why: 10 to 1000 characters.
    user, now
        Who, and when.
    tell
        Is called with each thing that is done.

    Returns
    -------
    bool
        Whether anything was changed.

    Raises
    ------
    OverreadError
        No reason is given, or the study is not on the server.
    ArchiveError
        The server does not keep the change.
    """
    reason = " ".join(reason.split())
    if not _MIN_REASON <= len(reason) <= _MAX_REASON:
        raise OverreadError(
            f"say why, in {_MIN_REASON} to {_MAX_REASON} characters: the reason is kept with the change"
        )
    study = load_manifest(manifest.read_text("utf-8"), source=str(manifest))
    project = study.project
    text = _config(archive, project, STUDY_CONFIG)
    if text is None:
        raise OverreadError(f"project {project} has no study yet: first overread study apply {manifest}")
    have = load_stored_study(text, source=f"study of {project}").mode
    changes = mode_changes(archive, project)
    changed = False
    if have != mode:
        change = changes[-1] if changes and (changes[-1].before, changes[-1].after) == (have, mode) else None
        if change is None:
            change = ModeChange(
                now.astimezone(UTC).isoformat(timespec="milliseconds"), have, mode, user, reason,
                _inside(archive, project) if mode == _SHADOW else (),
            )  # fmt: skip
            changes = (*changes, change)
            _put(archive, project, MODES_CONFIG, changes_text(changes))
            if mode_changes(archive, project) != changes:
                raise ArchiveError(f"project {project} does not keep who changed the mode; nothing was changed")
        changed = True
    changed |= _grant(archive, project, mode, changes, tell)
    if have != mode:
        _put(archive, project, STUDY_CONFIG, json.dumps({**json.loads(text), "mode": mode}, indent=1))
        tell(f"{study.id}: {have} -> {mode}")
    if study.mode != mode:
        _rewrite(manifest, mode)
        tell(f"{manifest}: mode: {mode}")
        changed = True
    return changed


def _grant(
    archive: Archive, project: str, mode: str, changes: tuple[ModeChange, ...], tell: Callable[[str], None]
) -> bool:
    """Take roles away in shadow; after it, give back those that it took."""
    base = f"/data/projects/{quote(project)}/users"
    if mode == _SHADOW:
        inside = _inside(archive, project)
        for login, group in inside:
            archive.send(Request("DELETE", f"{base}/{quote(group)}/{quote(login)}"))
            tell(f"{login} is no {group} of {project} any more")
        return bool(inside)
    last = changes[-1] if changes else None
    into = next((one for one in reversed(changes) if one.after == _SHADOW), None)
    if last is None or into is None or last.before != _SHADOW:
        return False
    there = {login for login, _ in _inside(archive, project)}
    back = [(login, group) for login, group in into.withdrawn if login not in there]
    for login, group in back:
        archive.send(Request("PUT", f"{base}/{quote(group)}/{quote(login)}"))
        tell(f"{login} is {group} of {project} again")
    return bool(back)


def _inside(archive: Archive, project: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((login, group) for login, group in members(archive, project).items() if group != "owner"))


def _rewrite(manifest: Path, mode: str) -> None:
    """Change the one line of the manifest, and nothing else of it."""
    text = manifest.read_text("utf-8")
    new, count = re.subn(r"(?m)^mode:[ \t]*\w+", f"mode: {mode}", text)
    if not count:
        new = re.sub(r"(?m)^(version:.*)$", rf"\1\nmode: {mode}", text, count=1)
    if load_manifest(new, source=str(manifest)).mode != mode:
        raise SpecError(f"its mode can't be changed from here; write mode: {mode} there", source=str(manifest))
    beside = manifest.with_name(f"{manifest.name}.new")
    beside.write_text(new, "utf-8")
    beside.replace(manifest)


def _put(archive: Archive, project: str, path: str, text: str) -> None:
    archive.send(Request("PUT", f"/data/projects/{quote(project)}/config/{path}", {"inbody": "true"}, text=text))


def _config(archive: Archive, project: str, path: str) -> str | None:
    query = {"contents": "true", "accept-not-found": "true"}
    answer = archive.get(f"/data/projects/{quote(project)}/config/{path}", query)
    return answer.text if answer is not None and answer.text.strip() else None
