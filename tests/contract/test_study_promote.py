"""From a server on which a study was tested to another one: the same, or nothing."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import Result

from helpers.study_site import Site, start_site

NAME = "Rita Roe, study coordinator"


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path]]:
    """A site that runs the study, and the archive of it."""
    folder = tmp_path_factory.mktemp("tested")
    site = start_site(folder)
    early = export(site, folder / "early.zip")
    assert early.exit_code == 1
    assert "does not run this study as its files are: " in early.stderr
    assert not (folder / "early.zip").exists()
    assert site.apply().exit_code == 0
    target = folder / "knee-1.2.0.zip"
    made = export(site, target, "--plugins", str(folder / "home" / "plugins"))
    assert made.exit_code == 0, made.output
    yield site, target
    site.hub.stop()


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Site]:
    """An empty site with the same images and plugin."""
    site = start_site(tmp_path)
    yield site
    site.hub.stop()


def export(site: Site, target: Path, *options: str) -> Result:
    arguments = ("--signed-by", NAME, "--out", str(target), "--dicom-port", str(site.dicom_port), *options)
    return site.run("study", "export", str(site.manifest), *arguments)


def promote(site: Site, source: Path) -> Result:
    return site.run("study", "promote", str(source), "--dicom-port", str(site.dicom_port))


def rewritten(source: Path, target: Path, change: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if name not in change:
                new.writestr(name, old.read(name))
        for name, data in change.items():
            new.writestr(name, data)
    return target


def is_empty(site: Site) -> bool:
    with site.hub.client() as client:
        return client.get("/data/projects/KNEE").status_code == 404 and client.get("/xapi/commands").json() == []


def test_the_archive_holds_all_and_says_what_was_tested(tested: tuple[Site, Path]) -> None:
    with zipfile.ZipFile(tested[1]) as archive:
        signed = json.loads(archive.read("signed-off.json"))
        names = set(archive.namelist()) - {"signed-off.json"}
    assert names == signed["files"].keys()
    assert names == {
        "study.yaml", "knee.yaml", "knee-form.json", "images/knee-volume/command.json",
        "images/recalculate/command.json", "images/exporter/command.json", "plugins/overread-knee-1.2.0.jar",
    }  # fmt: skip
    assert (signed["signed_by"], signed["tested_on"]) == (NAME, tested[0].hub.url)
    assert len(signed["images"]) == 3
    assert all(signed["images"].values())
    assert signed["plugins"]["overreadKnee"] == "1.2.0"


def test_what_was_tested_is_brought_over_and_is_the_same(tested: tuple[Site, Path], clinic: Site) -> None:
    clinic.edit("knee-form.json", "Usable?", "Changed here")  # a file beside it does not matter
    done = promote(clinic, tested[1])
    assert done.exit_code == 0, done.output
    assert f"signed off by {NAME} at 20" in done.stderr
    with clinic.hub.client() as there, tested[0].hub.client() as here:
        for path in ("/data/projects/KNEE/config/overread/study?contents=true", "/xapi/customforms?projectId=KNEE"):
            kept = [client.get(path).text for client in (here, there)]
            assert ("Changed here" in kept[1]) is False
        commands = [client.get("/xapi/commands").json() for client in (here, there)]
        assert [c["name"] for c in commands[0]] == [c["name"] for c in commands[1]]
    again = promote(clinic, tested[1])
    assert {line.partition(" ")[0] for line in again.stdout.splitlines()} == {"unchanged"}


def test_an_image_that_is_another_stops_it(tested: tuple[Site, Path], tmp_path: Path) -> None:
    site = start_site(tmp_path)
    try:
        (site.manifest.parent / "images/knee-volume/main.py").write_text("print('another')\n")
        stopped = promote(site, tested[1])
        assert (stopped.exit_code, stopped.stdout) == (1, "")
        assert "differs      image overread/knee-volume" in stopped.stderr
        assert "was tested; load the tested one in its place" in stopped.stderr
        assert "nothing was changed" in stopped.stderr
        assert is_empty(site)
    finally:
        site.hub.stop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"knee-form.json": b"{}"}, "knee-form.json differs: this is not what Rita Roe"),
        ({"more.txt": b"x"}, "more.txt was not tested"),
        ({"signed-off.json": b"[]"}, "signed-off.json"),
        ({"../out.txt": b"x"}, "a name that leads elsewhere"),
    ],
)
def test_an_archive_that_is_not_as_signed_is_refused(
    tested: tuple[Site, Path], tmp_path: Path, change: Mapping[str, bytes], said: str
) -> None:
    site, source = tested
    stopped = promote(site, rewritten(source, tmp_path / "bad.zip", change))
    assert stopped.exit_code != 0
    assert said in stopped.stderr
    assert stopped.stderr.count("\n") == 1
    assert not (tmp_path / "out.txt").exists()


def test_what_is_no_archive_is_one_line(tested: tuple[Site, Path], tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 not really")
    stopped = promote(tested[0], tmp_path / "no.zip")
    assert "is no zip archive that can be read" in stopped.stderr
    assert stopped.stderr.count("\n") == 1


def test_export_refuses_once_a_file_is_not_what_was_tested(tested: tuple[Site, Path], tmp_path: Path) -> None:
    site = tested[0]
    site.edit("knee-form.json", "Why not?", "Why?")
    try:
        stopped = export(site, tmp_path / "later.zip")
    finally:
        site.edit("knee-form.json", "Why?", "Why not?")
    assert "does not run this study as its files are: form 'Knee feedback'" in stopped.stderr
    assert not (tmp_path / "later.zip").exists()
