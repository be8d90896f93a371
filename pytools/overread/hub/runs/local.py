"""A run without a server: what XNAT would put in is left empty, the rest is the same command in the same runner."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from overread.errors import SpecError
from overread.hub.runs.documents import WRAPUP, normalise
from overread.hub.runs.images import COMMANDS, Image
from overread.hub.runs.runner import Limits, Mount, RunSpec
from overread.hub.runs.template import boolean_value, command_line_value, fill
from overread.hub.runs.validation import problems


def choose_command(image: Image, name: str | None) -> dict[str, Any]:
    """Return a command of an image, with all defaults: the one called `name`, or the only one.

    Raises
    ------
    SpecError
        The document is wrong, there is no such command, or there are several and no name.
    """
    source = str(image.folder / COMMANDS)
    found = [command for command in image.commands if name in (None, command.get("name"))]
    names = ", ".join(str(command.get("name")) for command in image.commands)
    if len(found) != 1:
        raise SpecError(f"choose one of the commands {names} with --command", source=source)
    faults = problems(found[0])
    if faults:
        raise SpecError(" ".join(faults), source=source)
    return normalise(found[0])


def values_of(command: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each input of a command: given, its default, or "" where a server would put something in.

    Raises
    ------
    SpecError
        An unknown input, a value outside a choice, or a required input that nothing fills.
    """
    inputs = {one["name"]: one for one in command["inputs"]}
    unknown = sorted(set(given) - set(inputs))
    if unknown:
        known = ", ".join(sorted(inputs)) or "none"
        raise SpecError(f"There is no input {', '.join(unknown)}. Inputs: {known}.")
    by_server = {
        one.get("provides-value-for-command-input")
        for wrapper in command["xnat"]
        for one in (*wrapper["external-inputs"], *wrapper["derived-inputs"])
    }
    values = {}
    for name, one in inputs.items():
        value = given.get(name, one.get("default-value"))
        if value is None and one["required"] and name not in by_server:
            raise SpecError(f"Input {name} is required: give it with --set {name}=VALUE.")
        if value is not None and one["type"] == "select-one" and value not in one["select-values"]:
            raise SpecError(f"Input {name} is one of {', '.join(one['select-values'])}, not {value!r}.")
        text = "" if value is None else str(value)
        values[name] = boolean_value(one, text) if one["type"] == "boolean" and text else text
    return values


def local_spec(
    image: Image,
    command: Mapping[str, Any],
    *,
    values: Mapping[str, str],
    folders: Mapping[str, Path],
    logs: Path,
    timeout_s: float,
    from_server: Mapping[str, str] | None = None,
) -> RunSpec:
    """Return what a runner needs for a run on folders.

    Parameters
    ----------
    image, command
        What runs; `command` with defaults.
    values
        By input name, see `values_of`.
    folders
        Real folders by mount name, see `mount_folders`.
    logs
        Folder for the logs.
    timeout_s
        Wall-clock limit.
    from_server
        By the name of a wrapper's input: what a server once put in, when a recorded run is done again.
    """
    plain = {one["replacement-key"]: values[one["name"]] for one in command["inputs"]}
    line = {one["replacement-key"]: command_line_value(one, values[one["name"]]) for one in command["inputs"]}
    known = from_server or {}
    of_wrappers = {
        one["replacement-key"]: known.get(one["name"], "")
        for wrapper in command["xnat"]
        for one in (*wrapper["external-inputs"], *wrapper["derived-inputs"])
    }
    return RunSpec(
        run_id=f"local-{uuid.uuid4().hex}",
        image=image.name,
        command_line=fill(command["command-line"], line),
        environment={
            name: fill(value, of_wrappers | plain) for name, value in command["environment-variables"].items()
        },
        mounts=tuple(
            Mount(mount["name"], folders[mount["name"]], mount["path"], mount["writable"]) for mount in _mounts(command)
        ),
        log_folder=logs,
        limits=Limits(
            timeout_s=timeout_s,
            memory_mb=int(command.get("limit-memory") or 0) or None,
            cpus=float(command.get("limit-cpu") or 0) or None,
        ),
        working_directory=fill(command["working-directory"], plain),
        override_entrypoint=bool(command["override-entrypoint"]),
    )


def mount_folders(
    command: Mapping[str, Any], *, source: Path, target: Path, more: Mapping[str, Path], empty: Path
) -> dict[str, Path]:
    """Return a real folder for each mount.

    Parameters
    ----------
    command
        The command, with defaults.
    source, target
        Folders of the first mount that is read and of the first that is written.
    more
        Folders of other mounts, by name.
    empty
        A folder that holds nothing, for mounts that are not given one.

    Raises
    ------
    SpecError
        `more` names a mount that there is not.
    """
    mounts = _mounts(command)
    unknown = sorted(set(more) - {mount["name"] for mount in mounts})
    if unknown:
        known = ", ".join(mount["name"] for mount in mounts)
        raise SpecError(f"There is no mount {', '.join(unknown)}. Mounts: {known}.")
    found = dict(more)
    for writable, folder in ((False, source), (True, target)):
        free = [mount["name"] for mount in mounts if mount["writable"] is writable and mount["name"] not in found]
        if free:
            found[free[0]] = folder
    for mount in mounts:
        if mount["name"] not in found:
            found[mount["name"]] = empty / mount["name"]
            found[mount["name"]].mkdir(parents=True)
    return found


def _mounts(command: Mapping[str, Any]) -> list[dict[str, Any]]:
    if command["type"] == WRAPUP:  # a wrap-up command declares none: it always has these
        return [
            {"name": "input", "path": "/input", "writable": False},
            {"name": "output", "path": "/output", "writable": True},
        ]
    return list(command["mounts"])
