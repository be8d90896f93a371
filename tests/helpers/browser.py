"""Where Chromium is, and how it is started without touching the network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")

CHROMIUM_ARGUMENTS: Sequence[str] = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
)
"""Arguments for a browser of tests: no sandbox (tests may run as root), no call to anyone but the page's server."""


def find_chromium() -> Path | None:
    """Find an installed Chromium or Chrome; ``None`` where there is none."""
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    return _MACOS if _MACOS.exists() else None
