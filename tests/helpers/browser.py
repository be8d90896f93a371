"""Where Chromium is, and how it is started without touching the network."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

_AXE: Final = Path(__file__).resolve().parents[2] / "xnat-plugins/core/web/node_modules/axe-core/axe.min.js"
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
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


def violations(page: Page) -> list[str]:
    """Return what axe finds on a page (WCAG 2.1 A and AA)."""
    page.evaluate(_AXE.read_text("utf-8"))
    found: dict[str, Any] = page.evaluate("rules => axe.run(document, {runOnly: rules})", _RULES)
    return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found["violations"]]
