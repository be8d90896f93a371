"""The rules by which the Container Service takes or refuses a command document, and a few about text that is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from overread.hub.runs.jsonfilter import Filter, FilterError
from overread.hub.runs.priorities import label_problems
from overread.hub.runs.runner import is_mount_path
from overread.hub.runs.shapes import shape_problems

INPUT_TYPES = ("string", "boolean", "number", "select-one", "select-many", "file")
WRAPPER_INPUT_TYPES = (
    "string", "boolean", "number", "Directory", "File[]", "File", "Project", "ProjectAsset", "Subject",
    "SubjectAssessor", "Session", "Scan", "Assessor", "Resource", "Config", "file",
)  # fmt: skip
MOUNTABLE = ("Project", "ProjectAsset", "SubjectAssessor", "Session", "Scan", "Assessor", "Resource", "File")
HANDLER_TYPES = ("Resource", "Assessor", "Scan")
DELIMITERS = ("quoted-space", "space", "comma", "flag")
RESERVED_VARIABLES = ("XNAT_HOST", "XNAT_USER", "XNAT_PASS")
MAX_COMMAND_LINE = 2048

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENUMERATED = ("select-one", "select-many")
_SPECIAL_MAY_NOT = ("mounts", "inputs", "outputs", "xnat", "environment-variables", "ports", "secrets")

Item = Mapping[str, Any]


def problems(document: Mapping[str, Any]) -> list[str]:
    """Return all that is wrong with a command document; nothing when it can be taken."""
    shape = list(shape_problems(document))
    if shape:
        return shape
    kind = document.get("type") or "docker"
    found = list(_head(document))
    if kind == "docker":
        found += _main(document)
    elif kind in ("docker-setup", "docker-wrapup"):
        word = kind.removeprefix("docker-").capitalize()
        found += [f"{word} commands cannot declare any {key}." for key in _SPECIAL_MAY_NOT if document.get(key)]
    else:
        found.append(f'Unknown command type "{kind}". Known types: docker, docker-setup, docker-wrapup.')
    prefix = f'Command "{document.get("name") or ""}" - '
    return [prefix + problem for problem in found]


def _head(document: Item) -> Iterator[str]:
    if not _said(document, "name"):
        yield "Command name cannot be blank."
    image = str(document.get("image") or "")
    if not image:
        yield "image name cannot be blank."
    elif ":" not in image.rsplit("/", 1)[-1]:
        yield "image name must include version tag. e.g. image_name:tag"
    if len(str(document.get("command-line") or "")) > MAX_COMMAND_LINE:
        yield f"command-line is longer than {MAX_COMMAND_LINE} characters."
    if document.get("visibility") not in (None, "public", "protected", "private"):
        yield "visibility has an unknown value. Known types: public, protected, private."


def _main(document: Item) -> list[str]:
    inputs, outputs = document.get("inputs") or [], document.get("outputs") or []
    mounts = {str(mount.get("name")) for mount in document.get("mounts") or []}
    found = [*_mounts(document.get("mounts") or []), *_variables(document.get("environment-variables") or {})]
    found += label_problems(document)
    found += _unique("input", inputs)
    for given in inputs:
        found += _command_input(given)
    found += _unique("output", outputs)
    for output in outputs:
        name = output.get("name")
        if not _said(output, "mount"):
            found.append(f'Output "{name}" - mount cannot be blank.')
        elif output["mount"] not in mounts:
            known = ", ".join(sorted(mounts))
            found.append(f'output "{name}" references unknown mount "{output["mount"]}". Known mounts: {known}')
    wrappers = document.get("xnat") or []
    found += _unique("wrapper", wrappers, plain=False)
    for wrapper in wrappers:
        prefix = f'wrapper "{wrapper.get("name")}" - '
        found += [prefix + problem for problem in wrapper_problems(document, wrapper)]
    return found


def _mounts(mounts: list[Item]) -> Iterator[str]:
    yield from _unique("mount", mounts, plain=False)
    for mount in mounts:
        if not is_mount_path(str(mount.get("path") or "")):
            yield f'Mount "{mount.get("name")}" path must be absolute and below the root.'


def _variables(variables: Item) -> Iterator[str]:
    for name, value in variables.items():
        if name in RESERVED_VARIABLES:
            yield f'environment variable "{name}" is reserved.'
        elif not isinstance(value, str) or not (_VARIABLE.fullmatch(name) or "#" in name):
            yield f'environment variable "{name}" needs a plain name and a text.'


def _command_input(given: Item) -> Iterator[str]:
    name, kind = given.get("name"), given.get("type") or "string"
    choices = given.get("select-values") or []
    if kind not in INPUT_TYPES:
        yield f'Command input "{name}" - unknown type "{kind}". Known types: {", ".join(INPUT_TYPES)}'
    if given.get("multiple-delimiter") not in (None, *DELIMITERS):
        yield f'Invalid multiple-delimiter "{given["multiple-delimiter"]}", choose from: {", ".join(DELIMITERS)}'
    if kind in _ENUMERATED and not choices:
        yield f'Command input "{name}" is designated as type "{kind}" but doesn\'t list select-values.'
    elif choices and kind not in _ENUMERATED:
        yield f'Command input "{name}" has select-values set, but is not a select type.'
    default = given.get("default-value")
    if choices and kind == "select-one" and default is not None and default not in choices:
        yield f'Command input "{name}" default value "{default}" is not one of the select-values.'


def wrapper_problems(command: Item, wrapper: Item) -> Iterator[str]:
    """Find what is wrong with one wrapper of `command`."""
    if not _said(wrapper, "name"):
        yield "Command wrapper name cannot be blank."
    external, derived = wrapper.get("external-inputs") or [], wrapper.get("derived-inputs") or []
    yield from _unique("wrapper input", [*external, *derived])
    known: dict[str, Item] = {}
    choosing = {given.get("name") for given in command.get("inputs") or [] if given.get("select-values")}
    mounts = {mount.get("name") for mount in command.get("mounts") or []}
    for given in external:
        yield from _wrapper_input(given, choosing, mounts)
        known[str(given.get("name"))] = given
    for given in derived:
        yield from _wrapper_input(given, choosing, mounts)
        yield from _derived(given, known)
        known[str(given.get("name"))] = given
    yield from _handlers(command, wrapper.get("output-handlers") or [], known, {str(g.get("name")) for g in derived})


def _wrapper_input(given: Item, choosing: set[Any], mounts: set[Any]) -> Iterator[str]:
    name, kind = given.get("name"), given.get("type") or "string"
    if kind not in WRAPPER_INPUT_TYPES:
        yield f'Command wrapper input "{name}" - Unknown type "{kind}". Known types: {", ".join(WRAPPER_INPUT_TYPES)}'
    mount = given.get("provides-files-for-command-mount")
    if mount and mount not in mounts:
        yield f'Command wrapper input "{name}" provides files for unknown mount "{mount}".'
    elif mount and kind not in MOUNTABLE:
        yield f'Command wrapper input "{name}": an input of type {kind} cannot provide files for a mount.'
    if given.get("via-setup-command") and not mount:
        yield f'Command wrapper input "{name}": "via-setup-command" needs "provides-files-for-command-mount".'
    if given.get("provides-value-for-command-input") in choosing:
        yield f'input "{name}" provides values for a command input which is a select type.'
    try:
        if given.get("matcher") and "#" not in given["matcher"]:  # a replaced value makes it readable only later
            Filter(str(given["matcher"]))
    except FilterError as problem:
        yield f'Command wrapper input "{name}" - matcher: {problem}'


def _derived(given: Item, known: Mapping[str, Item]) -> Iterator[str]:
    name, parent = given.get("name"), given.get("derived-from-wrapper-input")
    if not parent:
        yield f'Command wrapper input "{name}" - property "derived-from-wrapper-input" cannot be blank.'
    elif parent == name:
        yield f'derived input "{name}" is derived from itself.'
    elif parent not in known:
        yield f'derived input "{name}" is derived from an unknown XNAT input "{parent}". Known: {", ".join(known)}'
    if given.get("multiple"):
        if given.get("provides-files-for-command-mount"):
            yield f'derived input "{name}" is "multiple", which means it cannot provide files for command mounts.'
        if not given.get("provides-value-for-command-input"):
            yield f'derived input "{name}" is "multiple", which means it must provide values for a command input.'


def _handlers(command: Item, handlers: list[Item], inputs: Mapping[str, Item], derived: set[str]) -> Iterator[str]:
    outputs = [str(output.get("name")) for output in command.get("outputs") or []]
    yield from _unique("output handler", handlers)
    earlier: dict[str, str] = {}
    for handler in handlers:
        name, kind = handler.get("name"), str(handler.get("type") or "Resource").capitalize()
        prefix = f'output handler "{name}" - '
        if kind not in HANDLER_TYPES:
            yield f'{prefix}Unknown type "{kind}". Known types: {", ".join(HANDLER_TYPES)}'
        if kind == "Resource" and not _said(handler, "label"):
            yield f"{prefix}when type = Resource, label cannot be blank."
        if handler.get("accepts-command-output") not in outputs:
            yield f'{prefix}unknown command output "{handler.get("accepts-command-output")}". Known: {outputs}'
        yield from (
            prefix + fault for fault in _parent(str(handler.get("as-a-child-of") or ""), inputs, derived, earlier)
        )
        earlier[str(name)] = kind
    handled = {handler.get("accepts-command-output") for handler in handlers}
    for output in outputs:
        if output not in handled:
            yield f'command output "{output}" is not handled by any output handler.'


def _parent(parent: str, inputs: Mapping[str, Item], derived: set[str], earlier: Mapping[str, str]) -> Iterator[str]:
    if parent in earlier:
        if earlier[parent] not in ("Assessor", "Scan"):
            yield f'"as-a-child-of": "{parent}" is a {earlier[parent]}; only an Assessor or a Scan can be a parent.'
    elif parent not in inputs:
        known = ", ".join([*inputs, *earlier])
        yield f'"as-a-child-of": "{parent}" is no wrapper input and no earlier output handler. Known: {known}.'
    elif inputs[parent].get("multiple"):
        yield f'"as-a-child-of": "{parent}", but that input is set to allow multiple values.'
    elif parent in derived and inputs[parent].get("derived-from-xnat-object-property") not in (None, "uri"):
        yield f'"as-a-child-of": "{parent}", but that input is not a "uri", which is needed to store below it.'


def _unique(what: str, items: Iterable[Item], *, plain: bool = True) -> Iterator[str]:
    seen = set()
    for item in items:
        name = item.get("name")
        if not _said(item, "name"):
            yield f"{what} name cannot be blank."
        elif plain and not _NAME.fullmatch(name if isinstance(name, str) else ""):
            yield f'{what} "{name}" name should contain only alphanumeric, _ and - characters.'
        if name in seen:
            yield f'{what} name "{name}" is not unique.'
        seen.add(name)


def _said(item: Item, key: str) -> bool:
    value = item.get(key)
    return isinstance(value, str) and bool(value.strip())
