"""Container runs: ``/xapi/containers``. Here the hub gets its images, its runner and its queue."""

from overread.hub.areas.containers.routes import ROUTES
from overread.hub.core import Hub
from overread.hub.runs.environments import Environments, cache_folder
from overread.hub.runs.images import ImageCatalog
from overread.hub.runs.process import ProcessRunner
from overread.hub.runs.queue import RunQueue

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its images, and a queue that runs them."""
    hub.images = ImageCatalog(hub.config.images)
    environments = Environments(cache_folder(hub.config.environments or hub.layout.environments))
    hub.runs = RunQueue(hub, ProcessRunner(hub.images, environments), workers=hub.config.workers)
    hub.services.append(hub.runs)
