"""Container runs: ``/xapi/containers``. Here the hub gets its images, its runner and its queue."""

from overread.hub.areas.containers.routes import ROUTES
from overread.hub.core import Hub
from overread.hub.runs.backends import choose_runner, stored_settings
from overread.hub.runs.images import ImageCatalog
from overread.hub.runs.queue import RunQueue
from overread.hub.runs.warmup import WarmUp

__all__ = ["ROUTES", "assemble"]


def assemble(hub: Hub) -> None:
    """Give the hub its images, and a queue that runs them."""
    hub.images = ImageCatalog(hub.config.images)
    runner = choose_runner(hub, stored_settings(hub))
    hub.runs = RunQueue(hub, runner, workers=hub.config.workers, gpus=hub.config.gpus)
    hub.warm_up = WarmUp(hub, runner)
    hub.services += [hub.warm_up, hub.runs]
