"""The pytest plugin behind ``@pytest.mark.needs(...)``, ``--fast`` and the time limits.

A test names what it needs from outside Python: ``@pytest.mark.needs("dciodvfy", "chromium")``. Where that is missing,
the test is skipped on a laptop and fails with ``CI=true``, so that nothing is left out unnoticed where it matters. The
summary lists what was missing and how many tests it cost.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import hypothesis
import pytest

from helpers import docker_engine, postgres, slapd, swarm
from helpers.browser import find_chromium

REPOSITORY = Path(__file__).resolve().parents[2]

_SLOW_TIMEOUT_S = 1200
_MISSING = "missing"
_HEAVY = ("chromium", "docker-engine", "swarm", "ohif")
_JAVA_LIBRARIES = Path("/usr/share/java")
_MRICRON_TEMPLATES = Path("/usr/share/mricron/templates")
_left_out_key = pytest.StashKey[int]()


def _file_reason(path: Path, remedy: str) -> str | None:
    return None if path.exists() else f"{path} is not there: {remedy}"


def _chromium_reason() -> str | None:
    return None if find_chromium() else "no Chromium is installed"


_SPECIAL: Mapping[str, Callable[[], str | None]] = {
    "chromium": _chromium_reason,
    "docker-engine": docker_engine.why_no_engine,
    "swarm": swarm.why_no_swarm,
    "velocity": lambda: _file_reason(_JAVA_LIBRARIES / "velocity-tools.jar", "install Debian's libvelocity-tools-java"),
    "mricron-data": lambda: _file_reason(_MRICRON_TEMPLATES, "install Debian's mricron-data"),
    "slapd": slapd.why_no_slapd,
    "postgres": postgres.why_no_postgres,
    "ohif": lambda: _file_reason(REPOSITORY / "build/ohif/index.html", "run `make setup`"),
    "plugins": lambda: _file_reason(REPOSITORY / "build/plugins", "run `make setup`"),
}
"""Needs that are no program on the PATH: each function says what is missing, ``None`` if nothing is."""


def why_missing(need: str) -> str | None:
    """Say why the thing of this name cannot be used here; ``None`` if it can."""
    if need in _SPECIAL:
        return _SPECIAL[need]()
    return None if shutil.which(need) else f"the program {need} is not installed"


def is_ci() -> bool:
    """Whether a missing program is a failure: with ``CI=true``."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def needs_of(item: pytest.Item) -> list[str]:
    """List what a test needs, in the order of its markers."""
    return [str(need) for marker in item.iter_markers("needs") for need in marker.args]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this test run."""
    parser.addoption("--fast", action="store_true", help="leave out tests that are slow or need a browser or an engine")
    parser.addoption("--postgres", action="store_true", help="let hubs keep their data in a PostgreSQL server")
    parser.addoption("--xnat-url", help="a server to run the portable part of tests/contract on")
    parser.addoption("--xnat-user", default="admin", help="an administrator there")
    parser.addoption("--xnat-password", default=os.environ.get("XNAT_PASSWORD", "admin"), help="or XNAT_PASSWORD")
    parser.addoption("--kills", type=int, default=8, help="how often tests/crash kills the hub")
    parser.addoption("--seed", type=int, default=1, help="of the moments at which tests/crash kills it")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the database, and make hypothesis judge results only."""
    if config.getoption("--postgres"):
        postgres.use_for_all_hubs()
    # A busy machine is no failure; and in CI the same examples every time, so that a red run is somebody's change.
    hypothesis.settings.register_profile("overread", deadline=None, derandomize=is_ci())
    hypothesis.settings.load_profile("overread")


def pytest_unconfigure() -> None:
    """End the PostgreSQL server if one was started."""
    postgres.stop_shared()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run cheap tests first (last where workers share them), give slow ones their time, drop them with ``--fast``."""
    for item in items:
        if _cost(item) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SLOW_TIMEOUT_S))
    if config.getoption("--xnat-url"):
        left_out = [item for item in items if not _is_portable(item)]
        config.stash[_left_out_key] = len(left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _is_portable(item)]
    if config.getoption("--fast"):
        config.hook.pytest_deselected(items=[item for item in items if _cost(item)])
        items[:] = [item for item in items if not _cost(item)]
    items.sort(key=_cost, reverse=hasattr(config, "workerinput"))


def _is_portable(item: pytest.Item) -> bool:
    """Whether a test speaks XNAT's REST alone, so that it can be run on any server."""
    return "server" in getattr(item, "fixturenames", ()) and item.get_closest_marker("inside") is None


def _cost(item: pytest.Item) -> int:
    """0: seconds at most; 1: slow; 2: a browser or an engine has to be started."""
    if any(need in _HEAVY for need in needs_of(item)):
        return 2
    return 1 if item.get_closest_marker("slow") else 0


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose needs are not met, or fail it in CI."""
    reasons = {need: reason for need in needs_of(item) if (reason := why_missing(need))}
    if not reasons:
        return
    item.user_properties += [(_MISSING, need) for need in reasons]
    text = "; ".join(reasons.values())
    if is_ci():
        pytest.fail(f"{text} (with CI=true nothing may be missing)", pytrace=False)
    pytest.skip(text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which external programs were missing and how many tests that cost, and what another server isn't asked."""
    if url := config.getoption("--xnat-url"):
        terminalreporter.write_line(
            f"{url}: {config.stash.get(_left_out_key, 0)} tests left out, which need the hub's inside"
        )
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "when")]
    said = [report.user_properties for report in reports if report.when == "setup"]
    missing = Counter(str(need) for properties in said for name, need in properties if name == _MISSING)
    if not missing:
        return
    terminalreporter.section("missing external programs")
    for need, tests in sorted(missing.items()):
        terminalreporter.write_line(f"{need}: {tests} test{'s' if tests > 1 else ''} not run ({why_missing(need)})")
