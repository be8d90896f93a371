"""Takes a study off a server: what starts runs goes, data stays, and nothing of others is touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from overread.errors import ArchiveError
from overread.xnat.apply import Done, Outcome
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Archive, Request
from overread.xnat.ownership import is_ours, record_request
from overread.xnat.plan_chain import chain_name, find_chain
from overread.xnat.plan_commands import wrapper_id
from overread.xnat.plan_events import subscriptions
from overread.xnat.state import SITE_CONFIG, STUDY_CONFIG, ServerState, read_state
from overread.xnat.steps import Step

_SOMEBODY = "was not made by this study"


def plan_destroy(bundle: StudyBundle, state: ServerState, *, shared: frozenset[str] | None) -> tuple[Step, ...]:
    """Plan what is removed, in the order in which nothing is left pointing nowhere.

    Parameters
    ----------
    bundle, state
        The study, and what the server has.
    shared
        Names of commands that other studies use; None when that can't be told, which keeps them all.

    Returns
    -------
    tuple of Step
        ``update``: is removed or switched off; ``note``: stays, and why; ``unchanged``: is not there.
    """
    return tuple(
        step
        for steps in (
            _subscriptions(bundle, state),
            _chain(bundle, state),
            _receiver(bundle, state),
            _wrappers(bundle, state),
            _commands(bundle, state, shared),
            _site_table(bundle, state),
            _kept(bundle, state),
        )
        for step in steps
    )


def destroy(bundle: StudyBundle, archive: Archive, *, tell: Callable[[Done], None]) -> tuple[Done, ...]:
    """Take a study off a server. A second call finds nothing to do.

    Parameters
    ----------
    bundle
        The study.
    archive
        The server.
    tell
        Is called with each step as soon as it is known what became of it.

    Raises
    ------
    ArchiveError
        The server refuses something; what was told before is done.
    """
    state = read_state(archive, bundle)
    if not state.has_project or (state.made is None and state.study_config is None):
        raise ArchiveError(
            f"there is no study {bundle.manifest.id} in project {bundle.manifest.project}; nothing to remove"
        )
    steps = plan_destroy(bundle, state, shared=_used_by_others(archive, bundle, state))
    done = []
    gone: set[str] = set()
    for step in steps:
        for request in step.requests:
            archive.send(request)
        if step.requests:
            gone.add(step.name)
        outcome: Outcome = "updated" if step.requests else "note" if step.action == "note" else "unchanged"
        done.append(Done(step.name, outcome, step.detail))
        tell(done[-1])
    if state.made is not None and gone & state.made:
        archive.send(record_request(bundle.manifest.project, state.made - gone))
    return tuple(done)


def _removal(name: str, state: ServerState, path: str) -> Step:
    if not is_ours(name, state):
        return Step(name, "note", f"stays: {_SOMEBODY}")
    return Step(name, "update", "removed", (Request("DELETE", path),))


def _subscriptions(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    for subscription in subscriptions(bundle):
        name = f"subscription {subscription.name}"
        have = next((s for s in state.subscriptions if s.get("name") == subscription.name), None)
        yield (
            _removal(name, state, f"/xapi/events/subscription/{have['id']}")
            if have
            else Step(name, "unchanged", "gone")
        )


def _chain(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    have = find_chain(bundle, state)
    if have is None:
        return
    if state.orchestration == have["id"]:
        project = bundle.manifest.project
        yield _removal(f"chain of {project}", state, f"/xapi/orchestration/project/{project}")
    yield _removal(f"orchestration {chain_name(bundle)}", state, f"/xapi/orchestration/{have['id']}")


def _receiver(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    want = bundle.manifest.receiver
    name = f"receiver {want.ae_title}:{want.port}"
    have = next((r for r in state.receivers if r.get("aeTitle") == want.ae_title and r.get("port") == want.port), None)
    yield _removal(name, state, f"/xapi/dicomscp/{have['id']}") if have else Step(name, "unchanged", "gone")


def _wrappers(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    project = bundle.manifest.project
    for runnable in bundle.runnables:
        number = wrapper_id(runnable, state)
        if number is None:
            continue
        name = f"wrapper {runnable.wrapper.name} in {project}"
        if state.wrappers[number].enabled_for_project:
            request = Request("PUT", f"/xapi/projects/{project}/wrappers/{number}/disabled")
            yield Step(name, "update", "disabled", (request,))
        else:
            yield Step(name, "unchanged", "disabled")


def _commands(bundle: StudyBundle, state: ServerState, shared: frozenset[str] | None) -> Iterator[Step]:
    for command in reversed(bundle.commands):
        name = f"command {command.name} {command.version}"
        have = state.command(command.name, command.version)
        if have is None:
            yield Step(name, "unchanged", "gone")
        elif shared is None or name in shared:
            yield Step(name, "note", "stays: another study may use it")
        else:
            yield _removal(name, state, f"/xapi/commands/{have['id']}")


def _site_table(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    name = f"study {bundle.manifest.id} in the site's table"
    entry = state.site_config.get(bundle.manifest.id)
    if not isinstance(entry, dict) or entry.get("project") != bundle.manifest.project:
        yield Step(name, "unchanged", "gone")
        return
    rest = {key: value for key, value in state.site_config.items() if key != bundle.manifest.id}
    text = json.dumps(rest, indent=1, sort_keys=True)
    request = Request("PUT", f"/data/config/{SITE_CONFIG}", {"inbody": "true"}, text=text)
    yield Step(name, "update", "removed", (request,))


def _kept(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    project = bundle.manifest.project
    yield Step(f"project {project}", "note", "stays, with exams, results, segmentations and readers")
    if bundle.form is not None:
        yield Step(f"form '{bundle.form.title}'", "note", "stays: answers are kept under it")
    yield Step(f"manifest in project {project}", "note", "stays: it says what made the results")
    if state.events_enabled:
        yield Step("event service", "note", "stays on: other projects may use it")


def _used_by_others(archive: Archive, bundle: StudyBundle, state: ServerState) -> frozenset[str] | None:
    """Name the commands that the site's other studies use, or may use; None if one of them can't be read."""
    names: set[str] = set()
    for study, entry in state.site_config.items():
        if study == bundle.manifest.id or not isinstance(entry, dict):
            continue
        query = {"contents": "true", "accept-not-found": "true"}
        answer = archive.get(f"/data/projects/{entry.get('project')}/config/{STUDY_CONFIG}", query)
        stored = answer.value() if answer else None
        if not isinstance(stored, dict):
            return None
        names.add(f"command {stored.get('command_name')} {stored.get('command_version')}")
        names.add(f"command {stored.get('recompute_command_name')} {stored.get('recompute_command_version')}")
        # which wrap-up commands it uses stands in no manifest
        names |= {f"command {c.name} {c.version}" for c in bundle.commands if c.type != "docker"}
    return frozenset(names)
