"""`overread command explain` as its user runs it, against a hub with the study and an exam."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from helpers.archive import add_session
from helpers.study_site import Site, start_site
from overread.commands.model import Command

PLAIN = "KNEE"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with the study, an MR exam and a CT exam."""
    site = start_site(tmp_path_factory.mktemp("explain"))
    assert site.apply().exit_code == 0
    add_session(site.hub.hub, "E1", project=PLAIN, event="")
    with site.hub.client() as client:
        client.put(f"/data/projects/{PLAIN}/subjects/SUB/experiments/C1", params={"xsiType": "xnat:ctSessionData"})
    yield site
    site.hub.stop()


def command_file(site: Site, name: str = "knee-volume") -> str:
    return str(site.manifest.parent / "images" / name / "command.json")


def test_matching_session_is_explained_whole(site: Site) -> None:
    result = site.run("command", "explain", command_file(site), "--project", PLAIN)
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[0] == "knee-volume 1.0.0, knee-session in KNEE"
    assert "yes E1" in lines
    assert "no  C1: is xnat:ctSessionData, and the wrapper starts from xnat:mrSessionData" in lines
    (mounted,) = [line for line in lines if line.startswith("/input  Session E1 (/archive/experiments/")]
    assert mounted.endswith("), read-only")
    assert "/output  an empty folder, to be written to" in lines
    assert "$ python main.py --input /input --output /output --mode full" in lines
    assert "OVERREAD_PROJECT=KNEE" in lines
    result_line = (
        "result: Assessor knee:resultData on session E1, from /output/assessor.xml; without it the run has failed"
    )
    assert result_line in lines
    assert "seg: resource SEG on what result makes, from /output/seg.dcm; if it is there" in lines
    assert (
        "collection: Assessor icr:roiCollectionData on session E1, from /output/collection.xml through "
        "overread/exporter:1.0.0:exporter; if it is there"
    ) in lines
    assert result.stderr == "  1 of 2 match\n"


def test_nothing_is_launched(site: Site) -> None:
    site.run("command", "explain", command_file(site), "--project", PLAIN)
    with site.hub.client() as client:
        assert client.get("/xapi/containers").json() == []


def test_value_of_a_user_is_put_in(site: Site) -> None:
    arguments = ("--project", PLAIN, "--session", "E1", "--set", "mode=fast", "--json")
    (one,) = json.loads(site.run("command", "explain", command_file(site), *arguments).stdout)
    (found,) = one["objects"]
    assert found["command_line"].endswith("--mode fast")


def test_matcher_of_the_server_says_why_not(site: Site) -> None:
    path = site.manifest.parent / "images" / "knee-volume" / "command.json"
    document = json.loads(path.read_text("utf-8"))
    document["name"] = "choosy"
    document["xnat"][0]["external-inputs"][0]["matcher"] = "'NIFTI' in @.scans[*].resources[*].label"
    Command.model_validate(document)
    with site.hub.client() as client:
        assert client.post("/xapi/commands", json=document).status_code == 201
    other = path.with_name("choosy.json")
    other.write_text(json.dumps(document), "utf-8")
    result = site.run("command", "explain", str(other), "--project", PLAIN, "--session", "E1")
    assert result.exit_code == 0, result.output
    assert "note: it is not enabled in KNEE" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "E1" in line]
    assert line.startswith("  no  E1: ")
    assert "session" in line


def test_collection_starts_the_other_command(site: Site) -> None:
    result = site.run("command", "explain", command_file(site, "recalculate"), "--project", PLAIN)
    assert result.exit_code == 0, result.output
    assert result.stderr == "  0 of 0 match\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--project", "NONE"), "there is no project NONE, or you may not see it"),
        (("--project", PLAIN, "--session", "none"), "project KNEE has no session none; check label or ID"),
        (("--project", PLAIN, "--wrapper", "none"), "knee-volume has no wrapper 'none'; it has knee-session"),
    ],
)
def test_what_is_not_there_is_one_line(site: Site, arguments: tuple[str, ...], complaint: str) -> None:
    result = site.run("command", "explain", command_file(site), *arguments)
    assert result.exit_code == 1
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_command_that_the_server_lacks_is_told(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = (site.manifest.parent / "images" / "knee-volume" / "command.json").read_text("utf-8")
    other = tmp_path_factory.mktemp("other") / "command.json"
    other.write_text(text.replace('"version": "1.0.0"', '"version": "9.0.0"'), "utf-8")
    result = site.run("command", "explain", str(other), "--project", PLAIN)
    assert "the server has no command knee-volume 9.0.0; add it with `overread study apply`" in result.stderr
