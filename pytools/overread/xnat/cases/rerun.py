"""A failed run is done again: by the hub's own request, else by an ordinary launch, which is all that XNAT has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from overread.errors import ArchiveError, DataError, NotFound
from overread.xnat.connection import Archive, Request

_ROOT, _RAW = "wrapper-external", "raw"


def rerun(archive: Archive, run: Mapping[str, Any]) -> str:
    """Run a failed case again, and say in a sentence what came of it.

    Parameters
    ----------
    archive
        The server.
    run
        The run's document, see `overread.xnat.cases.collect.find_run`.

    Raises
    ------
    ArchiveError
        The server refuses.
    DataError
        The run says too little of itself to be launched again.
    """
    try:
        answer = archive.send(Request("POST", f"/xapi/overread/runs/{run['id']}/rerun")).value()
    except NotFound:
        return relaunch(archive, run)
    made = "is queued" if answer["created"] else f"does so already; it is {answer['status']}"
    return f"Run {answer['id']}, which does run {run['id']} again, {made}."


def relaunch(archive: Archive, run: Mapping[str, Any]) -> str:
    """Launch what a failed run did once more, by the Container Service's own request. The two runs are not linked.

    Raises
    ------
    ArchiveError, DataError
        As `rerun`.
    """
    status = str(run.get("status", ""))
    if not status.startswith("Failed"):
        raise ArchiveError(f"run {run.get('id')} has not failed: it is {status or 'of unknown state'}")
    inputs = [entry for entry in run.get("inputs") or [] if isinstance(entry, dict)]
    root = next((str(entry["name"]) for entry in inputs if entry.get("type") == _ROOT), "")
    # The Container Service keeps what was launched with as "raw"; the hub keeps its external inputs only.
    raw = {str(e["name"]): str(e["value"]) for e in inputs if e.get("type") == _RAW}
    values = raw or {str(e["name"]): str(e["value"]) for e in inputs if e.get("type") == _ROOT}
    project, wrapper = run.get("project"), run.get("wrapper-id")
    if not (root and root in values and project and wrapper):
        raise DataError(f"run {run.get('id')} does not say on what it was launched; launch it by hand")
    path = f"/xapi/projects/{quote(str(project))}/wrappers/{wrapper}/root/{quote(root)}/launch"
    answer = archive.send(Request("POST", path, json=values)).value()
    if not isinstance(answer, dict) or answer.get("status") != "success":
        said = answer.get("message", "") if isinstance(answer, dict) else ""
        raise ArchiveError(f"run {run['id']} was not launched again: {said or 'the server does not say why'}")
    return f"Run {run['id']} was launched again as a run of its own: this server links no runs."
