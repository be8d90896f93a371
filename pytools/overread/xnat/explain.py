"""What a command would do with the objects of a project, asked of the server and without launching anything.

Whether an object matches is the server's own answer: it resolves the inputs for its launch form. What follows from the
values (mounts, command line, variables, what each handler makes) is put together here by the rules of the Container
Service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from overread.commands.model import Command, CommandInput, Wrapper
from overread.errors import ArchiveError, Denied, NotFound, Unavailable
from overread.xnat.connection import Archive
from overread.xnat.plan_commands import same_command

_MASK = "******"
_CARETS = re.compile(r"\^(?:wrapper:)?\$[^^]*\^")
# Datatypes that stand for all of a kind in a wrapper's contexts.
_ANY = {"Session": "xnat:imageSessionData", "Scan": "xnat:imageScanData", "Assessor": "xnat:imageAssessorData"}


@dataclass(frozen=True)
class Candidate:
    """An object from which a wrapper could start.

    Parameters
    ----------
    label
        As a person knows it: label of the session, and the scan or assessor in it.
    uri
        As a launch names it.
    xsi_type
        Its datatype.
    """

    label: str
    uri: str
    xsi_type: str


@dataclass(frozen=True)
class Explained:
    """What would become of one object.

    Parameters
    ----------
    candidate
        Which.
    reason
        Why it does not match; empty if it does.
    mounts, variables, handlers
        One line each.
    command_line
        With all values put in.
    """

    candidate: Candidate
    reason: str = ""
    mounts: tuple[str, ...] = ()
    command_line: str = ""
    variables: tuple[str, ...] = ()
    handlers: tuple[str, ...] = ()


@dataclass(frozen=True)
class WrapperExplained:
    """What would become of a wrapper's objects, and what stands in its way as a whole."""

    name: str
    notes: tuple[str, ...]
    objects: tuple[Explained, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked.

    Parameters
    ----------
    project
        Project.
    session
        Label or ID of the only session to look at; all otherwise.
    wrapper
        Name of the only wrapper to look at; all otherwise.
    values
        What a user would enter in the launch form.
    limit
        At most so many objects of a wrapper are asked about.
    """

    project: str
    session: str = ""
    wrapper: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    limit: int = 20


def explain(archive: Archive, command: Command, question: Question) -> tuple[WrapperExplained, ...]:
    """Explain a command, which must be on the server, on a project.

    Raises
    ------
    NotFound
        The server has no such project, command, session or wrapper.
    """
    project = question.project
    if archive.get(f"/data/projects/{quote(project)}", {"format": "json"}) is None:
        raise NotFound(f"there is no project {project}, or you may not see it; check its ID")
    stored = _stored(archive, command)
    wrappers = [w for w in command.xnat if question.wrapper in {"", w.name}]
    if not wrappers:
        names = ", ".join(w.name for w in command.xnat) or "none"
        raise NotFound(f"{command.name} has no wrapper '{question.wrapper}'; it has {names}")
    notes: tuple[str, ...] = (
        () if same_command(stored, command) else ("the server has other words of this version; apply it first",)
    )
    ids = {str(w.get("name")): int(w["id"]) for w in stored.get("xnat") or () if w.get("id")}
    images = _images(archive)
    if images is not None and command.image not in images:
        notes += (f"the server's engine does not have the image {command.image} yet",)
    found = []
    for wrapper in wrappers:
        if wrapper.name in ids:
            found.append(_wrapper(archive, command, wrapper, ids[wrapper.name], question))
        else:
            found.append(WrapperExplained(wrapper.name, ("the server's command has no such wrapper",)))
    return tuple(WrapperExplained(one.name, (*notes, *one.notes), one.objects) for one in found)


def _stored(archive: Archive, command: Command) -> Mapping[str, Any]:
    answer = archive.get("/xapi/commands", {"name": command.name})
    rows = answer.value() if answer else []
    for row in rows if isinstance(rows, list) else []:
        if row.get("name") == command.name and (row.get("version") or "") == command.version:
            return dict(row)
    raise NotFound(
        f"the server has no command {command.name} {command.version}; add it with `overread study apply`, or in XNAT "
        "under Administer > Plugin Settings > Images & Commands"
    )


def _images(archive: Archive) -> frozenset[str] | None:
    try:
        answer = archive.get("/xapi/docker/images")
    except (ArchiveError, Unavailable):
        return None  # not everybody may ask, and a server without an engine can't tell
    rows = answer.value() if answer else None
    if not isinstance(rows, list):
        return None
    return frozenset(str(tag) for row in rows if isinstance(row, Mapping) for tag in row.get("tags") or ())


def _wrapper(archive: Archive, command: Command, wrapper: Wrapper, number: int, question: Question) -> WrapperExplained:
    project, values = question.project, question.values
    notes = tuple(_switches(archive, number, project))
    root = next((item for item in wrapper.external_inputs if item.type in {*_ANY, "Project", "Subject"}), None)
    if root is None:
        return WrapperExplained(wrapper.name, (*notes, "it starts from no object of a project"))
    candidates = list(_candidates(archive, root.type, project, question.session))
    if question.session and not candidates:
        raise NotFound(f"project {project} has no session {question.session}; check label or ID")
    if len(candidates) > question.limit:
        notes += (f"{len(candidates) - question.limit} more {root.type} objects were not asked about (--limit)",)
    found = []
    for candidate in candidates[: question.limit]:
        wrong = _wrong_type(wrapper, root.type, candidate)
        if wrong:
            found.append(Explained(candidate, wrong))
            continue
        path = f"/xapi/projects/{quote(project)}/wrappers/{number}/launch"
        try:
            answer = archive.get(path, {**values, root.name: candidate.uri})
        except (Denied, Unavailable):
            raise
        except ArchiveError as error:
            found.append(Explained(candidate, _plain(str(error))))
            continue
        document = answer.value() if answer else None
        if not isinstance(document, dict):
            found.append(Explained(candidate, "the server finds no such object"))
            continue
        found.append(_resolved(command, wrapper, candidate, document.get("input-values") or [], values))
    return WrapperExplained(wrapper.name, notes, tuple(found))


def _switches(archive: Archive, number: int, project: str) -> Iterator[str]:
    answer = archive.get(f"/xapi/projects/{quote(project)}/wrappers/{number}/enabled")
    value = answer.value() if answer else None
    if not isinstance(value, dict):
        return
    if not value.get("enabled-for-site"):
        yield "it is not enabled for the site"
    if not value.get("enabled-for-project"):
        yield f"it is not enabled in {project}"


def _candidates(archive: Archive, kind: str, project: str, session: str) -> Iterator[Candidate]:
    path = f"/data/projects/{quote(project)}"
    if kind == "Project":
        yield Candidate(project, f"/archive/projects/{project}", "xnat:projectData")
        return
    if kind == "Subject":
        for row in _rows(archive, f"{path}/subjects", {"columns": "ID,label"}):
            yield Candidate(str(row.get("label")), f"/archive/subjects/{row.get('ID')}", "xnat:subjectData")
        return
    sessions = _rows(
        archive, f"{path}/experiments", {"columns": "ID,label,xsiType,date", "xsiType": "xnat:imageSessionData"}
    )
    for row in sorted(sessions, key=lambda one: str(one.get("date") or ""), reverse=True):
        number, label = str(row.get("ID")), str(row.get("label"))
        if session and session not in {number, label}:
            continue
        uri = f"/archive/experiments/{number}"
        if kind == "Session":
            yield Candidate(label, uri, str(row.get("xsiType")))
            continue
        folder, columns = (
            ("scans", "ID,type,xsiType,series_description") if kind == "Scan" else ("assessors", "ID,label,xsiType")
        )
        for child in _rows(archive, f"/data/experiments/{number}/{folder}", {"columns": columns}):
            name = f"{child.get('ID')} {child.get('type') or ''}" if kind == "Scan" else str(child.get("label"))
            child_uri = f"{uri}/{folder}/{child.get('ID')}"
            yield Candidate(f"{label} {name}".strip(), child_uri, str(child.get("xsiType")))


def _wrong_type(wrapper: Wrapper, kind: str, candidate: Candidate) -> str:
    if candidate.xsi_type in wrapper.contexts or _ANY.get(kind) in wrapper.contexts:
        return ""
    return f"is {candidate.xsi_type}, and the wrapper starts from {' or '.join(wrapper.contexts) or 'nothing'}"


def _resolved(
    command: Command,
    wrapper: Wrapper,
    candidate: Candidate,
    trees: Sequence[Mapping[str, Any]],
    given: Mapping[str, str],
) -> Explained:
    values, labels = _flat(trees)
    for item in command.inputs:
        values.setdefault(item.name, given.get(item.name, item.default_value or ""))
    missing = [item.name for item in command.inputs if item.required and not values.get(item.name)]
    several = [name for name, texts in labels.items() if len(texts) > 1 and not _multiple(wrapper, name)]
    if several:
        return Explained(candidate, "; ".join(f"'{name}' fits several: {', '.join(labels[name])}" for name in several))
    if missing:
        return Explained(candidate, f"nothing fills {', '.join(missing)}; give them with --set")
    hidden = {item.name for item in (*command.inputs, *wrapper.inputs) if item.sensitive}
    shown = {name: _MASK if name in hidden and value else value for name, value in values.items()}
    plain = {item.key: shown.get(item.name, "") for item in (*wrapper.inputs, *command.inputs)}
    line = {item.key: _on_line(item, shown.get(item.name, "")) for item in command.inputs}
    variables = tuple(f"{_fill(k, plain)}={_fill(v, plain)}" for k, v in command.environment_variables.items())
    return Explained(
        candidate,
        mounts=tuple(_mounts(command, wrapper, values, labels)),
        command_line=_fill(command.command_line or "", line),
        variables=variables,
        handlers=tuple(_handlers(command, wrapper, labels, plain)),
    )


def _flat(trees: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return value and labels of each input of the server's tree."""
    values: dict[str, str] = {}
    labels: dict[str, list[str]] = {}
    for tree in trees:
        name, found = str(tree.get("name")), tree.get("values") or []
        texts = [str(one.get("value") or "") for one in found]
        values[name] = texts[0] if len(texts) == 1 else str(texts) if texts else ""
        labels[name] = [str(one.get("label") or one.get("value") or "") for one in found]
        if len(found) == 1:
            below, below_labels = _flat(found[0].get("children") or [])
            values |= below
            labels |= below_labels
    return values, labels


def _multiple(wrapper: Wrapper, name: str) -> bool:
    derived = next((item for item in wrapper.derived_inputs if item.name == name), None)
    return derived is None or derived.multiple or not derived.required


def _mounts(
    command: Command, wrapper: Wrapper, values: Mapping[str, str], labels: Mapping[str, list[str]]
) -> Iterator[str]:
    for mount in command.mounts:
        source = next(
            (i for i in wrapper.inputs if i.provides_files_for_command_mount == mount.name and labels.get(i.name)), None
        )
        if source is None:
            yield f"{mount.path}  an empty folder, to be written to"
            continue
        what = f"{source.type} {', '.join(labels[source.name])} ({values.get(source.name)})"
        how = "a copy, to be written to" if mount.writable else "read-only"
        via = f", prepared by {source.via_setup_command}" if source.via_setup_command else ""
        yield f"{mount.path}  {what}, {how}{via}"


def _handlers(
    command: Command, wrapper: Wrapper, labels: Mapping[str, list[str]], plain: Mapping[str, str]
) -> Iterator[str]:
    outputs = {output.name: output for output in command.outputs}
    mounts = {mount.name: mount for mount in command.mounts}
    made = {handler.name: handler for handler in wrapper.output_handlers}
    for handler in wrapper.output_handlers:
        output = outputs[handler.accepts_command_output]
        path = f"{mounts[output.mount].path}/{_fill(output.path or '', plain)}".rstrip("/")
        what = (
            f"resource {_fill(handler.label or '', plain)}"
            if handler.type == "Resource"
            else f"{handler.type} {handler.xsi_type}"
        )
        parent = handler.as_a_child_of
        place = f"what {parent} makes" if parent in made else f"{parent} {', '.join(labels.get(parent, ()))}"
        must = "; without it the run has failed" if output.required else "; if it is there"
        via = f" through {handler.via_wrapup_command}" if handler.via_wrapup_command else ""
        yield f"{handler.name}: {what} on {place}, from {path}{via}{must}"


def _on_line(item: CommandInput, value: str) -> str:
    if item.type == "boolean" and value.lower() in {"true", "false"}:
        said = item.true_value if value.lower() == "true" else item.false_value
        value = value if said is None else said
    if not value.strip() or not item.command_line_flag:
        return value
    return f"{item.command_line_flag}{item.command_line_separator or ' '}{value}"


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in, longest key first; what a caret path would look up is said to be so."""
    text = _CARETS.sub("(looked up at launch)", text)
    if not values:
        return text
    keys = sorted(values, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, keys)), lambda found: values[found[0]], text)


def _plain(message: str) -> str:
    """Take the request off an answer of the server."""
    return re.sub(r"^GET \S+: \d{3} ?", "", message) or message


def _rows(archive: Archive, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    answer = archive.get(path, {"format": "json", **query})
    document = answer.value() if answer else {}
    result = document.get("ResultSet", {}).get("Result", []) if isinstance(document, dict) else []
    return [row for row in result if isinstance(row, Mapping)]
