"""A hub as a process of its own, so that it can be killed. Its argument: fields of `HubConfig` as JSON."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import uvicorn

from overread.hub import bootstrap
from overread.hub.app import assemble, create_app
from overread.hub.config import HubConfig
from overread.hub.core import Hub


def config_of(settings: dict[str, Any]) -> HubConfig:
    """Return the hub's settings from what JSON can say."""
    images = tuple(Path(path) for path in settings.get("images", ()))
    return HubConfig(**{**settings, "home": Path(settings["home"]), "images": images})


def main() -> None:
    """Serve until killed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = config_of(json.loads(sys.argv[1]))
    hub = assemble(Hub(config))
    bootstrap.prepare(hub)
    uvicorn.run(create_app(hub), host="127.0.0.1", port=config.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
