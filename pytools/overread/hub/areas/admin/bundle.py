"""The bundle of a case, to be run elsewhere by ``overread case replay``."""

from __future__ import annotations

import secrets

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from overread.hub.areas.admin.runs import find_run
from overread.hub.areas.containers.view import describe
from overread.hub.areas.site.store import XNAT_VERSION
from overread.hub.errors import bad_request, conflict
from overread.hub.http import Call, Route
from overread.hub.runs import states
from overread.hub.runs.bundle import write_bundle


def bundle(call: Call) -> Response:
    """Send the bundle of a run that has ended: inputs by UID and SHA-256, with ``by=value`` the files themselves.

    For whom sees all of a run and may read what it was given. The audit trail calls it an export.
    """
    container = find_run(call)
    by = call.query.get("by", "reference")
    if by not in {"reference", "value"}:
        raise bad_request("by must be reference or value.")
    if not states.is_finished(container.status):
        raise conflict(f"Run {container.id} has not ended yet.")
    target = call.hub.layout.tmp / f"bundle-{secrets.token_hex(8)}.zip"
    try:
        write_bundle(
            call.db,
            call.hub,
            container,
            target,
            document=describe(container, full=True, backend=call.hub.runs.runner.backend),
            caller=call.caller,
            site=(call.hub.config.site_url or str(call.request.base_url).rstrip("/"), XNAT_VERSION),
            by_value=by == "value",
        )
    except BaseException:  # a GET's transaction has nothing to undo
        target.unlink(missing_ok=True)
        raise
    return FileResponse(
        target,
        media_type="application/zip",
        filename=f"run-{container.id}.zip",
        headers={"cache-control": "no-store"},
        background=BackgroundTask(target.unlink, missing_ok=True),
    )


ROUTES = [Route("GET", "/xapi/overread/runs/{run:int}/bundle", bundle)]
