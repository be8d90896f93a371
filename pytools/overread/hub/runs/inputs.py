"""The inputs of a launch: from the object that is launched on, by way of derived inputs, to the command's own.

External inputs are roots of a tree; a derived input hangs below the one it is derived from; a command input hangs below
the wrapper input that provides its value, or is a root itself. An input can have no value, one, or several.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.orm import Session

from overread.errors import PermanentRunnerError
from overread.hub.access import Caller, Right, may, may_on_experiment
from overread.hub.errors import HubError
from overread.hub.items import uris
from overread.hub.items.serialise import payload
from overread.hub.models import Experiment, Project, Resource, Scan, Subject
from overread.hub.runs import relatives
from overread.hub.runs.documents import Document, Wrapper
from overread.hub.runs.jsonfilter import Filter, FilterError
from overread.hub.runs.jsonpath import Carets
from overread.hub.runs.template import boolean_value, fill, illegal_text

if TYPE_CHECKING:
    from overread.hub.core import Hub

Item = Project | Subject | Experiment | Scan | Resource
Kind = Literal["wrapper-external", "wrapper-derived", "command"]

OBJECTS = ("Project", "Subject", "SubjectAssessor", "Session", "Scan", "Assessor", "Resource")
"""Types of wrapper inputs whose values are objects."""


@dataclass(frozen=True)
class Value:
    """One value of an input. ``item`` and ``seen`` (as matchers see it) are there when the value is an object."""

    text: str
    label: str
    item: Item | None = None
    seen: Mapping[str, Any] | None = None
    children: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Node:
    """An input and its values."""

    kind: Kind
    given: Document
    values: tuple[Value, ...]

    @property
    def name(self) -> str:
        """Name of the input."""
        return str(self.given["name"])

    @property
    def key(self) -> str:
        """What is replaced by its value in templates."""
        return str(self.given["replacement-key"])

    @property
    def only(self) -> Value | None:
        """Its value, if it has exactly one."""
        return self.values[0] if len(self.values) == 1 else None


def walk(nodes: Sequence[Node]) -> list[Node]:
    """Return all nodes, parents first; below an input with several values none."""
    found: list[Node] = []
    for node in nodes:
        found.append(node)
        if node.only is not None:
            found += walk(node.only.children)
    return found


class InputResolver:
    """Finds the values of all inputs of a wrapper.

    Parameters
    ----------
    db, hub
        Transaction and hub.
    wrapper
        The wrapper, with its defaults.
    values
        What the launch gave, by input name.
    caller
        In whose name objects are looked at.
    """

    def __init__(self, db: Session, hub: Hub, wrapper: Wrapper, values: Mapping[str, str], caller: Caller) -> None:
        self._db, self._hub, self._wrapper = db, hub, wrapper
        self._values, self._caller = values, caller
        self._known: dict[str, str] = {}  # replacement keys of what is resolved so far, for matchers
        self._external = set(map(_name, wrapper.external_inputs))
        self._carets = Carets(wrapper.command, wrapper.document)

    def resolve(self) -> list[Node]:
        """Return the trees.

        Raises
        ------
        PermanentRunnerError
            An object does not exist, may not be read or is of another type, a matcher can't be read, or a value holds
            a forbidden text.
        """
        roots = [self._root_node(given) for given in self._wrapper.external_inputs]
        provided = {given.get("provides-value-for-command-input") for given in self._wrapper_inputs()}
        alone = [given for given in self._wrapper.command["inputs"] if given["name"] not in provided]
        return [*roots, *(self._command_node(given, None) for given in alone)]

    def _wrapper_inputs(self) -> list[Document]:
        return [*self._wrapper.external_inputs, *self._wrapper.document["derived-inputs"]]

    def _root_node(self, given: Document) -> Node:
        text = self._values.get(given["name"], given.get("default-value"))
        if text is None or not str(text).strip():
            return Node("wrapper-external", given, ())
        text = self._carets.resolve(str(text))
        if given["type"] in OBJECTS:
            item = self._find(given, text)
            seen = self._see(item)
            value = self._object_value(given, item, seen) if self._matches(given, seen) else None
        else:
            value = self._checked(given, Value(text, text))
        return Node("wrapper-external", given, self._with_children(given, [value] if value else []))

    def _derived_node(self, given: Document, parent: Value) -> Node:
        values = [self._checked(given, value) for value in self._derive(given, parent)]
        return Node("wrapper-derived", given, self._with_children(given, values))

    def _command_node(self, given: Document, parent: Value | None) -> Node:
        text = self._values.get(given["name"]) if given["name"] not in self._external else None
        if parent is not None:
            text = parent.text
        if text is None:
            text = given.get("default-value")
        if text is None:
            return Node("command", given, ())
        text = self._carets.resolve(str(text))
        if given["type"] == "boolean":
            text = boolean_value(given, text)
        return Node("command", given, (self._checked(given, Value(text, text)),))

    def _with_children(self, given: Document, values: Sequence[Value]) -> tuple[Value, ...]:
        found = []
        for value in values:
            self._known[given["replacement-key"]] = value.text
            children = [
                self._derived_node(child, value)
                for child in self._wrapper.document["derived-inputs"]
                if child["derived-from-wrapper-input"] == given["name"]
            ]
            children += [
                self._command_node(child, value)
                for child in self._wrapper.command["inputs"]
                if child["name"] == given.get("provides-value-for-command-input")
            ]
            found.append(Value(value.text, value.label, value.item, value.seen, tuple(children)))
        return tuple(found)

    def _derive(self, given: Document, parent: Value) -> list[Value]:
        kind = given["type"]
        if kind in ("string", "number", "boolean", "Directory"):
            name = "directory" if kind == "Directory" else str(given.get("derived-from-xnat-object-property") or "")
            text = _text((parent.seen or {}).get(name))
            return [] if text is None or not self._matches(given, parent.seen) else [Value(text, text)]
        if parent.item is None:
            return []
        # A lent session does not lend its assessors, nor a lent subject its exams: what may not be read is not there.
        found = relatives.find(self._db, self._hub, kind, parent.item)
        candidates = [item for item in found if self._may_read(item)]
        wanted = self._values.get(given["name"], given.get("default-value"))
        values = []
        for item in candidates:
            seen = self._see(item)
            if self._matches(given, seen) and (not wanted or _names(seen, str(wanted))):
                values.append(self._object_value(given, item, seen))
        return values

    def _object_value(self, given: Document, item: Item, seen: Mapping[str, Any]) -> Value:
        name = given.get("derived-from-xnat-object-property")
        text = _text(seen.get(name)) if name else str(seen["uri"])
        return self._checked(given, Value(text or "", str(seen.get("label", "")), item, seen))

    def _see(self, item: Item) -> Mapping[str, Any]:
        return payload(self._db, self._hub, item)

    def _find(self, given: Document, text: str) -> Item:
        try:
            item = uris.resolve(self._db, self._hub, text)
        except HubError as problem:
            raise PermanentRunnerError(f"Input {given['name']}: {problem.reason}.") from problem
        if not relatives.is_of_type(self._hub, given["type"], item):
            raise PermanentRunnerError(f"Input {given['name']}: {text} is no {given['type']}.")
        if not self._may_read(item):
            raise PermanentRunnerError(f"Input {given['name']}: the user may not read {text}.")
        return item

    def _may_read(self, item: Item) -> bool:
        if isinstance(item, Resource):
            item = relatives.owner(self._db, item)
        if isinstance(item, Scan):
            item = self._db.get_one(Experiment, item.session_id)
        if isinstance(item, Experiment):
            return may_on_experiment(self._db, self._caller, item, Right.READ)
        return may(self._db, self._caller, item.id if isinstance(item, Project) else item.project, Right.READ)

    def _matches(self, given: Document, seen: Mapping[str, Any] | None) -> bool:
        condition = fill(given.get("matcher"), self._known)
        if not condition.strip():
            return True
        try:
            return Filter(condition).matches(seen or {})
        except FilterError as problem:
            raise PermanentRunnerError(f"Input {given['name']}: matcher: {problem}") from problem

    @staticmethod
    def _checked(given: Document, value: Value) -> Value:
        found = illegal_text(value.text)
        if found is not None:
            raise PermanentRunnerError(f'Input "{given["name"]}" has a value containing illegal string "{found}".')
        return value


def missing(nodes: Sequence[Node]) -> list[str]:
    """Return the names of required inputs that have no value."""
    return [
        node.name
        for node in _all(nodes)
        if node.given["required"] and not any(value.text or value.item for value in node.values)
    ]


def _all(nodes: Sequence[Node]) -> list[Node]:
    found: list[Node] = []
    for node in nodes:
        found.append(node)
        for value in node.values:
            found += _all(value.children)
    return found


def _names(seen: Mapping[str, Any], wanted: str) -> bool:
    """Whether a launch that gave `wanted` (one name, or a JSON list) means this object."""
    names = {wanted}
    if wanted.lstrip().startswith("["):
        try:
            names = set(map(str, json.loads(wanted)))
        except ValueError:
            return False
    return any(_text(seen.get(key)) in names for key in ("uri", "id", "label", "directory", "integer-id"))


def _text(value: object) -> str | None:
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _name(given: Mapping[str, Any]) -> str:
    return str(given["name"])
