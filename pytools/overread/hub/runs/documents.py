"""Command documents: what is left out has the Container Service's defaults, wrappers have ids of the whole site."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from overread.hub.database import next_number
from overread.hub.errors import bad_request, not_found
from overread.hub.models import Command, Container, Enablement, WrapperConfig
from overread.hub.runs.validation import problems

Document = dict[str, Any]

MAIN, SETUP, WRAPUP = "docker", "docker-setup", "docker-wrapup"

_COMMAND: Document = {
    "label": None, "description": None, "version": None, "schema-version": None, "info-url": None, "image": None,
    "container-name": None, "type": MAIN, "index": None, "hash": None, "working-directory": None,
    "command-line": None, "override-entrypoint": None, "mounts": [], "environment-variables": {}, "ports": {},
    "inputs": [], "outputs": [], "xnat": [], "container-labels": {}, "generic-resources": {}, "ulimits": {},
    "secrets": [], "visibility": "public",
}  # fmt: skip
_COMMAND_INPUT: Document = {"type": "string", "required": False, "select-values": []}
_WRAPPER: Document = {"contexts": [], "external-inputs": [], "derived-inputs": [], "output-handlers": []}
_WRAPPER_INPUT: Document = {"type": "string", "required": True, "load-children": True, "sensitive": False}
_OUTPUT: Document = {"required": False}
_HANDLER: Document = {"type": "Resource", "tags": []}


@dataclass(frozen=True)
class Wrapper:
    """One wrapper and the command it belongs to, with the defaults of a site or project put in."""

    id: int
    command_id: int
    command: Document
    document: Document

    @property
    def name(self) -> str:
        """Name of the wrapper."""
        return str(self.document["name"])

    @property
    def external_inputs(self) -> list[Document]:
        """Inputs whose values come from outside."""
        return list(self.document["external-inputs"])

    @property
    def root(self) -> Document | None:
        """The first external input: the object that the command is launched on."""
        return self.external_inputs[0] if self.external_inputs else None


def normalise(document: Mapping[str, Any]) -> Document:
    """Return a command document with all defaults put in."""
    command = _with(_COMMAND, document)
    command["mounts"] = [_with({"writable": False}, mount) for mount in command["mounts"]]
    command["inputs"] = [_with(_COMMAND_INPUT, given) for given in command["inputs"]]
    command["outputs"] = [_with(_OUTPUT, output) for output in command["outputs"]]
    command["xnat"] = [_wrapper(wrapper) for wrapper in command["xnat"]]
    for given in command["inputs"]:
        given.setdefault("replacement-key", f"#{given['name']}#")
    return command


def _wrapper(document: Mapping[str, Any]) -> Document:
    wrapper = _with(_WRAPPER, document)
    for kind in ("external-inputs", "derived-inputs"):
        wrapper[kind] = [_with(_WRAPPER_INPUT, given) for given in wrapper[kind]]
        for given in wrapper[kind]:
            given.setdefault("replacement-key", f"#{given['name']}#")
    wrapper["output-handlers"] = [_with(_HANDLER, handler) for handler in wrapper["output-handlers"]]
    for handler in wrapper["output-handlers"]:
        handler["type"] = str(handler["type"]).capitalize()
    return wrapper


def _with(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Document:
    said = {name: value for name, value in given.items() if value is not None}
    return copy.deepcopy(dict(defaults)) | copy.deepcopy(said)


def save_command(db: Session, document: Mapping[str, Any], *, command: Command | None = None) -> Command:
    """Keep a command document, as a new command or as the new text of `command`.

    Raises
    ------
    HubError
        400 with all problems; 400 when the name and version are taken.
    """
    found = problems(document)
    if found:
        raise bad_request("Could not create command: " + " ".join(found))
    full = normalise(document)
    name, version = str(full["name"]), str(full["version"] or "")
    twin = db.scalar(select(Command).where(Command.name == name, Command.version == version))
    if twin is not None and twin is not command:
        raise bad_request(f"There is a command {name} with version {version or 'none'}: its id is {twin.id}.")
    if command is None:
        command = Command(name=name, version=version)
        db.add(command)
    _number_wrappers(db, full, command.document or {})
    command.name, command.version, command.image = name, version, str(full["image"])
    db.flush()
    command.document = full | {"id": command.id}
    return command


def _number_wrappers(db: Session, full: Document, old: Mapping[str, Any]) -> None:
    """Give wrappers their ids: one that says an id of this command, or keeps its name, keeps its id."""
    names = {wrapper["name"]: wrapper["id"] for wrapper in old.get("xnat", [])}
    free = set(names.values())
    for wrapper in full["xnat"]:
        known = wrapper.get("id") if wrapper.get("id") in free else names.get(wrapper["name"])
        wrapper["id"] = known if known in free else next_number(db, "wrapper")
        free.discard(wrapper["id"])
        for kind in ("external-inputs", "derived-inputs", "output-handlers"):
            for place, given in enumerate(wrapper[kind], start=1):
                given["id"] = place
    for wrapper_id in free:
        forget_wrapper(db, wrapper_id)


def delete_command(db: Session, command: Command) -> None:
    """Forget a command, and where its wrappers were switched on. What has run stays."""
    for wrapper in command.document["xnat"]:
        forget_wrapper(db, wrapper["id"])
    db.delete(command)


def forget_wrapper(db: Session, wrapper_id: int) -> None:
    """Forget where a wrapper was switched on, and its defaults."""
    for table in (Enablement, WrapperConfig):
        for row in db.scalars(select(table).where(table.wrapper_id == wrapper_id)):
            db.delete(row)


def get_command(db: Session, command_id: int) -> Command:
    """Return a command; 404 if there is none."""
    command = db.get(Command, command_id)
    if command is None:
        raise not_found(f"command {command_id}")
    return command


def find_wrapper(db: Session, wrapper_id: int, *, project: str = "") -> Wrapper:
    """Return a wrapper with the defaults of the site, then those of `project`, put in; 404 if there is none."""
    for command in db.scalars(select(Command)):
        for document in command.document["xnat"]:
            if document["id"] == wrapper_id:
                whole = copy.deepcopy(command.document)
                chosen = next(wrapper for wrapper in whole["xnat"] if wrapper["id"] == wrapper_id)
                for scope in dict.fromkeys(("", project)):
                    _apply(whole, chosen, config_of(db, wrapper_id, scope))
                return Wrapper(wrapper_id, command.id, whole, chosen)
    raise not_found(f"wrapper {wrapper_id}")


def _apply(command: Document, wrapper: Document, config: Mapping[str, Any]) -> None:
    """Put a configuration's values where they belong; empty ones change nothing."""
    inputs = {given["name"]: given for given in command["inputs"]}
    inputs |= {given["name"]: given for kind in ("external-inputs", "derived-inputs") for given in wrapper[kind]}
    handlers = {handler["name"]: handler for handler in wrapper["output-handlers"]}
    for section, known in (("inputs", inputs), ("outputs", handlers)):
        for name, values in (config.get(section) or {}).items():
            if name in known and isinstance(values, dict):
                known[name].update({key: value for key, value in values.items() if value is not None})


def find_wrapper_by_name(db: Session, command_id: int, name: str) -> int:
    """Return the id of a command's wrapper; 404 if there is none."""
    for wrapper in get_command(db, command_id).document["xnat"]:
        if wrapper["name"] == name:
            return int(wrapper["id"])
    raise not_found(f"wrapper {name} of command {command_id}")


def find_by_image(db: Session, reference: str) -> Document | None:
    """Return the command that ``via-wrapup-command`` or ``via-setup-command`` names, or None.

    Parameters
    ----------
    reference
        ``repository/image:version`` or ``repository/image:version:command name``.
    """
    for command in db.scalars(select(Command).order_by(Command.id.desc())):
        if reference in (command.image, f"{command.image}:{command.name}"):
            return command.document
    return None


def config_of(db: Session, wrapper_id: int, project: str) -> Document:
    """Return the defaults set for a wrapper in a project, or with "" for the site; {} when none are."""
    row = db.scalar(
        select(WrapperConfig).where(WrapperConfig.wrapper_id == wrapper_id, WrapperConfig.project == project)
    )
    return row.document if row is not None else {}


def set_config(db: Session, wrapper_id: int, project: str, document: Document | None) -> None:
    """Set the defaults of a wrapper in a project (or the site); None forgets them."""
    row = db.scalar(
        select(WrapperConfig).where(WrapperConfig.wrapper_id == wrapper_id, WrapperConfig.project == project)
    )
    if document is None:
        if row is not None:
            db.delete(row)
        return
    if row is None:
        row = WrapperConfig(wrapper_id=wrapper_id, project=project)
        db.add(row)
    row.document = document


def is_enabled(db: Session, wrapper_id: int, project: str) -> bool:
    """Whether a wrapper is switched on in a project, or with "" for the site. The two are independent here."""
    found = db.scalar(
        select(Enablement.enabled).where(Enablement.wrapper_id == wrapper_id, Enablement.project == project)
    )
    return bool(found)


def set_enabled(db: Session, wrapper_id: int, project: str, *, enabled: bool) -> None:
    """Switch a wrapper on or off."""
    row = db.scalar(select(Enablement).where(Enablement.wrapper_id == wrapper_id, Enablement.project == project))
    if row is None:
        row = Enablement(wrapper_id=wrapper_id, project=project)
        db.add(row)
    row.enabled = enabled


def runs_of(db: Session, command_id: int) -> int:
    """Return how many runs of a command there were."""
    return db.scalar(select(func.count()).select_from(Container).where(Container.command_id == command_id)) or 0
