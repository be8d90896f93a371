"""A command with everything that a study's has, its image of a few lines, and ways to wait for runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from helpers.images import IMAGE, make_image

MAIN = """
import argparse, json, os, pathlib, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--input"), parser.add_argument("--output"), parser.add_argument("--mode", default="")
given = parser.parse_args()
source, target = pathlib.Path(given.input), pathlib.Path(given.output)
files = sorted(str(p.relative_to(source)) for p in source.rglob("*.dcm"))
print("progress 0.5 reading")
mode = given.mode
if mode == "crash":
    sys.exit("DataError: no usable series in /input; send a FLAIR")
if mode == "sleep":
    time.sleep(120)
(target / "result.json").write_text(json.dumps({
    "status": "not-applicable" if mode == "nothing" else "ok", "reason": "no FLAIR among 1 series", "files": files,
    "environment": {k: v for k, v in os.environ.items() if k.startswith(("OVERREAD_", "XNAT_"))},
}))
if mode == "nothing":
    sys.exit(0)
xml = pathlib.Path(target / "assessor.xml")
project = "OTHER" if mode == "foreign" else os.environ["OVERREAD_PROJECT"]
if mode != "no-xml":
    xml.write_text(f'''<?xml version="1.0"?>
<icr:RoiCollection xmlns:icr="http://icr.ac.uk/icr" xmlns:xnat="http://nrg.wustl.edu/xnat"
  project="{project}" label="R-{os.environ['OVERREAD_SESSION_LABEL']}">
  <xnat:imageSession_ID>{os.environ['OVERREAD_SESSION_ID']}</xnat:imageSession_ID>
  <icr:collectionType>SEG</icr:collectionType>
</icr:RoiCollection>''')
(target / "report").mkdir()
(target / "report" / "a.txt").write_text("A")
(target / "report" / "sub").mkdir()
(target / "report" / "sub" / "b.txt").write_text("B")
if mode == "link":
    (target / "report" / "passwd").symlink_to("/etc/passwd")
"""


def document(**changes: Any) -> dict[str, Any]:
    """Return the command document."""
    found: dict[str, Any] = {
        "name": "tiny",
        "version": "1.0",
        "type": "docker",
        "image": IMAGE,
        "command-line": "python /app/main.py --input /input --output /output #mode#",
        "override-entrypoint": True,
        "mounts": [
            {"name": "in", "path": "/input", "writable": False},
            {"name": "out", "path": "/output", "writable": True},
        ],
        "environment-variables": {
            "OVERREAD_PROJECT": "#project-id#",
            "OVERREAD_SESSION_ID": "#session-id#",
            "OVERREAD_SESSION_LABEL": "#session-label#",
            "OVERREAD_SERIES_RULES": "#series-rules#",
        },
        "inputs": [
            {"name": "mode", "type": "string", "required": False, "command-line-flag": "--mode",
             "command-line-separator": "="},
            {"name": "series-rules", "type": "string", "default-value": ""},
        ],
        "outputs": [
            {"name": "result", "mount": "out", "path": "assessor.xml", "required": True},
            {"name": "report", "mount": "out", "path": "report", "required": False},
            {"name": "json", "mount": "out", "path": "result.json", "required": False},
        ],
        "xnat": [
            {
                "name": "tiny-session",
                "label": "Tiny",
                "contexts": ["xnat:imageSessionData"],
                "external-inputs": [
                    {"name": "session", "type": "Session", "required": True,
                     "provides-files-for-command-mount": "in"}
                ],
                "derived-inputs": [
                    _derived("session-id", "session", "id"),
                    _derived("session-label", "session", "label"),
                    _derived("project-id", "session", "project-id"),
                ],
                "output-handlers": [
                    {"name": "store", "accepts-command-output": "result", "type": "Assessor",
                     "xsi-type": "icr:roiCollectionData", "as-a-child-of": "session"},
                    {"name": "store-report", "accepts-command-output": "report", "type": "Resource",
                     "label": "REPORT", "format": "TEXT", "tags": ["eval"], "as-a-child-of": "store"},
                    {"name": "store-json", "accepts-command-output": "json", "type": "Resource",
                     "label": "RESULT", "as-a-child-of": "store"},
                ],
            }
        ],
    }  # fmt: skip
    return found | {name.replace("_", "-"): value for name, value in changes.items()}


def _derived(name: str, parent: str, what: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "string",
        "derived-from-wrapper-input": parent,
        "derived-from-xnat-object-property": what,
    }


def install(client: httpx.Client, images: Path, *, main: str = MAIN, project: str = "P", **changes: Any) -> int:
    """Make the image folder, add the command, enable its wrapper; return the wrapper's id."""
    if not (images / "tiny").exists():
        make_image(images, main)
    answer = client.post("/xapi/commands", json=document(**changes))
    assert answer.status_code == 201, answer.text
    wrapper = int(client.get(f"/xapi/commands/{answer.json()}").json()["xnat"][0]["id"])
    assert client.put(f"/xapi/wrappers/{wrapper}/enabled").status_code == 200
    assert client.put(f"/xapi/projects/{project}/wrappers/{wrapper}/enabled").status_code == 200
    return wrapper


def launch_url(wrapper: int, *, project: str = "P", verb: str = "launch") -> str:
    """Return where a wrapper is launched on a session: the path names the external input."""
    return "/".join((f"/xapi/projects/{project}/wrappers/{wrapper}", "root", "session", verb))


def launch(client: httpx.Client, wrapper: int, session: str, *, project: str = "P", **values: str) -> httpx.Response:
    """Launch the wrapper on a session."""
    body = {"session": f"/archive/experiments/{session}"} | values
    return client.post(launch_url(wrapper, project=project), json=body)


def wait_for(
    client: httpx.Client, *, project: str = "P", count: int = 1, timeout_s: float = 30
) -> list[dict[str, Any]]:
    """Wait until a project has at least `count` runs and all of them have ended; return them."""
    deadline = time.monotonic() + timeout_s
    while True:
        runs: list[dict[str, Any]] = client.get(f"/xapi/projects/{project}/containers").json()
        if len(runs) >= count and all(run["status"].startswith(("Complete", "Failed")) for run in runs):
            return runs
        assert time.monotonic() < deadline, f"still {[run['status'] for run in runs]} after {timeout_s} s"
        time.sleep(0.05)
