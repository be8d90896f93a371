"""Anonymisation scripts of site and projects, and how they are run on a session before it is archived.

XNAT runs the site's script when an object is received and the project's when a session is archived. The hub runs
both when it archives, the site's first: what came stays as it came until it is known where it belongs, so a script
can be corrected and run again. Nothing of a session on which a script fails gets into the archive.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pydicom
from pydicom.uid import UID
from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.dicom.dicomedit import Script, ScriptError, apply_script, parse_script
from overread.errors import DataError
from overread.hub.arrival.objects import read_file_header, summary
from overread.hub.database import after_commit, undo
from overread.hub.errors import bad_request
from overread.hub.items.files import digest_of
from overread.hub.models import ConfigEntry, PrearchiveSession, ReceivedObject, SiteSetting

if TYPE_CHECKING:
    from overread.hub.core import Hub

TOOL, PATH = "anon", "script"
"""Where the configuration service keeps a project's script."""
SITE_SCRIPT, SITE_ENABLED = "sitewideAnonymizationScript", "enableSitewideAnonymizationScript"
"""Site preferences that hold the site's script."""
_VARIABLES: Final = ("project", "subject", "session")
_UNREADABLE: Final = (
    AttributeError, EOFError, KeyError, LookupError, NotImplementedError, OSError, OverflowError, RecursionError,
    TypeError, ValueError,
)  # fmt: skip


class AnonymisationError(DataError):
    """A session can't be anonymised as its project or the site demands: it stays in the prearchive."""


@dataclass(frozen=True)
class _Named:
    """A script, and whose it is, in words."""

    owner: str
    script: Script


def check_script(text: str) -> None:
    """Refuse a script that can't be run, with 400, its line and the reason. An empty one changes nothing."""
    if not text.strip():
        return
    try:
        parse_script(text, given=_VARIABLES)
    except ScriptError as problem:
        raise bad_request(f"The anonymisation script was not stored. {_sentence(problem)}") from problem


def check_config(*, tool: str, path: str, contents: str | None) -> None:
    """Refuse a configuration that holds a script that can't be run, or one at a place where nobody would run it."""
    if tool != TOOL or contents is None:
        return
    if path != PATH:
        raise bad_request(f"A script lies at {TOOL}/{PATH}; none is run from {TOOL}/{path}.")
    check_script(contents)


def anonymise(
    db: Session, hub: Hub, session: PrearchiveSession, lines: Sequence[ReceivedObject], *, labels: Mapping[str, str]
) -> None:
    """Run the scripts that hold for a session on its objects, within the transaction of `db`.

    The ledger's lines name the new files below ``HOME/tmp`` and what they hold afterwards; ``original_digest`` keeps
    the digest of what came. Without scripts nothing is done.

    Parameters
    ----------
    labels
        Values of ``project``, ``subject`` and ``session``.

    Raises
    ------
    AnonymisationError
        A script can't be read any more, or fails on an object.
    """
    scripts = _scripts(db, labels["project"], with_site=not session.prevent_anon)
    if not scripts:
        return
    for line in lines:
        if not line.original_digest:
            _anonymise(db, hub, line, scripts, labels)
    studies = {line.study_instance_uid for line in lines}
    if len(studies) > 1:
        raise AnonymisationError(
            f"Anonymising gave the objects of one study {len(studies)} different StudyInstanceUIDs: correct the script."
        )


def _scripts(db: Session, project: str, *, with_site: bool) -> list[_Named]:
    found: list[tuple[str, str]] = []
    if with_site:
        found.append(("The site's script", _site_script(db)))
    entry = db.scalar(
        select(ConfigEntry)
        .where(ConfigEntry.project == project, ConfigEntry.tool == TOOL, ConfigEntry.path == PATH)
        .order_by(ConfigEntry.version.desc())
        .limit(1)
    )
    if entry is not None and entry.status == "enabled":
        found.append((f"The script of project {project}", entry.contents))
    return [_Named(owner, _parsed(owner, text)) for owner, text in found if text.strip()]


def _site_script(db: Session) -> str:
    enabled, script = (db.get(SiteSetting, name) for name in (SITE_ENABLED, SITE_SCRIPT))
    if enabled is None or script is None or json.loads(enabled.value) is not True:
        return ""
    return str(json.loads(script.value))


def _parsed(owner: str, text: str) -> Script:
    try:
        return parse_script(text, given=_VARIABLES)
    except ScriptError as problem:
        raise AnonymisationError(f"{owner} can't be run. {_sentence(problem)}") from problem


def _sentence(problem: ScriptError) -> str:
    return f"Line {problem.line}: {problem.reason}" if problem.line else problem.reason


def _anonymise(
    db: Session, hub: Hub, line: ReceivedObject, scripts: Sequence[_Named], labels: Mapping[str, str]
) -> None:
    target = hub.layout.tmp / f"anonymised-{secrets.token_hex(12)}.dcm"
    undo(db, lambda: target.unlink(missing_ok=True))
    after_commit(db, lambda: target.unlink(missing_ok=True))
    try:
        _rewrite(hub.layout.home / line.path, target, scripts, labels)
        header = read_file_header(target)
    except _UNREADABLE as problem:
        raise AnonymisationError(
            f"This object can't be anonymised ({type(problem).__name__}): take it out of the session.",
            uid=line.sop_instance_uid,
        ) from problem
    except DataError as problem:
        raise AnonymisationError(problem.message, uid=line.sop_instance_uid, tag=problem.tag) from problem
    line.original_digest, line.digest = line.digest, digest_of(target)
    line.size, line.path = target.stat().st_size, target.relative_to(hub.layout.home).as_posix()
    line.study_instance_uid, line.series_instance_uid = header.study_instance_uid, header.series_instance_uid
    line.sop_instance_uid, line.sop_class_uid = header.sop_instance_uid, header.sop_class_uid
    line.header = summary(header.dataset)


def _rewrite(source: Path, target: Path, scripts: Sequence[_Named], labels: Mapping[str, str]) -> None:
    dataset = pydicom.dcmread(source)
    for named in scripts:
        try:
            apply_script(named.script, dataset, labels)
        except DataError as problem:
            raise DataError(f"{named.owner} failed. {problem.message}", tag=problem.tag) from problem
    dataset.file_meta.MediaStorageSOPClassUID = UID(str(dataset.SOPClassUID))
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(str(dataset.SOPInstanceUID))
    with target.open("xb") as sink:
        dataset.save_as(sink, enforce_file_format=True)
        sink.flush()
        os.fsync(sink.fileno())
