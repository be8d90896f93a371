"""Rules about the parts of a command: image, mounts, inputs, outputs, variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from overread.commands.findings import Found, rule
from overread.commands.model import Command, CommandInput
from overread.study.problems import Location, did_you_mean

RESERVED_VARIABLES = frozenset({"XNAT_HOST", "XNAT_USER", "XNAT_PASS", "XNAT_WORKFLOW_ID", "XNAT_EVENT_ID"})
# CommandResolutionService.ILLEGAL_INPUT_STRINGS
ILLEGAL_VALUES = (";", "&&", "||", "`", "(")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_WORDS = re.compile(r"pass(word|wd|phrase)?|secret|token|api[_-]?key", re.IGNORECASE)


@rule(
    "special-keys", "error", "A setup or wrap-up command sees /input and /output and nothing else; XNAT refuses it.",
    special=True,
)  # fmt: skip
def special_keys(command: Command) -> Iterator[Found]:
    """Hold a setup or wrap-up command to what it is."""
    if command.type == "docker":
        return
    for name in ("mounts", "inputs", "outputs", "xnat", "environment_variables", "ports", "secrets"):
        if getattr(command, name):
            key = name.replace("_", "-")
            mend = "remove it; such a command sees /input and /output"
            yield (key,), f"a {command.type} command has no {key}", mend


@rule(
    "version-missing", "error", "XNAT tells commands apart by name and version: an update without it can't be told "
    "from another command, and a result does not say what made it.", special=True,
)  # fmt: skip
def version_missing(command: Command) -> Iterator[Found]:
    """Want a version."""
    if not command.version:
        yield ("version",), "is missing", 'add one, such as "1.0.0"'


@rule("image-tag", "error", "The Container Service takes no image without a tag.", special=True)
def image_tag(command: Command) -> Iterator[Found]:
    """Want a tag or a digest."""
    if ":" not in command.image.rpartition("/")[2]:
        yield ("image",), f"{command.image!r} has no tag", "write name:tag"


@rule(
    "image-latest", "warning", "What runs then changes under the same name, and no result can be traced to the image "
    "that made it.", special=True,
)  # fmt: skip
def image_latest(command: Command) -> Iterator[Found]:
    """Want a tag that stays."""
    if command.image.endswith(":latest"):
        yield ("image",), "the tag 'latest' names another image tomorrow", "write the version, or name@sha256:..."


@rule("description-missing", "warning", "Users choose a command by what is said of it.", special=True)
def description_missing(command: Command) -> Iterator[Found]:
    """Want a description of the command and of each wrapper."""
    if not command.description:
        yield ("description",), "is missing", "say in a sentence what the command does"


@rule("name-twice", "error", "References go by name; the Container Service refuses the command.")
def name_twice(command: Command) -> Iterator[Found]:
    """Find names that stand twice in one list."""
    groups: list[tuple[Location, Sequence[str]]] = [
        (("mounts",), [item.name for item in command.mounts]),
        (("inputs",), [item.name for item in command.inputs]),
        (("outputs",), [item.name for item in command.outputs]),
        (("xnat",), [item.name for item in command.xnat]),
    ]
    for index, wrapper in enumerate(command.xnat):
        external = [item.name for item in wrapper.external_inputs]
        groups.append((("xnat", index, "external-inputs"), external))
        # derived inputs share their names with the external ones
        derived = [item.name for item in wrapper.derived_inputs]
        again = [name for name in derived if name in external or derived.count(name) > 1]
        groups.append((("xnat", index, "derived-inputs"), [*again, *again]))
        groups.append((("xnat", index, "output-handlers"), [item.name for item in wrapper.output_handlers]))
    for location, names in groups:
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield location, f"the name '{name}' stands twice", "rename one"


@rule("mount-path", "error", "The engine mounts at absolute paths only, and one folder at each.")
def mount_path(command: Command) -> Iterator[Found]:
    """Want different mount points below the root."""
    paths = [PurePosixPath(mount.path) for mount in command.mounts]
    for index, path in enumerate(paths):
        location: Location = ("mounts", index, "path")
        if path == PurePosixPath("/"):
            yield location, "is the root of the container", "mount below it, such as at /input"
        if path in paths[:index] and "#" not in str(path):
            yield location, f"two mounts are at {path}", "give each its own folder"


@rule(
    "mount-nested", "warning", "The inner folder must be there already in the outer one, which an archive's hardly is."
)
def mount_nested(command: Command) -> Iterator[Found]:
    """Want mount points beside each other."""
    paths = [PurePosixPath(mount.path) for mount in command.mounts]
    for index, path in enumerate(paths):
        for other in paths:
            if other in path.parents and "#" not in str(path) and other != PurePosixPath("/"):
                yield ("mounts", index, "path"), f"{path} lies in the mount {other}", "put them beside each other"


@rule("mount-unused", "warning", "The image finds an empty folder there, or nobody reads what it writes.")
def mount_unused(command: Command) -> Iterator[Found]:
    """Find mounts that no input fills and no output reads."""
    filled = {item.provides_files_for_command_mount for wrapper in command.xnat for item in wrapper.inputs}
    read = {output.mount for output in command.outputs}
    for index, mount in enumerate(command.mounts):
        if command.xnat and mount.name not in filled | read:
            yield ("mounts", index), f"no input fills '{mount.name}' and no output reads it", "use it, or remove it"


@rule("output-unmounted", "error", "What is written outside of the mounts is gone with the container.")
def output_unmounted(command: Command) -> Iterator[Found]:
    """Want a mount for each output."""
    mounts = [mount.name for mount in command.mounts]
    for index, output in enumerate(command.outputs):
        if output.mount not in mounts:
            yield ("outputs", index, "mount"), f"there is no mount '{output.mount}'", did_you_mean(output.mount, mounts)


@rule("output-read-only", "error", "The image can't write there.")
def output_read_only(command: Command) -> Iterator[Found]:
    """Want a mount that can be written for each output."""
    filled = {item.provides_files_for_command_mount for wrapper in command.xnat for item in wrapper.inputs}
    writable = {mount.name: mount.writable for mount in command.mounts}
    for index, output in enumerate(command.outputs):
        # a mount that no input fills can be written whatever the command says
        if writable.get(output.mount) is False and output.mount in filled:
            mend = "set its writable to true (XNAT then copies the input), or write to a mount of its own"
            yield ("outputs", index, "mount"), f"the mount '{output.mount}' is read-only", mend


@rule("output-everything", "warning", "All that lies in the mount is stored, leftovers included.")
def output_everything(command: Command) -> Iterator[Found]:
    """Want a path for each output."""
    for index, output in enumerate(command.outputs):
        if not output.path:
            yield ("outputs", index), "has no path", "say which file or folder of the mount it is"


@rule(
    "output-glob", "warning", "Container Service 3.7.3 reads glob and does not use it: every file that lies directly "
    "in path is stored.",
)  # fmt: skip
def output_glob(command: Command) -> Iterator[Found]:
    """Find globs, on which nobody can rely."""
    for index, output in enumerate(command.outputs):
        if output.glob:
            yield (
                ("outputs", index, "glob"),
                "is not looked at",
                "let the image write these files to a folder of their own",
            )


@rule("output-path", "error", "Outputs are read from their mount only.")
def output_path(command: Command) -> Iterator[Found]:
    """Find paths that lead out of the mount."""
    for index, output in enumerate(command.outputs):
        path = PurePosixPath(output.path or "")
        if path.is_absolute() or ".." in path.parts:
            yield (
                ("outputs", index, "path"),
                f"{output.path!r} leads out of the mount",
                "write it relative to the mount",
            )


@rule("select-values", "error", "The Container Service refuses the command.")
def select_values(command: Command) -> Iterator[Found]:
    """Want values for selects, and for no others."""
    for index, item in enumerate(command.inputs):
        location: Location = ("inputs", index)
        is_select = item.type.startswith("select")
        if is_select and not item.select_values:
            yield location, f"a {item.type} needs select-values", "list them"
        if not is_select and item.select_values:
            yield (*location, "select-values"), f"a {item.type} has no select-values", "make it select-one"


@rule("default-not-selectable", "error", "The Container Service refuses the command.")
def default_not_selectable(command: Command) -> Iterator[Found]:
    """Want defaults that can be chosen."""
    for index, item in enumerate(command.inputs):
        for value in _defaults(item):
            if item.select_values and value not in item.select_values:
                mend = did_you_mean(value, item.select_values)
                yield ("inputs", index, "default-value"), f"'{value}' is not among the select-values", mend


@rule("default-not-of-type", "warning", "The image gets a value that it can't read.")
def default_not_of_type(command: Command) -> Iterator[Found]:
    """Want numbers for numbers and true or false for booleans."""
    for index, item in enumerate(command.inputs):
        value, location = item.default_value, ("inputs", index, "default-value")
        if not value:
            continue
        if item.type == "number" and not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value):
            yield location, f"'{value}' is no number", "write a number, or make the input a string"
        if item.type == "boolean" and value.lower() not in {"true", "false"}:
            yield (
                location,
                f"'{value}' is neither true nor false",
                "write true or false; see true-value and false-value",
            )


@rule(
    "default-forbidden", "error", "Each launch that uses it is refused: 'Input has a value containing illegal string'."
)
def default_forbidden(command: Command) -> Iterator[Found]:
    """Find defaults with signs of a shell, which no launch may have as values."""
    places: list[tuple[Location, str]] = [
        (("inputs", index, "default-value"), item.default_value or "") for index, item in enumerate(command.inputs)
    ]
    for number, wrapper in enumerate(command.xnat):
        for kind, items in (("external-inputs", wrapper.external_inputs), ("derived-inputs", wrapper.derived_inputs)):
            places += [(("xnat", number, kind, i, "default-value"), x.default_value or "") for i, x in enumerate(items)]
    for location, value in places:
        for sign in ILLEGAL_VALUES:
            if sign in value:
                yield location, f"holds {sign!r}, which XNAT takes in no value", "encode it, such as in base64"
                break


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


@rule("variable-reserved", "error", "XNAT sets these itself: a container reports to XNAT by them.")
def variable_reserved(command: Command) -> Iterator[Found]:
    """Find variables that XNAT sets."""
    for name in sorted(RESERVED_VARIABLES & command.environment_variables.keys()):
        yield ("environment-variables", name), "is set by XNAT itself", "rename it"


@rule("variable-name", "warning", "Shells can't read such a variable, and Kubernetes refuses some.")
def variable_name(command: Command) -> Iterator[Found]:
    """Want names that a shell can read."""
    for name in command.environment_variables:
        if "#" not in name and not _VARIABLE.fullmatch(name):
            yield ("environment-variables", name), "is no name that a shell can read", "use letters, digits and _"


@rule("secret-in-command", "error", "Everybody who may see the command reads it, and so does the container's record.")
def secret_in_command(command: Command) -> Iterator[Found]:
    """Find passwords that stand in the command."""
    mend = "take it from secrets, or from a sensitive input"
    for name, value in command.environment_variables.items():
        if _SECRET_WORDS.search(name) and value and "#" not in value:
            yield ("environment-variables", name), "looks like a secret that stands in the command", mend
    for index, item in enumerate(command.inputs):
        if _SECRET_WORDS.search(item.name) and item.default_value:
            yield ("inputs", index, "default-value"), "looks like a secret that stands in the command", mend


@rule("secret-open", "warning", "Its value shows in the launch form and in the container's record.")
def secret_open(command: Command) -> Iterator[Found]:
    """Find inputs for secrets that are not masked."""
    for index, item in enumerate(command.inputs):
        if _SECRET_WORDS.search(item.name) and not item.sensitive:
            yield ("inputs", index), f"'{item.name}' looks like a secret and is not masked", 'set "sensitive" to true'


@rule("secret-shape", "error", "The Container Service can't read the command.")
def secret_shape(command: Command) -> Iterator[Found]:
    """Want source and destination of each secret, and no variable that is there already."""
    for index, secret in enumerate(command.secrets):
        location: Location = ("secrets", index)
        for key, types in (("source", {"system-property"}), ("destination", {"environment-variable"})):
            part = secret.get(key)
            if not isinstance(part, dict) or part.get("type") not in types or not part.get("identifier"):
                yield (
                    (*location, key),
                    f"is no {key} of a secret",
                    f'write {{"type": "{types.pop()}", "identifier": ...}}',
                )
        target = secret.get("destination")
        name = target.get("identifier") if isinstance(target, dict) else None
        if isinstance(name, str) and name in RESERVED_VARIABLES | command.environment_variables.keys():
            yield (*location, "destination"), f"{name} is set otherwise already", "choose another name"
