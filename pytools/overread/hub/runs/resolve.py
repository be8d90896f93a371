"""One launch, resolved: the command with all values put in, ready for a runner.

The result is kept as JSON on the container, in the words of the Container Service's own container document.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from overread.errors import PermanentRunnerError
from overread.hub.access import Caller
from overread.hub.runs.documents import SETUP, WRAPUP, Document, Wrapper
from overread.hub.runs.inputs import InputResolver, Node, Value, missing, walk
from overread.hub.runs.jsonpath import Carets
from overread.hub.runs.special import input_of, output_of, special
from overread.hub.runs.template import command_line_value, command_line_values, fill

if TYPE_CHECKING:
    from overread.hub.core import Hub

_AS_THEY_ARE = (
    "hash", "reserve-memory", "limit-memory", "limit-cpu", "gpus", "runtime", "generic-resources", "shm-size",
)  # fmt: skip


@dataclass(frozen=True)
class Filled:
    """Values by replacement key: as they are, and as the command line has them; and what stands in carets."""

    plain: Mapping[str, str]
    line: Mapping[str, str]
    carets: Carets

    def text(self, template: str | None) -> str:
        """Return `template` with all values put in."""
        return fill(self.carets.resolve(template or ""), self.plain)

    def command_line(self, template: str | None) -> str:
        """Return `template` with all values put in as a command line has them."""
        return fill(self.carets.resolve(template or ""), self.line)


def resolve_run(
    db: Session, hub: Hub, wrapper: Wrapper, values: Mapping[str, str], *, caller: Caller, folder: Path
) -> Document:
    """Resolve a launch.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    wrapper
        What is launched, with its defaults.
    values
        What the launch gave, by input name.
    caller
        In whose name.
    folder
        Folder of the run; a mount that is written to gets a folder below it.

    Returns
    -------
    dict
        Keys ``docker-image``, ``command-line``, ``mounts``, ``env``, ``inputs``, ``outputs`` and so on.

    Raises
    ------
    PermanentRunnerError
        A required input has no value or several, or an object can't be used.
    """
    nodes = InputResolver(db, hub, wrapper, values, caller).resolve()
    _check_required(nodes)
    command = wrapper.command
    filled = fill_in(nodes, Carets(command, wrapper.document))
    mounts = [_mount(place, mount, nodes, filled, folder) for place, mount in enumerate(command["mounts"], start=1)]
    resolved: Document = {
        "docker-image": command["image"],
        "command-line": filled.command_line(command["command-line"]),
        "override-entrypoint": bool(command["override-entrypoint"]),
        "working-directory": filled.text(command["working-directory"]) or None,
        "container-name": filled.text(command["container-name"]) or None,
        "subtype": command["type"],
        "env": {filled.text(name): filled.text(value) for name, value in command["environment-variables"].items()},
        "mounts": mounts,
        "inputs": _input_rows(nodes, values),
        "outputs": _outputs(wrapper, nodes, filled),
        **{key: command.get(key) for key in _AS_THEY_ARE},
    }
    resolved["container-labels"] = {
        filled.text(name): filled.text(str(value)) for name, value in command["container-labels"].items()
    }
    resolved["setup-commands"] = _setups(db, resolved, nodes, filled)
    resolved["wrapup-commands"] = _wrapups(db, resolved, filled)
    return resolved


def _setups(db: Session, resolved: Document, nodes: Sequence[Node], filled: Filled) -> list[Document]:
    """Return the setup commands, resolved: each fills a mount from the folder that would else have been mounted."""
    found = []
    for mount in resolved["mounts"]:
        node = _provider(str(mount["name"]), nodes)
        reference = node.given.get("via-setup-command") if node is not None else None
        if node is not None and reference:
            one = special(db, SETUP, str(reference), resolved, command_line=filled.command_line)
            one["parent-source-object-name"] = mount["name"]
            one["mounts"] = [input_of(_directory(node)), output_of(Path(mount["xnat-host-path"]))]
            found.append(one)
    return found


def _wrapups(db: Session, resolved: Document, filled: Filled) -> list[Document]:
    """Return the wrap-up commands, resolved but for their output folders: each turns an output into what is stored."""
    folders = {mount["name"]: Path(mount["xnat-host-path"]) for mount in resolved["mounts"]}
    found = []
    for row in resolved["outputs"]:
        if row["via-wrapup-command"]:
            one = special(db, WRAPUP, row["via-wrapup-command"], resolved, command_line=filled.command_line)
            one["parent-source-object-name"] = row["name"]
            one["mounts"] = [input_of(folders[row["mount"]])]
            found.append(one)
    return found


def fill_in(nodes: Sequence[Node], carets: Carets) -> Filled:
    """Return what each replacement key stands for. An input without value stands for nothing."""
    plain: dict[str, str] = {}
    line: dict[str, str] = {}
    for node in walk(nodes):
        if node.only is not None or not node.given.get("multiple"):
            text = node.only.text if node.only is not None else ""
            plain[node.key] = text
            if node.kind == "command":
                line[node.key] = command_line_value(node.given, text)
            continue
        plain[node.key] = _listed([value.text for value in node.values])
        for given, texts in _fed(node.values):
            plain[given["replacement-key"]] = _listed(texts)
            line[given["replacement-key"]] = command_line_values(given, texts)
    return Filled(plain, line, carets)


def _fed(values: Sequence[Value]) -> list[tuple[Document, list[str]]]:
    """Return the command inputs below an input with several values, each with all its values."""
    found: dict[str, tuple[Document, list[str]]] = {}
    for value in values:
        for child in value.children:
            if child.kind == "command" and child.only is not None:
                found.setdefault(child.name, (child.given, []))[1].append(child.only.text)
    return list(found.values())


def _listed(texts: Sequence[str]) -> str:
    return f"[{', '.join(texts)}]"


def _check_required(nodes: Sequence[Node]) -> None:
    absent = missing(nodes)
    if absent:
        raise PermanentRunnerError(
            f"Required input without value: {', '.join(absent)}. Check the matchers of the command and whether the "
            "object has such data."
        )
    for node in walk(nodes):
        if len(node.values) > 1 and node.given["required"] and not node.given.get("multiple"):
            labels = ", ".join(value.label for value in node.values)
            raise PermanentRunnerError(f"Input {node.name} fits several objects ({labels}); one is needed.")


def _mount(place: int, mount: Document, nodes: Sequence[Node], filled: Filled, folder: Path) -> Document:
    own = folder / "mounts" / str(mount["name"])
    node = _provider(str(mount["name"]), nodes)
    source = _directory(node) if node is not None else None
    setup = node.given.get("via-setup-command") if node is not None else None
    if source is None or setup:
        own.mkdir(parents=True, exist_ok=True)
    elif mount["writable"]:
        shutil.copytree(source, own, dirs_exist_ok=True)
    host = own if source is None or setup or mount["writable"] else source
    return {
        "id": place,
        "name": mount["name"],
        # A mount that no input fills is where output goes, whatever the document says.
        "writable": bool(mount["writable"]) or source is None,
        "xnat-host-path": str(host),
        "container-host-path": str(host),
        "container-path": filled.text(mount["path"]),
        "input-files": [],
    }


def _provider(mount: str, nodes: Sequence[Node]) -> Node | None:
    """Return the input that provides the files of a mount; None when none with a value does."""
    for node in walk(nodes):
        if node.given.get("provides-files-for-command-mount") == mount and node.values:
            return node
    return None


def _directory(node: Node) -> Path:
    """Return the folder of the object that an input stands for."""
    mount, value = node.given["provides-files-for-command-mount"], node.only
    if value is None or value.seen is None or not value.seen.get("directory"):
        raise PermanentRunnerError(f"Mount {mount}: input {node.name} is not one object with a folder.")
    directory = Path(str(value.seen["directory"]))
    if not directory.is_dir():
        raise PermanentRunnerError(f"Mount {mount}: {node.name} ({value.label}) has no files.")
    return directory


def _input_rows(nodes: Sequence[Node], values: Mapping[str, str]) -> list[Document]:
    rows: list[Document] = [{"type": "raw", "name": name, "value": value} for name, value in values.items()]
    for node in walk(nodes):
        if node.values:
            texts = [value.text for value in node.values]
            rows.append(
                {"type": node.kind, "name": node.name, "value": texts[0] if len(texts) == 1 else _listed(texts)}
            )
    hidden = {node.name for node in walk(nodes) if node.given.get("sensitive")}
    return [row | {"id": place, "sensitive": row["name"] in hidden} for place, row in enumerate(rows, start=1)]


def _outputs(wrapper: Wrapper, nodes: Sequence[Node], filled: Filled) -> list[Document]:
    """Return one row per output handler, in their order."""
    outputs = {output["name"]: output for output in wrapper.command["outputs"]}
    parents = {node.name: _uri(node.only) for node in walk(nodes) if node.only is not None}
    rows = []
    for place, handler in enumerate(wrapper.document["output-handlers"], start=1):
        output = outputs[handler["accepts-command-output"]]
        rows.append(
            {
                "id": place,
                "name": f"{output['name']}:{handler['name']}",
                "from-command-output": output["name"],
                "from-output-handler": handler["name"],
                "type": handler["type"],
                "required": bool(output["required"]),
                "mount": output["mount"],
                "path": filled.text(output.get("path")) or None,
                "glob": filled.text(output.get("glob")) or None,
                "xsi-type": handler.get("xsi-type"),
                "label": filled.text(handler.get("label")) or None,
                "format": filled.text(handler.get("format")) or None,
                "description": filled.text(handler.get("description")) or None,
                "content": filled.text(handler.get("content")) or None,
                "tags": [filled.text(tag) for tag in handler.get("tags") or []],
                "handled-by": handler["as-a-child-of"],
                "parent-uri": parents.get(handler["as-a-child-of"]),
                "via-wrapup-command": handler.get("via-wrapup-command"),
                "created": None,
            }
        )
    return rows


def _uri(value: Value | None) -> str | None:
    seen: Mapping[str, Any] = (value.seen if value is not None else None) or {}
    return str(seen["uri"]) if "uri" in seen else None
