"""What it costs to open a case in a browser: requests, bytes, clicks, seconds, till page, image and mask are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from playwright.sync_api import Error, Frame, Page

LIMIT_S = 180
_EVERY_MS = 50

_SHOWN = """() => {
  let image = false, mask = false;
  for (const canvas of document.querySelectorAll("canvas.cornerstone-canvas")) {
    if (canvas.width === 0 || canvas.height === 0) continue;
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length && !(image && mask); at += 4) {
      const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
      if (red + green + blue > 120) image = true;
      if (Math.max(red, green, blue) - Math.min(red, green, blue) > 40) mask = true;
    }
  }
  return {image, mask};
}"""
"""A grey pixel is the image's, a coloured one the mask's."""


@dataclass
class Cost:
    """Of one opening; seconds count from the first request. Requests are those that went to the server."""

    requests: int = 0
    transferred: int = 0
    clicks: int = 0
    usable_s: float | None = None
    image_s: float | None = None
    mask_s: float | None = None
    paths: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """All but the paths."""
        return {key: value for key, value in asdict(self).items() if key not in {"paths", "cached"}}


class Opening:
    """Counts from its making on; the page's browser must be Chromium, whose protocol tells bytes on the wire."""

    def __init__(self, page: Page) -> None:
        self.cost = Cost()
        self._page = page
        self._urls: dict[str, str] = {}
        self._start = time.monotonic()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.requestWillBeSent", self._asked)
        session.on("Network.requestServedFromCache", self._cached)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.loadingFinished", self._came)

    def _asked(self, event: dict[str, Any]) -> None:
        url = str(event["request"]["url"])
        if url.startswith("http"):
            self.cost.requests += 1
            self.cost.paths.append(url)
            self._urls[str(event["requestId"])] = url

    def _cached(self, event: dict[str, Any]) -> None:
        url = self._urls.pop(str(event["requestId"]), None)
        if url is not None:
            self.cost.requests -= 1
            self.cost.cached.append(url)

    def _answered(self, event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            self._cached(event)

    def _came(self, event: dict[str, Any]) -> None:
        self.cost.transferred += int(event["encodedDataLength"])

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.monotonic() - self._start, 2)

    def click(self, act: Callable[[], object], clicks: int = 1) -> None:
        """Do something that costs the reader clicks."""
        self.cost.clicks += clicks
        act()

    def until_mask(self, frame: Callable[[], Frame | None], usable: Callable[[], bool]) -> Cost:
        """Wait until the mask is on screen, and the page usable; note when each was there."""
        cost = self.cost
        while cost.mask_s is None or cost.usable_s is None:
            if cost.usable_s is None and usable():
                cost.usable_s = self.seconds
            self._look(frame())
        return cost

    def until_image(self, frame: Callable[[], Frame | None]) -> Cost:
        """Wait until the first image is on screen."""
        while self.cost.image_s is None:
            self._look(frame())
        return self.cost

    def _look(self, viewer: Frame | None) -> None:
        cost = self.cost
        assert self.seconds < LIMIT_S, cost.figures()
        shown = {"image": False, "mask": False}
        if viewer is not None:
            try:
                shown = viewer.evaluate(_SHOWN)
            except Error:  # a frame that is being loaded anew cannot be asked
                assert not self._page.is_closed()
        if cost.image_s is None and shown["image"]:
            cost.image_s = self.seconds
        if cost.mask_s is None and shown["mask"]:
            cost.mask_s = self.seconds
        self._page.wait_for_timeout(_EVERY_MS)


def viewer_frame(page: Page) -> Frame | None:
    """Return the review page's viewer, None as long as it is not there."""
    return next((frame for frame in page.frames if "/viewer/segmentation" in frame.url), None)


def open_by_button(page: Page, url: str) -> Cost:
    """Press the PACS button, that is: go to its URL, logged in; count until mask and form are there."""
    opening = Opening(page)
    page.goto(url, wait_until="commit")
    return opening.until_mask(
        lambda: viewer_frame(page), lambda: page.locator("form.feedback button[type=submit]").count() > 0
    )
