"""Whether an automatic run is still new when it is about to begin: more images may have come, or another image."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import HubError
from overread.hub.eventservice import deliveries
from overread.hub.items import uris
from overread.hub.models import Container, Workflow
from overread.hub.runs.documents import find_wrapper
from overread.hub.runs.once import once_key
from overread.hub.runs.spec import run_folder

if TYPE_CHECKING:
    from overread.hub.core import Hub


def is_new(db: Session, hub: Hub, container: Container, *, image_digest: str = "") -> bool:
    """Look again whether an automatic run is new; one that would repeat another is taken away.

    Parameters
    ----------
    db, hub
        A transaction that writes, and the hub.
    container
        The run. Its key becomes what it is now. The delivery that caused a run that is taken away says so.
    image_digest
        Digest of the image that was made ready for it, if that is known by now.

    Returns
    -------
    bool
        False if the run is no more.
    """
    if container.once_key is None:
        return True
    try:
        wrapper = find_wrapper(db, container.wrapper_id, project=container.project)
        root = wrapper.root
        if root is None:
            return True
        item = uris.resolve(db, hub, container.inputs[root["name"]])
    except (HubError, KeyError):
        return True  # resolving it will say what is wrong
    key = once_key(db, hub, wrapper, item, image_digest=image_digest)
    if key is None or key == container.once_key:
        return True
    twin = db.scalar(select(Container).where(Container.once_key == key))
    if twin is None:
        container.once_key = key
        return True
    deliveries.note(db, container.origin, f"Nothing to do: run {twin.id} looks at the same series.")
    workflow = db.get(Workflow, container.workflow_id) if container.workflow_id is not None else None
    shutil.rmtree(run_folder(hub, container.id), ignore_errors=True)
    db.delete(container)
    db.flush()
    if workflow is not None:
        db.delete(workflow)
        db.flush()
    return False
