"""Steps for the orchestration of a study: the report is made by itself as soon as the model has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Request
from overread.xnat.plan_commands import wrapper_id
from overread.xnat.state import ServerState
from overread.xnat.steps import Step, covers, differences

_API = "/xapi/orchestration"


def chain_name(bundle: StudyBundle) -> str:
    """Name the study's orchestration; by it, it is found again."""
    return f"{bundle.manifest.id}: result, then report"


def wants_chain(bundle: StudyBundle) -> bool:
    """Tell whether the study wants its report made by itself."""
    return bundle.report is not None and bundle.manifest.report is not None and bundle.manifest.report.after_result


def find_chain(bundle: StudyBundle, state: ServerState) -> Mapping[str, Any] | None:
    """Find the study's orchestration on the server."""
    return next((each for each in state.orchestrations if each.get("name") == chain_name(bundle)), None)


def plan_chain(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Plan the orchestration, and that the project has chosen it; without one, say which the project has."""
    project = bundle.manifest.project
    chosen = f"chain of {project}"
    if not wants_chain(bundle) or bundle.report is None:
        if state.orchestration is not None:
            detail = "its first command starts a chain; see that it is not the study's"
            yield Step(f"orchestration of {project}", "note", f"number {state.orchestration} is chosen: {detail}")
        return
    name = f"orchestration {chain_name(bundle)}"
    numbers = [wrapper_id(runnable, state) for runnable in (bundle.model, bundle.report)]
    have = find_chain(bundle, state)
    if state.orchestration is not None and (have is None or have["id"] != state.orchestration):
        # somebody else's choice: guarded, as an object that was there before
        request = Request("DELETE", f"{_API}/project/{project}")
        yield Step(f"chain {state.orchestration} of {project}", "update", "another is chosen", (request,))
    if None in numbers:
        yield Step(name, "wait", "for the ids of its commands")
        yield Step(chosen, "wait", "for the orchestration")
        return
    want = {"name": chain_name(bundle), "enabled": True, "haltOnCommandFailure": True, "wrapperIds": numbers}
    if have is None:
        yield Step(name, "create", "", (Request("POST", _API, json=want),))
        yield Step(chosen, "wait", "for the orchestration")
        return
    if covers(have, want):
        yield Step(name, "unchanged")
    else:
        request = Request("POST", _API, json={**want, "id": have["id"]})
        yield Step(name, "update", differences(have, want), (request,))
    if state.orchestration == have["id"]:
        yield Step(chosen, "unchanged")
    else:
        request = Request("PUT", f"{_API}/project/{project}", {"orchestrationId": str(have["id"])})
        yield Step(chosen, "create", "", (request,))
