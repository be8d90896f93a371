"""The whole line, once for all end-to-end tests: `overread demo` on its own ports, left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from helpers.browser import CHROMIUM_ARGUMENTS, find_chromium
from helpers.docker_engine import Engine, engine
from helpers.ports import free_port
from helpers.requirements import REPOSITORY

_DEMO_TIMEOUT_S = 1500


@dataclass(frozen=True)
class Line:
    """A demo that has said its summary and stays up."""

    url: str
    dicom_port: int
    said: str
    summary: dict[str, Any]
    folder: Path

    def password(self, login: str) -> str:
        """The password that the demo printed for `login`."""
        found = re.search(rf"^\s+{login} / (\S+)$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def button(self, kind: str) -> str:
        """The PACS button's URL that the demo printed, with ``uid`` or ``accession``."""
        found = re.search(rf"(http\S+[?&]{kind}=\S+)", self.said)
        assert found, self.said
        return found[1]

    def client(self, login: str = "admin") -> httpx.Client:
        """A REST client that logs in by Basic authentication."""
        return httpx.Client(base_url=self.url, auth=(login, self.password(login)), timeout=60)

    def rows(self, path: str, **query: str) -> list[dict[str, str]]:
        """A table, as the administrator sees it."""
        with self.client() as client:
            answer = client.get(path, params={"format": "json", **query}).raise_for_status().json()
        rows: list[dict[str, str]] = answer["ResultSet"]["Result"]
        return rows


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Run the demo and wait for its summary."""
    folder = tmp_path_factory.mktemp("line") / "demo"
    port, dicom_port = free_port(), free_port()
    environment = {
        key: value for key, value in os.environ.items() if key not in {"ONCE", "STUDY", "OVERREAD_ADMIN_PASSWORD"}
    }
    environment["PYTHONUNBUFFERED"] = "1"
    command = [sys.executable, "-m", "overread", "demo", "--study", "brain-tumor", "--folder", str(folder)]
    command += ["--port", str(port), "--dicom-port", str(dicom_port)]
    output = folder.parent / "said.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=sink, stderr=subprocess.STDOUT)
    try:
        said = _wait(process, output)
        summary = json.loads((folder / "summary.json").read_text())
        yield Line(f"http://127.0.0.1:{port}", dicom_port, said, summary, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _wait(process: subprocess.Popen[bytes], output: Path) -> str:
    deadline = time.monotonic() + _DEMO_TIMEOUT_S
    while time.monotonic() < deadline:
        said = output.read_text()
        if "stays up" in said:
            return said
        assert process.poll() is None, f"the demo ended with {process.returncode}:\n{said}"
        time.sleep(1)
    pytest.fail(f"the demo did not finish within {_DEMO_TIMEOUT_S} s:\n{output.read_text()}")


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """A container engine, once for all tests that want one."""
    with engine() as running:
        yield running


class Browsers:
    """Starts Chromium on profiles that outlive it."""

    def __init__(self, playwright: Playwright, folder: Path) -> None:
        self._playwright = playwright
        self._folder = folder
        self._started: list[BrowserContext] = []
        self.violations: list[str] = []
        """What the pages' own policies (Content-Security-Policy) forbade: nothing of ours may need that."""

    def page(self, profile: str = "profile") -> Page:
        """A page of a Chromium with software rendering for OHIF's WebGL."""
        arguments = ["--headless=new", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        arguments += ["--ignore-gpu-blocklist", *(each for each in CHROMIUM_ARGUMENTS if each != "--disable-gpu")]
        context = self._playwright.chromium.launch_persistent_context(
            str(self._folder / profile),
            executable_path=find_chromium(),
            headless=False,  # headless by the flag above: only so does it render as with a screen
            args=arguments,
            viewport={"width": 1280, "height": 800},
        )
        context.set_default_timeout(60_000)
        context.on("console", lambda message: self._look_at(message.text))
        self._started.append(context)
        return context.pages[0] if context.pages else context.new_page()

    def _look_at(self, said: str) -> None:
        if "Content Security Policy" in said or "Content-Security-Policy" in said:
            self.violations.append(said)

    def kill(self, profile: str = "profile") -> None:
        """End the Chromium of a profile as a crash does: with SIGKILL, nothing said and nothing saved."""
        lock = self._folder / profile / "SingletonLock"  # a link to host-PID
        os.kill(int(str(lock.readlink()).rpartition("-")[2]), signal.SIGKILL)

    def close(self) -> None:
        """End all of them."""
        for context in self._started:
            context.close()


@pytest.fixture
def browsers(tmp_path: Path) -> Iterator[Browsers]:
    """Several Chromiums, for tests that want more than one page."""
    with sync_playwright() as playwright:
        started = Browsers(playwright, tmp_path)
        yield started
        started.close()
    assert started.violations == []


@pytest.fixture
def page(browsers: Browsers) -> Page:
    """A page of a fresh Chromium."""
    return browsers.page()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go, for people to look at."""
    folder = REPOSITORY / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
