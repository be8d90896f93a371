"""What a server has of a study, read before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from overread.errors import ArchiveError, Denied, Unavailable
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Archive

STUDY_CONFIG, SITE_CONFIG = "overread/study", "overread/studies"
MADE_CONFIG = "overread/made"
_OWNERS = "Owners"


@dataclass(frozen=True)
class WrapperState:
    """What is set for one wrapper.

    Parameters
    ----------
    enabled_for_site, enabled_for_project
        Whether it can be used.
    defaults
        Input -> default value in the project.
    """

    enabled_for_site: bool
    enabled_for_project: bool
    defaults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServerState:
    """What a server has of a study; documents are as it answered.

    Parameters
    ----------
    has_project
        The project exists and the user may see it.
    accessibility, prearchive_code
        Settings of the project; empty without one.
    schema
        XSD of the result's datatype; None when the server does not know it.
    commands
        All command documents.
    wrappers
        Wrapper id -> what is set for it; only those of the study's commands.
    images
        Name with tag -> digest, of the images that the server has.
    receivers, subscriptions, forms
        All that there are.
    events_enabled
        The Event Service is on.
    study_config
        The manifest as it was stored last.
    made
        Names of the steps whose objects apply made; None without a record.
    xnat_version
        Empty when the server does not say.
    plugins
        Plugin id -> version; None when the server does not list them.
    script, script_enabled
        The project's anonymisation.
    orchestration
        Number of the one that the project has chosen.
    orchestrations
        All that the user may see.
    readers, owners
        Logins of members who are no owners, and of owners.
    accounts
        Logins of the site; None when they may not be seen.
    site_config
        The site's table of studies.
    """

    has_project: bool = False
    accessibility: str = ""
    prearchive_code: str = ""
    schema: str | None = None
    commands: Sequence[Mapping[str, Any]] = ()
    wrappers: Mapping[int, WrapperState] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    receivers: Sequence[Mapping[str, Any]] = ()
    events_enabled: bool = False
    subscriptions: Sequence[Mapping[str, Any]] = ()
    forms: Sequence[Mapping[str, Any]] = ()
    study_config: str | None = None
    site_config: Mapping[str, Any] = field(default_factory=dict)
    made: frozenset[str] | None = None
    xnat_version: str = ""
    plugins: Mapping[str, str] | None = None
    script: str = ""
    script_enabled: bool = False
    orchestration: int | None = None
    orchestrations: Sequence[Mapping[str, Any]] = ()
    readers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    accounts: frozenset[str] | None = None

    @property
    def study(self) -> dict[str, Any]:
        """The stored manifest; empty where there is none that can be read."""
        try:
            value = json.loads(self.study_config) if self.study_config else {}
        except json.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}

    def command(self, name: str, version: str) -> Mapping[str, Any] | None:
        """Find a command by name and version."""
        return next((c for c in self.commands if c.get("name") == name and c.get("version") == version), None)

    def wrapper_id(self, name: str, version: str, wrapper: str) -> int | None:
        """Find the id that the server gave to a wrapper of a command."""
        command = self.command(name, version)
        wrappers = command.get("xnat", ()) if command else ()
        return next((int(w["id"]) for w in wrappers if w.get("name") == wrapper and w.get("id")), None)


def read_state(archive: Archive, bundle: StudyBundle) -> ServerState:
    """Ask a server for everything that the plan of a study depends on.

    Raises
    ------
    ArchiveError
        The server does not answer, or hides what is needed.
    """
    project = bundle.manifest.project
    has_project = archive.get(f"/data/projects/{project}", {"format": "json"}) is not None
    commands = _rows(archive, "/xapi/commands")
    state = ServerState(
        has_project=has_project,
        accessibility=_text(archive, f"/data/projects/{project}/accessibility") if has_project else "",
        prearchive_code=_text(archive, f"/data/projects/{project}/prearchive_code") if has_project else "",
        schema=_schema(archive, bundle),
        commands=commands,
        images=_images(archive),
        receivers=_rows(archive, "/xapi/dicomscp"),
        events_enabled=_events_enabled(archive),
        subscriptions=_rows(archive, "/xapi/events/subscriptions"),
        forms=_forms(archive, project) if has_project else (),
        study_config=_config(archive, f"/data/projects/{project}/config/{STUDY_CONFIG}") if has_project else None,
        site_config=_site_config(archive),
        orchestrations=_orchestrations(archive),
        accounts=_accounts(archive) if bundle.readers else None,
        xnat_version=_xnat_version(archive),
        plugins=_plugins(archive),
    )
    if has_project:
        state = _with_project(archive, project, state)
    return _with_wrappers(archive, bundle, state)


def _with_project(archive: Archive, project: str, state: ServerState) -> ServerState:
    """Add what is read of a project that is there."""
    base = f"/xapi/anonymize/projects/{project}"
    enabled = _quietly(archive, f"{base}/enabled")
    chosen = _quietly(archive, f"/xapi/orchestration/project/{project}")
    number = chosen.get("selectedOrchestrationId") if isinstance(chosen, dict) else None
    script = archive.get(base)
    users = archive.get(f"/data/projects/{project}/users", {"format": "json"})
    table = users.value() if users else {}
    rows = table.get("ResultSet", {}).get("Result", []) if isinstance(table, dict) else []
    return replace(
        state,
        made=_made(archive, project),
        script=script.text if script else "",
        script_enabled=enabled is True,
        orchestration=int(number) if isinstance(number, int) and number > 0 else None,
        readers=tuple(sorted(str(row.get("login")) for row in rows if row.get("displayname") != _OWNERS)),
        owners=tuple(sorted(str(row.get("login")) for row in rows if row.get("displayname") == _OWNERS)),
    )


def _made(archive: Archive, project: str) -> frozenset[str] | None:
    text = _config(archive, f"/data/projects/{project}/config/{MADE_CONFIG}")
    if text is None:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    names = value.get("made") if isinstance(value, dict) else None
    if not isinstance(names, list):
        raise ArchiveError(
            f"the record of what is the study's (/data/projects/{project}/config/{MADE_CONFIG}) can't be read; mend or "
            "remove it, else objects of others could be changed"
        )
    return frozenset(map(str, names))


def _orchestrations(archive: Archive) -> Sequence[Mapping[str, Any]]:
    value = _quietly(archive, "/xapi/orchestration")
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _accounts(archive: Archive) -> frozenset[str] | None:
    value = _quietly(archive, "/xapi/users")
    return frozenset(map(str, value)) if isinstance(value, list) else None


def _xnat_version(archive: Archive) -> str:
    value = _quietly(archive, "/xapi/siteConfig/buildInfo")
    return str(value.get("version") or "") if isinstance(value, dict) else ""


def _plugins(archive: Archive) -> Mapping[str, str] | None:
    value = _quietly(archive, "/xapi/plugins")
    if not isinstance(value, dict):
        return None
    return {str(key): str(bean.get("version") or "") for key, bean in value.items() if isinstance(bean, dict)}


def _quietly(archive: Archive, path: str) -> Any:
    """Get what a server may lack, as JSON; None where it does."""
    try:
        answer = archive.get(path)
    except Unavailable:
        raise
    except ArchiveError:
        return None
    return answer.value() if answer else None


def _with_wrappers(archive: Archive, bundle: StudyBundle, state: ServerState) -> ServerState:
    project = bundle.manifest.project
    found: dict[int, WrapperState] = {}
    for runnable in bundle.runnables:
        wrapper_id = state.wrapper_id(runnable.command.name, runnable.command.version, runnable.wrapper.name)
        if wrapper_id is not None:
            found[wrapper_id] = _wrapper(archive, wrapper_id, project if state.has_project else None)
    return replace(state, wrappers=found)


def _wrapper(archive: Archive, wrapper_id: int, project: str | None) -> WrapperState:
    site = archive.get(f"/xapi/wrappers/{wrapper_id}/enabled")
    for_site = site is not None and site.value() is True
    if project is None:
        return WrapperState(for_site, enabled_for_project=False)
    base = f"/xapi/projects/{project}/wrappers/{wrapper_id}"
    report = archive.get(f"{base}/enabled")
    value = report.value() if report else None
    for_project = value.get("enabled-for-project") is True if isinstance(value, dict) else value is True
    config = archive.get(f"{base}/config")
    document = config.value() if config else None
    inputs = document.get("inputs", {}) if isinstance(document, dict) else {}
    defaults = {name: str(item.get("default-value") or "") for name, item in inputs.items() if isinstance(item, dict)}
    return WrapperState(for_site, for_project, defaults)


def _schema(archive: Archive, bundle: StudyBundle) -> str | None:
    """XSD of the datatype, found as XNAT names it: ``folder`` or ``folder/file``."""
    prefix = bundle.datatype.spec.prefix
    listed = archive.get("/xapi/schemas", {"format": "json"})
    names = listed.value() if listed else []
    name = next((n for n in (prefix, f"{prefix}/{prefix}") if n in names), None)
    if name is None:
        return None
    answer = archive.get(f"/xapi/schemas/{name}")
    return answer.text if answer else None


def _images(archive: Archive) -> dict[str, str]:
    """Images of the container engine; none where the server has no engine to ask."""
    try:
        images = _rows(archive, "/xapi/docker/images")
    except Denied:
        raise
    except ArchiveError:
        return {}
    return {str(tag): str(image.get("image-id") or "") for image in images for tag in image.get("tags") or ()}


def _events_enabled(archive: Archive) -> bool:
    answer = archive.get("/xapi/events/prefs")
    value = answer.value() if answer else None
    return isinstance(value, dict) and str(value.get("enabled")).lower() == "true"


def _forms(archive: Archive, project: str) -> Sequence[Mapping[str, Any]]:
    answer = archive.get("/xapi/customforms", {"projectId": project})
    value = answer.value() if answer else []
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _site_config(archive: Archive) -> Mapping[str, Any]:
    text = _config(archive, f"/data/config/{SITE_CONFIG}")
    try:
        value = json.loads(text) if text else {}
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ArchiveError(
            f"the site's table of studies (/data/config/{SITE_CONFIG}) is no JSON object; mend or remove it, "
            "else other studies would be lost"
        )
    return value


def _config(archive: Archive, path: str) -> str | None:
    answer = archive.get(path, {"contents": "true", "accept-not-found": "true"})
    return answer.text if answer and answer.text.strip() else None


def _text(archive: Archive, path: str) -> str:
    answer = archive.get(path)
    return answer.text.strip() if answer else ""


def _rows(archive: Archive, path: str) -> Sequence[Mapping[str, Any]]:
    answer = archive.get(path)
    value = answer.value() if answer else []
    if not isinstance(value, list):
        raise ArchiveError(f"GET {path}: a list was expected; does the server have the plugin that this belongs to?")
    return [row for row in value if isinstance(row, dict)]
