"""Rules about how a command is run: command line, shell, limits, GPUs, Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from overread.commands.findings import Found, rule
from overread.commands.model import Command
from overread.study.problems import Location, did_you_mean

MAX_COMMAND_LINE = 2048
_KEY = re.compile(r"#[A-Za-z0-9_-]+#")
_CARETS = re.compile(r"\^(?:wrapper:)?\$[^^]*\^")
_SHELL = re.compile(r"[|<>;`]|&&|\$\(|\$\{?[A-Za-z_]|(?<!\S)[*?]|\*\.")
_WITHOUT_SHELL = re.compile(r"distroless|(?:^|/)scratch:|chainguard|(?:^|/)static(?:-debian\d+)?:|-distroless:")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_NAME_PREFIX = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,55})")
_CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_GIB_MB = 1024


@rule("command-line-missing", "warning", "The image's own entry point runs, with no arguments.", special=True)
def command_line_missing(command: Command) -> Iterator[Found]:
    """Want a command line."""
    if not command.command_line:
        yield ("command-line",), "is missing", "write what is run; where the entry point is enough, this is fine"


@rule("command-line-length", "error", "XNAT's database keeps 2048 characters.", special=True)
def command_line_length(command: Command) -> Iterator[Found]:
    """Want a command line that fits."""
    length = len(command.command_line or "")
    if length > MAX_COMMAND_LINE:
        mend = "put the steps into a script of the image"
        yield ("command-line",), f"has {length} characters of at most {MAX_COMMAND_LINE}", mend


@rule("key-unknown", "error", "The container gets the key itself, such as #threshold#, as a value.")
def key_unknown(command: Command) -> Iterator[Found]:
    """Find `#name#` that no input replaces."""
    known = {item.key for item in command.inputs}
    known |= {item.key for wrapper in command.xnat for item in wrapper.inputs}
    for location, text in _templates(command):
        for key in dict.fromkeys(_KEY.findall(text)):
            if key not in known:
                yield location, f"no input replaces {key}", did_you_mean(key, known)


@rule(
    "key-not-on-command-line",
    "error",
    "On the command line only inputs of the command are replaced, not those of a wrapper.",
)
def key_not_on_command_line(command: Command) -> Iterator[Found]:
    """Find keys of wrappers' inputs on the command line."""
    own = {item.key for item in command.inputs}
    wrappers = {item.key for wrapper in command.xnat for item in wrapper.inputs}
    for key in dict.fromkeys(_KEY.findall(command.command_line or "")):
        if key in wrappers - own:
            mend = "let the wrapper's input provide the value for an input of the command, and use that one's key"
            yield ("command-line",), f"{key} is an input of a wrapper", mend


@rule("key-twice", "error", "Two inputs replace the same text: which one wins is left to chance.")
def key_twice(command: Command) -> Iterator[Found]:
    """Want a key of its own for each input of the command."""
    seen: dict[str, str] = {}
    for index, item in enumerate(command.inputs):
        if item.key in seen:
            yield (
                ("inputs", index, "replacement-key"),
                f"{item.key} is the key of '{seen[item.key]}' too",
                "take another",
            )
        seen.setdefault(item.key, item.name)


@rule("input-unused", "warning", "Users are asked for a value that changes nothing.")
def input_unused(command: Command) -> Iterator[Found]:
    """Find inputs whose key stands nowhere."""
    text = "\n".join(text for _, text in _templates(command))
    if _CARETS.search(text):
        return  # a value may be looked up by its path
    for index, item in enumerate(command.inputs):
        if item.key not in text:
            yield ("inputs", index), f"{item.key} stands nowhere in the command", "use it, or remove the input"


@rule("input-unprovided", "warning", "Started by an event there is nobody to ask, and the run fails.")
def input_unprovided(command: Command) -> Iterator[Found]:
    """Find required inputs that neither XNAT nor a default fills."""
    for index, wrapper in enumerate(command.xnat):
        provided = {item.provides_value_for_command_input for item in wrapper.inputs}
        for number, item in enumerate(command.inputs):
            if item.required and item.default_value is None and item.name not in provided:
                mend = "add a default-value, or let an input of the wrapper provide it"
                yield ("inputs", number), f"is required, and nothing of wrapper {index} fills it", mend


@rule(
    "shell-needed",
    "warning",
    "Without override-entrypoint the command line is split into arguments: no shell reads > | ; or $NAME.",
)
def shell_needed(command: Command) -> Iterator[Found]:
    """Find signs of a shell where none reads them."""
    found = _SHELL.search(_KEY.sub("", _CARETS.sub("", command.command_line or "")))
    if found and not command.override_entrypoint:
        yield ("command-line",), f"{found[0]!r} is for a shell", "set override-entrypoint to true, or call a script"


@rule(
    "shell-missing",
    "warning",
    "With override-entrypoint XNAT runs /bin/sh -c; in an image without a shell the run can't start.",
)
def shell_missing(command: Command) -> Iterator[Found]:
    """Find images that by their name have no shell."""
    if command.override_entrypoint and _WITHOUT_SHELL.search(command.image):
        yield ("image",), "seems to have no shell", "set override-entrypoint to false, or take a base with /bin/sh"


@rule("memory-order", "error", "No host can reserve more than it may use; the engine refuses the container.")
def memory_order(command: Command) -> Iterator[Found]:
    """Want a limit that is not below the reservation."""
    reserve, limit = command.reserve_memory, command.limit_memory
    if reserve is not None and limit is not None and reserve > limit:
        yield ("reserve-memory",), f"{reserve} MB is more than limit-memory ({limit} MB)", "raise the limit"


@rule("memory-missing", "warning", "One exam that goes wrong can take the host's memory, and XNAT's with it.")
def memory_missing(command: Command) -> Iterator[Found]:
    """Want a limit of memory."""
    if command.type == "docker" and command.limit_memory is None:
        yield ("limit-memory",), "is missing", "add it, in MB"


@rule(
    "memory-unit",
    "warning",
    "Memory is given in MB; another unit reserves a thousandth or a million times of what was meant.",
)
def memory_unit(command: Command) -> Iterator[Found]:
    """Find sizes that look like another unit."""
    for key, value in (("reserve-memory", command.reserve_memory), ("limit-memory", command.limit_memory)):
        if value is not None and (value < 4 or value >= 4 * _GIB_MB * _GIB_MB):  # noqa: PLR2004 - engines refuse less than 6 MB
            yield (key,), f"{value} MB is hardly meant", "write it in MB"
    if command.shm_size is not None and command.shm_size < _GIB_MB * _GIB_MB:
        yield ("shm-size",), f"{command.shm_size} bytes is hardly meant", "write it in bytes"


@rule("ulimit-form", "error", "The Container Service refuses the command.")
def ulimit_form(command: Command) -> Iterator[Found]:
    """Want ulimits as numbers."""
    for name, value in (command.ulimits or {}).items():
        if not re.fullmatch(r"-?\d+(?::-?\d+)?", value):
            yield ("ulimits", name), f"'{value}' is no limit", "write soft:hard, such as 1024:2048"


@rule(
    "gpu-by-gpus", "warning", "Container Service 3.7.3 keeps gpus and hands it to no engine; the run gets no GPU by it."
)
def gpu_by_gpus(command: Command) -> Iterator[Found]:
    """Find GPUs that are asked for by `gpus` alone."""
    if command.gpus and not command.generic_resources and command.runtime is None:
        mend = 'add "runtime": "nvidia" for Docker, and generic-resources for Swarm and Kubernetes'
        yield ("gpus",), "is the only word about GPUs", mend


@rule("gpu-on-kubernetes", "warning", "On Kubernetes GPUs are asked for by the generic resource 'gpu' alone.")
def gpu_on_kubernetes(command: Command) -> Iterator[Found]:
    """Want the key by which Kubernetes gets a GPU."""
    resources = command.generic_resources or {}
    if (command.gpus or command.runtime == "nvidia" or resources) and not resources.get("gpu", "").isdecimal():
        yield ("generic-resources",), "does not say how many of 'gpu'", 'add "gpu": "1" to generic-resources'


@rule(
    "kubernetes-mount-name", "warning", "Without volume claims a mount's name is a volume's there: the job is refused."
)
def kubernetes_mount_name(command: Command) -> Iterator[Found]:
    """Want names of mounts that Kubernetes takes."""
    for index, mount in enumerate(command.mounts):
        if not _LABEL.fullmatch(mount.name):
            mend = "use up to 63 lower-case letters, digits and -"
            yield ("mounts", index, "name"), f"'{mount.name}' is no name for Kubernetes", mend
        elif mount.name == "shm" and command.shm_size:
            yield ("mounts", index, "name"), "'shm' is the name that shm-size takes", "choose another"


@rule("kubernetes-label", "warning", "Kubernetes refuses the job.")
def kubernetes_label(command: Command) -> Iterator[Found]:
    """Want keys of labels that Kubernetes takes."""
    for key in command.container_labels or {}:
        if "#" not in key and not _LABEL_KEY.fullmatch(key):
            yield ("container-labels", key), "is no key for Kubernetes", "use letters, digits, - _ . and one /"


@rule("kubernetes-port", "warning", "Kubernetes takes numbers only, and a run can't start.")
def kubernetes_port(command: Command) -> Iterator[Found]:
    """Want numbers for ports."""
    for inside, outside in command.ports.items():
        if "#" not in inside + outside and not (inside.isdecimal() and outside.isdecimal()):
            yield ("ports", inside), f"{inside}:{outside} are no ports", "write numbers"


@rule("container-name", "error", "Engines refuse such a name, or a second container of the same name.")
def container_name(command: Command) -> Iterator[Found]:
    """Want names that engines take, another one for each run."""
    name = command.container_name
    if not name:
        return
    if not _CONTAINER_NAME.fullmatch(_KEY.sub("x", name)):
        yield ("container-name",), f"'{name}' is no name of a container", "use letters, digits, - _ and ."
    elif "#" not in name and "^" not in name:
        yield ("container-name",), "is the same for each run", "put a key into it, such as #session-id#, or remove it"


@rule("kubernetes-container-name", "warning", "It becomes the job's name on Kubernetes, which is lower-case.")
def kubernetes_container_name(command: Command) -> Iterator[Found]:
    """Want names that Kubernetes takes."""
    name = _KEY.sub("x", command.container_name or "")
    if name and _CONTAINER_NAME.fullmatch(name) and not _NAME_PREFIX.fullmatch(name):
        yield (
            ("container-name",),
            f"'{command.container_name}' is no name for Kubernetes",
            "use lower-case letters, digits and -",
        )


@rule("auto-remove", "warning", "The engine removes the container before XNAT has read its log and exit code.")
def auto_remove(command: Command) -> Iterator[Found]:
    """Find containers that are gone before they are read."""
    if command.auto_remove:
        yield ("auto-remove",), "is true", "leave it to the server's auto-cleanup"


@rule("network-host", "warning", "The container reaches, and is reached by, all that the host does.")
def network_host(command: Command) -> Iterator[Found]:
    """Find containers on the host's network."""
    if command.network == "host" or command.ipc_mode == "host":
        key = "network" if command.network == "host" else "ipc-mode"
        yield (key,), "is the host's", "use none, or a network of its own"


def _templates(command: Command) -> Iterator[tuple[Location, str]]:
    """Yield each text of the command in which keys are replaced, with its place."""
    yield ("command-line",), command.command_line or ""
    yield ("working-directory",), command.working_directory or ""
    yield ("container-name",), command.container_name or ""
    for name, value in command.environment_variables.items():
        yield ("environment-variables", name), f"{name} {value}"
    for name, value in (command.container_labels or {}).items():
        yield ("container-labels", name), f"{name} {value}"
    for inside, outside in command.ports.items():
        yield ("ports", inside), f"{inside} {outside}"
    for index, mount in enumerate(command.mounts):
        yield ("mounts", index, "path"), mount.path
    for index, output in enumerate(command.outputs):
        yield ("outputs", index, "path"), output.path or ""
    for index, wrapper in enumerate(command.xnat):
        for number, item in enumerate(wrapper.derived_inputs):
            yield ("xnat", index, "derived-inputs", number, "matcher"), item.matcher or ""
        for number, handler in enumerate(wrapper.output_handlers):
            place: Location = ("xnat", index, "output-handlers", number)
            for key, text in (("label", handler.label), ("format", handler.format), ("content", handler.content)):
                yield (*place, key), text or ""
