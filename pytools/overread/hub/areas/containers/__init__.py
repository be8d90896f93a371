"""Container runs: ``/xapi/containers``. Here the hub gets its images, its runner and its queue."""

from overread.hub.areas.containers.routes import ROUTES
from overread.hub.core import Hub
from overread.hub.runs.environments import Environments, cache_folder
from overread.hub.runs.images import ImageCatalog
from overread.hub.runs.process import ProcessRunner
from overread.hub.runs.queue import RunQueue
from overread.hub.runs.warmup import WarmUp

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its images, and a queue that runs them."""
    hub.images = ImageCatalog(hub.config.images)
    environments = Environments(cache_folder(hub.config.environments or hub.layout.environments))
    runner = ProcessRunner(hub.images, environments, owner=hub.layout.identity)
    hub.runs = RunQueue(hub, runner, workers=hub.config.workers, gpus=hub.config.gpus)
    hub.warm_up = WarmUp(hub, runner)
    hub.services += [hub.warm_up, hub.runs]
