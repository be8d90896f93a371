"""A hub as a process of its own, so that it can be killed. Its argument: fields of `HubConfig` as JSON.

``die`` beside them names where it kills itself with all its processes, the first time it gets there:
``before|after package.module:name`` or ``...:Class.name``.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging
import os
import signal
import sys
import threading
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
    known = {name: value for name, value in settings.items() if name != "die"}
    return HubConfig(**{**known, "home": Path(settings["home"]), "images": images})


def die_at(where: str) -> None:
    """Have this process kill itself and all that it started when it gets to a place."""
    when, _, place = where.partition(" ")
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    found = getattr(owner, name)

    @functools.wraps(found)
    def dying(*positional: Any, **named: Any) -> Any:
        if when == "after":
            found(*positional, **named)
        os.killpg(0, signal.SIGKILL)
        threading.Event().wait()  # it is a moment until it is so

    setattr(owner, name, dying)


def main() -> None:
    """Serve until killed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = json.loads(sys.argv[1])
    config = config_of(settings)
    if settings.get("die"):
        die_at(settings["die"])
    hub = assemble(Hub(config))
    bootstrap.prepare(hub)
    uvicorn.run(create_app(hub), host="127.0.0.1", port=config.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
