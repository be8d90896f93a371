"""Steps about the server itself: versions, plugins, images, and what it has that gets in a study's way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from overread.plugins.build import jar_name
from overread.xnat.bundle import StudyBundle
from overread.xnat.connection import Request
from overread.xnat.state import ServerState
from overread.xnat.steps import Action, Step


@dataclass(frozen=True)
class Tested:
    """What was tried with, or read of, one part of a server.

    Parameters
    ----------
    title
        As people call it.
    lines
        Release lines that were tested, such as ``1.9``.
    least
        Older ones lack what a study needs.
    """

    title: str
    lines: tuple[str, ...]
    least: tuple[int, ...]


XNAT = Tested("XNAT", ("1.9",), (1, 9))
# Plugin id -> what was tested.
PLUGINS: Mapping[str, Tested] = {
    "containers": Tested("Container Service", ("3.7",), (3, 7)),
    "ohifViewerPlugin": Tested("OHIF viewer", ("3.7",), (3, 6)),
}


def plan_server(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Hold the versions of XNAT and its plugins against those that were tested, and look for the study's own plugin."""
    yield _version(XNAT, state.xnat_version, "server")
    if state.plugins is None:
        yield Step(
            "plugins", "note", "the server does not list its plugins; look that Container Service and viewer are there"
        )
        return
    for plugin, tested in PLUGINS.items():
        have = state.plugins.get(plugin)
        if have is None:
            how = f"install it in the server's plugins folder and restart (tested: {', '.join(tested.lines)})"
            yield Step(f"plugin {tested.title}", "refuse", f"the server does not have it; {how}")
        else:
            yield _version(tested, have, "plugin")
    own = "overread" + "".join(word.capitalize() for word in bundle.manifest.id.split("-"))
    have, want = state.plugins.get(own), bundle.manifest.version
    if have is not None and have != want:
        how = f"build {jar_name(bundle.manifest)} with `overread plugin build {bundle.folder}` and put it in its place"
        yield Step(f"plugin {own}", "note", f"the server has {have}, the study is {want}; {how}")
    elif have is not None:
        yield Step(f"plugin {own}", "unchanged")


def plan_images(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Say which images the server's engine has, and by which digest."""
    for image in dict.fromkeys(command.image for command in bundle.commands):
        if image in state.images:
            yield Step(f"image {image}", "unchanged", state.images[image])
        else:
            how = "load it there, or let XNAT pull it (Images & Commands)"
            yield Step(f"image {image}", "note", f"the server's engine does not have it; {how}")


def plan_surroundings(bundle: StudyBundle, state: ServerState) -> Iterator[Step]:
    """Plan the project's anonymisation script, and name what else decides over its exams."""
    project, script = bundle.manifest.project, bundle.anonymisation
    name = f"anonymisation script of {project}"
    base = f"/xapi/anonymize/projects/{project}"
    if script is not None:
        requests = []
        if state.script.strip() != script.strip():
            requests.append(Request("PUT", base, text=script))
        if not state.script_enabled:
            requests.append(Request("PUT", f"{base}/enabled", json=True))
        what = "its statements" if state.script.strip() else "new"
        action: Action = "update" if state.script.strip() else "create"
        yield Step(name, action, what, tuple(requests)) if requests else Step(name, "unchanged")
    elif state.script.strip() and state.script_enabled:
        detail = "is the project's own, not the study's; one that changes UIDs keeps segmentations from fitting"
        yield Step(name, "note", detail)


def _version(tested: Tested, have: str, kind: str) -> Step:
    name = f"{kind} {tested.title} {have}".rstrip()
    numbers = tuple(int(part) for part in re.findall(r"\d+", have)[:2])
    if not numbers:
        return Step(name, "note", f"says no version; tested with {', '.join(tested.lines)}")
    if numbers < tested.least:
        least = ".".join(map(str, tested.least))
        return Step(name, "refuse", f"is too old: a study needs {least} or newer; upgrade it")
    if ".".join(map(str, numbers)) not in tested.lines:
        return Step(
            name, "note", f"was not tested; tested with {', '.join(tested.lines)}: try the study on a copy first"
        )
    return Step(name, "unchanged")
