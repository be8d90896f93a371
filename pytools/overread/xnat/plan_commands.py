"""Steps for the Container Service: commands, where they may be used, and their defaults in the project."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from overread.commands.compile import IMAGE_DIGEST, SERIES_RULES
from overread.commands.model import (
    Command,
    CommandInput,
    CommandOutput,
    DerivedInput,
    Mount,
    OutputHandler,
    Wrapper,
    WrapperInput,
)
from overread.xnat.bundle import Runnable, StudyBundle
from overread.xnat.connection import Request
from overread.xnat.state import ServerState, WrapperState
from overread.xnat.steps import Step, differences

# Inputs of a report's command that the study gives.
STUDY_TITLE, PROGRESSION = "study-title", "progression"
# Keys that mean the same when they are absent and when they have this value.
_SILENT_VALUES: Mapping[str, Any] = {
    "override-entrypoint": False,
    "auto-remove": False,
    "sensitive": False,
    "user-settable": True,
    "schema-version": "1.0",
}
# Key of a list -> model of its items.
_PARTS: Mapping[str, type[BaseModel]] = {
    "mounts": Mount,
    "inputs": CommandInput,
    "outputs": CommandOutput,
    "xnat": Wrapper,
    "external-inputs": WrapperInput,
    "derived-inputs": DerivedInput,
    "output-handlers": OutputHandler,
}


def plan_commands(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Plan the commands of a study and what is set for their wrappers."""
    for command in bundle.commands:
        yield _command(command, state)
    for runnable in bundle.runnables:
        yield from _wrapper(runnable, bundle, state)


def wrapper_id(runnable: Runnable, state: ServerState) -> int | None:
    """Find the id that the server gave to a study's wrapper; None before the command is there."""
    return state.wrapper_id(runnable.command.name, runnable.command.version, runnable.wrapper.name)


def same_command(have: Mapping[str, Any], want: Command) -> bool:
    """Tell whether a server's document says the same as ours, apart from ids and from defaults that it filled in."""
    try:
        theirs = Command.model_validate(_known_keys(have))
    except ValidationError:
        return False
    return bool(_essence(theirs) == _essence(want))


def _command(command: Command, state: ServerState) -> Step:
    name = f"command {command.name} {command.version}"
    have = state.command(command.name, command.version)
    if have is None:
        return Step(name, "create", command.image, (Request("POST", "/xapi/commands", json=command.document()),))
    if same_command(have, command):
        return Step(name, "unchanged")
    request = Request("POST", f"/xapi/commands/{have['id']}", json=command.document())
    return Step(name, "update", _changes(have, command), (request,))


def _changes(have: Mapping[str, Any], want: Command) -> str:
    try:
        theirs = _essence(Command.model_validate(_known_keys(have)))
    except ValidationError:
        return "the server's can't be read"
    ours = _essence(want)
    return differences(theirs, ours) or differences(ours, theirs) or want.image


def _wrapper(runnable: Runnable, bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    project, wrapper = bundle.manifest.project, runnable.wrapper.name
    number = wrapper_id(runnable, state)
    names = (f"wrapper {wrapper} on the site", f"wrapper {wrapper} in {project}", f"defaults of {wrapper} in {project}")
    if number is None:
        for name in names:
            yield Step(name, "wait", f"for the id of command {runnable.command.name}")
        return
    have = state.wrappers.get(number, WrapperState(enabled_for_site=False, enabled_for_project=False))
    yield _enable(names[0], f"/xapi/wrappers/{number}/enabled", enabled=have.enabled_for_site)
    yield _enable(names[1], f"/xapi/projects/{project}/wrappers/{number}/enabled", enabled=have.enabled_for_project)
    want = _defaults(runnable, bundle, state)
    different = sorted(key for key, value in want.items() if have.defaults.get(key) != value)
    if not different:
        yield Step(names[2], "unchanged")
        return
    inputs = {key: {"default-value": value, "user-settable": False} for key, value in want.items()}
    body = {"inputs": inputs, "outputs": {}}
    request = Request("POST", f"/xapi/projects/{project}/wrappers/{number}/config", json=body)
    known = any(have.defaults.get(key) for key in want)
    said = differences(have.defaults, {key: want[key] for key in different}) if known else ", ".join(different)
    yield Step(names[2], "update" if known else "create", said, (request,))


def _enable(name: str, path: str, *, enabled: bool) -> Step:
    return Step(name, "unchanged") if enabled else Step(name, "create", "enabled", (Request("PUT", path),))


def _defaults(runnable: Runnable, bundle: StudyBundle, state: ServerState) -> dict[str, str]:
    """Values that the study gives to inputs of a command, as far as the command has them and the server knows them."""
    rules = json.dumps(
        bundle.manifest.model_dump(mode="json")["arrival"]["series"], separators=(",", ":"), sort_keys=True
    )
    progression, pct = bundle.manifest.progression, threshold_by_hand(bundle, state.study)
    if progression is not None and pct is not None:
        progression = progression.model_copy(update={"increase_pct": pct})
    values = {
        STUDY_TITLE: _without_shell_signs(bundle.manifest.title),
        PROGRESSION: base64.b64encode(progression.model_dump_json().encode()).decode() if progression else "",
        # The Container Service refuses values with ( ; ` && or ||, of which regular expressions are full.
        SERIES_RULES: base64.b64encode(rules.encode()).decode(),
        IMAGE_DIGEST: state.images.get(runnable.command.image, ""),
    }
    inputs = {item.name for item in (*runnable.command.inputs, *runnable.wrapper.inputs)}
    return {key: value for key, value in values.items() if value and key in inputs}


def threshold_by_hand(bundle: StudyBundle, stored: Mapping[str, Any]) -> float | None:
    """Return the threshold that an administrator set on the study's settings page; None if the manifest's holds."""
    value = stored.get("threshold_pct_by_hand")
    return value if bundle.manifest.progression and isinstance(value, int | float) else None


def _without_shell_signs(text: str) -> str:
    """Return a text as the Container Service takes it for an input."""
    return " ".join(re.sub(r"[^\w .,:/-]", " ", text).split())


def _known_keys(document: Mapping[str, Any], model: type[BaseModel] = Command) -> dict[str, Any]:
    """Keep what a model knows, at every level: ids and what newer servers add are dropped."""
    known = {field.alias for field in model.model_fields.values()}
    kept: dict[str, Any] = {}
    for key, value in document.items():
        if key in known and value is not None:
            part = _PARTS.get(key)
            kept[key] = [_known_keys(item, part) for item in value] if part and isinstance(value, list) else value
    return kept


def _essence(command: Command) -> Any:
    return _without_silence(command.model_dump(mode="json", by_alias=True))


def _without_silence(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_silence(item) for key, item in value.items()}
        kept = {k: v for k, v in kept.items() if v not in (None, "", [], {}) and v != _SILENT_VALUES.get(k, ())}
        if kept.get("replacement-key") == f"#{kept.get('name')}#":
            del kept["replacement-key"]  # what it is when it is not given
        if "contexts" in kept:
            kept["contexts"] = sorted(kept["contexts"])  # a set for XNAT
        return kept
    return [_without_silence(item) for item in value] if isinstance(value, list) else value
