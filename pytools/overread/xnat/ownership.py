"""What of a server's objects a study made itself, so that nothing else is ever changed or removed.

XNAT has no place for a mark on most objects. So apply writes down in the project's configuration what it is about to
make, before it makes it: what stands there and is there was made by it. What was there before stands there not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from overread.xnat.connection import Request
from overread.xnat.state import MADE_CONFIG, ServerState
from overread.xnat.steps import Action, Step

# Kinds of objects, by the first word of a step's name: made as a whole, and possibly somebody else's. Projects are
# none of them: they may be there before, and are never removed.
_KINDS = frozenset({"command", "receiver", "form", "subscription", "anonymisation", "orchestration", "chain"})


def is_object(step: Step) -> bool:
    """Tell whether a step is about an object that is made as a whole."""
    return step.name.split()[0] in _KINDS


def is_ours(name: str, state: ServerState) -> bool:
    """Tell whether apply made the object of a step; before there were records, it made all of a study's."""
    return name in state.made if state.made is not None else state.study_config is not None


def guarded(steps: Iterable[Step], state: ServerState) -> tuple[Step, ...]:
    """Refuse to change what somebody else made."""
    found = []
    for step in steps:
        if step.action == "update" and is_object(step) and not is_ours(step.name, state):
            detail = f"is there already, was made by somebody else, and differs ({step.detail})"
            mend = "rename or remove it on the server, or take it over with --adopt"
            found.append(Step(step.name, "refuse", f"{detail}; {mend}"))
        else:
            found.append(step)
    return tuple(found)


def with_record(steps: tuple[Step, ...], state: ServerState, project: str) -> tuple[Step, ...]:
    """Put the writing of the record before everything that it is about, but after the project in which it stands."""
    kept = state.made if state.made is not None else frozenset()
    if state.made is None and state.study_config is not None:
        kept = frozenset(step.name for step in steps if is_object(step))
    wanted = kept | {step.name for step in steps if is_object(step) and step.action in {"create", "wait", "update"}}
    step = Step(f"record in {project} of what is the study's", "unchanged")
    if state.made is None or wanted != state.made:
        action: Action = "create" if state.made is None else "update"
        step = Step(step.name, action, f"{len(wanted)} objects", (record_request(project, wanted),))
    place = next((index + 1 for index, one in enumerate(steps) if one.name == f"project {project}"), 0)
    return (*steps[:place], step, *steps[place:])


def record_request(project: str, names: Iterable[str]) -> Request:
    """Return the request that writes the record."""
    text = json.dumps({"made": sorted(names)}, indent=1)
    return Request("PUT", f"/data/projects/{project}/config/{MADE_CONFIG}", {"inbody": "true"}, text=text)
