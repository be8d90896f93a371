"""Rules of the Container Service that a single field of a command can't know.

The service checks most of them itself and refuses the whole document. Here each gets its place in the file, before
anything is sent; the others are those that the service lets through and that fail in the clinic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from overread.commands.model import Command, CommandInput, DerivedInput, OutputHandler, Wrapper, WrapperInput
from overread.study.problems import Location, did_you_mean

RESERVED_VARIABLES = frozenset({"XNAT_HOST", "XNAT_USER", "XNAT_PASS"})
_MOUNTABLE = frozenset(
    {"Project", "ProjectAsset", "SubjectAssessor", "Session", "Scan", "Assessor", "Resource", "File"}
)
_COMMON = frozenset({"id", "label", "xsiType", "uri"})
# What a value of an object may be taken from (derived-from-xnat-object-property).
_PROPERTIES = {
    "Project": _COMMON | {"directory"},
    "ProjectAsset": _COMMON | {"directory", "project-id"},
    "Subject": _COMMON | {"project-id"},
    "SubjectAssessor": _COMMON | {"directory", "project-id"},
    "Session": _COMMON | {"directory", "project-id"},
    "Scan": _COMMON | {"directory", "integer-id", "scan-type"},
    "Assessor": _COMMON | {"directory"},
    "Resource": _COMMON | {"directory", "integer-id"},
}
_KEY = re.compile(r"#[A-Za-z0-9_-]+#")


@dataclass(frozen=True)
class Finding:
    """One broken rule: where, what, how to mend it."""

    location: Location
    message: str
    mend: str


def lint(command: Command) -> tuple[Finding, ...]:
    """Find everything in a command that the Container Service refuses, or that can't work.

    Parameters
    ----------
    command
        A command whose single fields are right.

    Returns
    -------
    tuple of Finding
        Empty for a good command.
    """
    if command.type != "docker":
        return tuple(_bare(command))
    return tuple(
        finding for rule in (_unique, _outputs, _inputs, _variables, _wrappers, _keys) for finding in rule(command)
    )


def _bare(command: Command) -> Iterator[Finding]:
    """Hold a setup or wrap-up command to what it is: it sees /input and /output, and nothing else."""
    for name in ("mounts", "inputs", "outputs", "xnat", "environment_variables", "ports", "secrets"):
        if getattr(command, name):
            key = name.replace("_", "-")
            yield Finding(
                (key,), f"a {command.type} command has no {key}", "remove it; such a command sees /input and /output"
            )


def _unique(command: Command) -> Iterator[Finding]:
    groups: list[tuple[Location, Sequence[str]]] = [
        (("mounts",), [item.name for item in command.mounts]),
        (("inputs",), [item.name for item in command.inputs]),
        (("outputs",), [item.name for item in command.outputs]),
        (("xnat",), [item.name for item in command.xnat]),
    ]
    for index, wrapper in enumerate(command.xnat):
        groups.append((("xnat", index, "external-inputs"), [item.name for item in wrapper.external_inputs]))
        groups.append((("xnat", index, "derived-inputs"), [item.name for item in wrapper.inputs]))
        groups.append((("xnat", index, "output-handlers"), [item.name for item in wrapper.output_handlers]))
    for location, names in groups:
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield Finding(location, f"the name '{name}' stands twice", "rename one")


def _outputs(command: Command) -> Iterator[Finding]:
    mounts = {mount.name: mount for mount in command.mounts}
    for index, output in enumerate(command.outputs):
        location: Location = ("outputs", index, "mount")
        if output.mount not in mounts:
            yield Finding(location, f"there is no mount '{output.mount}'", did_you_mean(output.mount, mounts))
        elif not mounts[output.mount].writable:
            yield Finding(location, f"the mount '{output.mount}' is read-only", "set its writable to true")
        if not output.path and not output.glob:
            yield Finding(("outputs", index), "has neither path nor glob", "say which files it is")


def _inputs(command: Command) -> Iterator[Finding]:
    for index, item in enumerate(command.inputs):
        location: Location = ("inputs", index)
        is_select = item.type.startswith("select")
        if is_select and not item.select_values:
            yield Finding(location, f"a {item.type} needs select-values", "list them")
        if not is_select and item.select_values:
            yield Finding((*location, "select-values"), f"a {item.type} has no select-values", "make it select-one")
        for value in _defaults(item):
            if item.select_values and value not in item.select_values:
                yield Finding(
                    (*location, "default-value"), f"'{value}' is not among the select-values",
                    did_you_mean(value, item.select_values),
                )  # fmt: skip


def _defaults(item: CommandInput) -> Sequence[str]:
    if item.default_value is None:
        return ()
    if item.type == "select-many":
        try:
            several = json.loads(item.default_value)
        except json.JSONDecodeError:
            several = None
        if isinstance(several, list):
            return [str(value) for value in several]
    return (item.default_value,)


def _variables(command: Command) -> Iterator[Finding]:
    for name in sorted(RESERVED_VARIABLES & command.environment_variables.keys()):
        yield Finding(("environment-variables", name), "is set by XNAT itself", "rename it")


def _wrappers(command: Command) -> Iterator[Finding]:
    for index, wrapper in enumerate(command.xnat):
        location: Location = ("xnat", index)
        if not wrapper.external_inputs:
            yield Finding((*location, "external-inputs"), "is empty", "a run starts from one external input")
        if not wrapper.contexts:
            yield Finding(
                (*location, "contexts"), "is empty", "name the types it starts from, such as xnat:mrSessionData"
            )
        for kind, items in (("external-inputs", wrapper.external_inputs), ("derived-inputs", wrapper.derived_inputs)):
            for number, item in enumerate(items):
                yield from _wrapper_input(item, command, (*location, kind, number))
        yield from _derivations(wrapper, location)
        yield from _handlers(wrapper, command, location)


def _wrapper_input(item: WrapperInput, command: Command, location: Location) -> Iterator[Finding]:
    targets = {target.name: target for target in command.inputs}
    target = item.provides_value_for_command_input
    if target is not None and target not in targets:
        yield Finding(
            (*location, "provides-value-for-command-input"),
            f"there is no input '{target}'",
            did_you_mean(target, targets),
        )
    elif target is not None and targets[target].type.startswith("select"):
        yield Finding(
            (*location, "provides-value-for-command-input"), f"the input '{target}' is a select",
            "an input that XNAT fills is a string",
        )  # fmt: skip
    mount = item.provides_files_for_command_mount
    if mount is None:
        return
    place: Location = (*location, "provides-files-for-command-mount")
    names = [m.name for m in command.mounts]
    if mount not in names:
        yield Finding(place, f"there is no mount '{mount}'", did_you_mean(mount, names))
    if item.type not in _MOUNTABLE:
        yield Finding(place, f"a {item.type} has no files", f"use one of {', '.join(sorted(_MOUNTABLE))}")


def _derivations(wrapper: Wrapper, location: Location) -> Iterator[Finding]:
    known: dict[str, WrapperInput] = {item.name: item for item in wrapper.external_inputs}
    for number, item in enumerate(wrapper.derived_inputs):
        place: Location = (*location, "derived-inputs", number)
        source = known.get(item.derived_from_wrapper_input)
        if source is None:
            yield Finding(
                (*place, "derived-from-wrapper-input"),
                f"there is no earlier input '{item.derived_from_wrapper_input}'",
                did_you_mean(item.derived_from_wrapper_input, known),
            )
        else:
            yield from _property(item, source, place)
        if item.multiple and item.provides_files_for_command_mount:
            yield Finding((*place, "multiple"), "several objects can't fill one mount", "mount the object around them")
        if item.multiple and not item.provides_value_for_command_input:
            yield Finding((*place, "multiple"), "several values must go to a command input", "say which one")
        known[item.name] = item


def _property(item: DerivedInput, source: WrapperInput, place: Location) -> Iterator[Finding]:
    wanted = item.derived_from_xnat_object_property
    allowed = _PROPERTIES.get(source.type)
    if wanted is not None and allowed is not None and wanted not in allowed:
        yield Finding(
            (*place, "derived-from-xnat-object-property"),
            f"a {source.type} has no '{wanted}'",
            did_you_mean(wanted, allowed),
        )


def _handlers(wrapper: Wrapper, command: Command, location: Location) -> Iterator[Finding]:
    outputs = [output.name for output in command.outputs]
    inputs = {item.name: item for item in wrapper.inputs}
    earlier: dict[str, OutputHandler] = {}
    for number, handler in enumerate(wrapper.output_handlers):
        place: Location = (*location, "output-handlers", number)
        accepted = handler.accepts_command_output
        if accepted not in outputs:
            yield Finding(
                (*place, "accepts-command-output"), f"there is no output '{accepted}'", did_you_mean(accepted, outputs)
            )
        if handler.type == "Resource" and not handler.label:
            yield Finding(place, "a Resource needs a label", "add 'label'")
        yield from _parent(handler.as_a_child_of, inputs, earlier, place)
        earlier[handler.name] = handler
    for name in sorted(set(outputs) - {handler.accepts_command_output for handler in wrapper.output_handlers}):
        yield Finding((*location, "output-handlers"), f"nothing takes the output '{name}'", "add a handler for it")


def _parent(
    parent: str, inputs: dict[str, WrapperInput], earlier: dict[str, OutputHandler], place: Location
) -> Iterator[Finding]:
    location: Location = (*place, "as-a-child-of")
    if parent in earlier:
        if earlier[parent].type == "Resource":
            yield Finding(location, f"'{parent}' is a Resource and has no children", "name an Assessor or a Scan")
    elif parent not in inputs:
        yield Finding(
            location, f"there is no input or earlier handler '{parent}'", did_you_mean(parent, {*inputs, *earlier})
        )
    else:
        source = inputs[parent]
        if isinstance(source, DerivedInput):
            if source.multiple:
                yield Finding(location, f"'{parent}' may be several objects", "name a single one")
            if source.derived_from_xnat_object_property not in {None, "uri"}:
                yield Finding(
                    location, f"'{parent}' is a {source.derived_from_xnat_object_property}", "it must be a uri"
                )


def _keys(command: Command) -> Iterator[Finding]:
    """Find `#name#` that no input replaces: it would reach the container as it stands."""
    known = {item.key for item in command.inputs}
    known |= {item.key for wrapper in command.xnat for item in wrapper.inputs}
    places: Iterable[tuple[Location, str]] = [
        (("command-line",), command.command_line or ""),
        *((("environment-variables", name), value) for name, value in command.environment_variables.items()),
    ]
    for location, text in places:
        for key in _KEY.findall(text):
            if key not in known:
                yield Finding(location, f"no input replaces {key}", did_you_mean(key, known))
