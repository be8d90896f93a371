"""Project, subject and session of an arriving object (xnat-rest: XnatDefaultDicomObjectIdentifier)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.dataset import Dataset
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from overread.hub.arrival.objects import text
from overread.hub.arrival.routing import RoutingExpression, first_match, parse_expressions
from overread.hub.layout import clean_label
from overread.hub.models import ConfigEntry, Project

UNASSIGNED: Final = "Unassigned"
"""The prearchive's folder for what no project takes."""
_DEFAULT_SESSION: Final = "dicom_upload"
_COMMENTS: Final = ("PatientComments", "StudyComments", "AdditionalPatientHistory")
_TOKEN: Final = re.compile(r"(?:^|[\s,;])(Project|Subject|Session|AA):([^\s,;]+)", re.IGNORECASE)
_MAX_LABEL: Final = 64
_PROJECT: Final = select(Project.deleted).where(Project.id == bindparam("name"))
_ALIASES: Final = select(Project.id, Project.aliases).where(Project.deleted.is_(False))

_RULES_TOOL: Final = "dicom"
_RULES_PATHS: Final = ("projectRules", "subjectRules", "sessionRules")
"""Where the configuration service keeps the site's routing expressions."""
_SITE_RULES: Final = (
    select(ConfigEntry.path, ConfigEntry.status, ConfigEntry.contents)
    .where(ConfigEntry.project == "", ConfigEntry.tool == _RULES_TOOL)
    .order_by(ConfigEntry.version)
)


@dataclass(frozen=True)
class Hints:
    """What the sender of an import says itself; it comes before everything else.

    Parameters
    ----------
    project, subject, session
        Where the objects belong; "" leaves it to the objects.
    auto_archive
        Whether to archive without being asked; None leaves it to the project.
    projects
        The projects that the sender may write to: no other takes an object. None: all.
    prevent_anon
        Whether the site's script is not to be run.
    prevent_auto_commit
        Whether the session waits until somebody commits it, however long nothing arrives.
    source, visit
        What the sender calls them; kept with the session.
    timestamp
        The session's timestamp in the prearchive, if it is a new one and the timestamp is free.
    replaces
        Whether an object takes the place of another one with its UID that is in the archive.
    """

    project: str = ""
    subject: str = ""
    session: str = ""
    auto_archive: bool | None = None
    projects: frozenset[str] | None = None
    prevent_anon: bool = False
    prevent_auto_commit: bool = False
    source: str = ""
    visit: str = ""
    timestamp: str = ""
    replaces: bool = False


@dataclass(frozen=True)
class Rules:
    """A receiver's routing expressions, and whether the site's anonymisation script holds for what it receives."""

    project: tuple[RoutingExpression, ...] = ()
    subject: tuple[RoutingExpression, ...] = ()
    session: tuple[RoutingExpression, ...] = ()
    anonymises: bool = True


@dataclass(frozen=True)
class Assignment:
    """Where an object belongs.

    Parameters
    ----------
    project
        ID, or `UNASSIGNED`.
    subject
        Label; "" when the object does not say whose it is.
    session
        Label.
    auto_archive
        Whether to archive without being asked; None leaves it to the project.
    prevent_anon, prevent_auto_commit, source, visit, timestamp, replaces
        As in `Hints`.
    """

    project: str
    subject: str
    session: str
    auto_archive: bool | None = None
    prevent_anon: bool = False
    prevent_auto_commit: bool = False
    source: str = ""
    visit: str = ""
    timestamp: str = ""
    replaces: bool = False


def assign(db: Session, dataset: Dataset, *, rules: Rules | None = None, hints: Hints | None = None) -> Assignment:
    """Decide where an object belongs.

    Parameters
    ----------
    db
        Transaction in which projects are looked up.
    dataset
        The object's attributes.
    rules
        Those of the receiver it came by.
    hints
        What the sender said.

    Returns
    -------
    Assignment
        For each part the first of these that gives something: hint, receiver's expression, the site's expression,
        ``Project:X Subject:S Session:E`` in the comments, XNAT's default. A project is only taken if there is one of
        this ID or alias.
    """
    rules, hints, site = rules or Rules(), hints or Hints(), _site_rules(db)
    tokens = _tokens(dataset)

    # Read when asked for: an attribute costs more than all else here.
    def projects() -> Iterator[str]:
        yield hints.project
        yield first_match(rules.project, dataset)
        yield first_match(site.project, dataset)
        yield tokens.get("project", "")
        yield text(dataset, "StudyDescription")
        yield text(dataset, "AccessionNumber")

    def subjects() -> Iterator[str]:
        yield hints.subject
        yield first_match(rules.subject, dataset) or first_match(site.subject, dataset)
        yield tokens.get("subject", "")
        yield text(dataset, "PatientName")

    def sessions() -> Iterator[str]:
        yield hints.session
        yield first_match(rules.session, dataset) or first_match(site.session, dataset)
        yield tokens.get("session", "")
        yield text(dataset, "PatientID")

    auto = hints.auto_archive
    if auto is None and "aa" in tokens:
        auto = tokens["aa"].lower() == "true"
    return Assignment(
        project=next((found for name in projects() if (found := _usable(db, name, hints.projects))), UNASSIGNED),
        subject=next((label for value in subjects() if (label := _label(value))), ""),
        session=next((label for value in sessions() if (label := _label(value))), _DEFAULT_SESSION),
        auto_archive=auto,
        prevent_anon=hints.prevent_anon or not rules.anonymises,
        prevent_auto_commit=hints.prevent_auto_commit,
        source=hints.source,
        visit=hints.visit,
        timestamp=hints.timestamp,
        replaces=hints.replaces,
    )


def find_project(db: Session, name: str) -> str:
    """Return the ID of the project with this ID or alias, "" if there is none."""
    found = db.execute(_PROJECT, {"name": name}).first()
    if found is not None:
        return "" if found.deleted else name
    return next((row.id for row in db.execute(_ALIASES) if name in (row.aliases or ())), "")


def check_site_rules(*, tool: str, path: str, contents: str | None) -> None:
    """Refuse site-wide routing expressions that can't be read, with 400 and the line."""
    if tool == _RULES_TOOL and path in _RULES_PATHS:
        parse_expressions(contents)


def _site_rules(db: Session) -> Rules:
    """Return the site's routing expressions, looked up once a transaction."""
    known = db.info.get("site_rules")
    if isinstance(known, Rules):
        return known
    texts: dict[str, str] = {}
    for row in db.execute(_SITE_RULES):  # the newest version of each comes last
        texts[row.path] = row.contents if row.status == "enabled" else ""
    project, subject, session = (_expressions(texts.get(path, "")) for path in _RULES_PATHS)
    rules = Rules(project, subject, session)
    db.info["site_rules"] = rules
    return rules


@lru_cache(maxsize=16)
def _expressions(lines: str) -> tuple[RoutingExpression, ...]:
    return parse_expressions(lines)


def _usable(db: Session, name: str, allowed: frozenset[str] | None) -> str:
    """Return the project of a name if it may be taken; each name is looked up once a transaction."""
    if not name:
        return ""
    known: dict[str, str] = db.info.setdefault("projects", {})
    if name not in known:
        known[name] = find_project(db, name)
    found = known[name]
    return found if allowed is None or found in allowed else ""


def _tokens(dataset: Dataset) -> dict[str, str]:
    """Return the tokens of the comments, keys in lower case; the first of a kind counts."""
    tokens: dict[str, str] = {}
    for keyword in _COMMENTS:
        for name, value in _TOKEN.findall(text(dataset, keyword)):
            tokens.setdefault(name.lower(), value)
    return tokens


def _label(value: str) -> str:
    """Return a value as a label, "" if nothing of it can stand in one."""
    label = clean_label(value)[:_MAX_LABEL]
    return label if label.strip("_-") else ""
