"""From a launch to what runs: inputs derived from objects, matchers, replacement, mounts, outputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from helpers.archive import add_project, add_session, add_user
from helpers.runs import document
from overread.errors import PermanentRunnerError
from overread.hub.access import SYSTEM, Caller
from overread.hub.app import assemble
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from overread.hub.items.experiments import NewExperiment, save_experiment
from overread.hub.models import Experiment
from overread.hub.runs.documents import Wrapper, find_wrapper, save_command, set_config
from overread.hub.runs.resolve import resolve_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that serves nothing, with a session S1 of two scans, one assessor, and a session S2 of none."""
    hub = assemble(Hub(HubConfig(home=tmp_path_factory.mktemp("home"))))
    add_project(hub)
    session = add_session(hub, scans=("1", "2"), event="")
    add_session(hub, "S2", scans=(), event="")
    add_user(hub, "stranger")
    with hub.database.write() as db:
        new = NewExperiment("icr:roiCollectionData", "P", "R1", session_id=session)
        save_experiment(db, hub, new, user="admin", notify=False)
    hub.layout.assessor("P", "S1", "R1").mkdir(parents=True)
    yield hub
    hub.stop()


class Bench:
    """Resolves launches of changed documents."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub, self.folder = hub, folder

    def resolve(
        self,
        changed: dict[str, Any],
        values: dict[str, str] | None = None,
        *,
        caller: Caller = SYSTEM,
        config: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        with self.hub.database.write() as db:
            saved = save_command(db, changed | {"name": f"c{self.folder.name}"})
            wrapper_id = saved.document["xnat"][0]["id"]
            if config:
                set_config(db, wrapper_id, "P", {"inputs": config})
            wrapper: Wrapper = find_wrapper(db, wrapper_id, project="P")
            found = resolve_run(
                db,
                self.hub,
                wrapper,
                values if values is not None else {"session": self.uri("S1")},
                caller=caller,
                folder=self.folder,
            )
            db.delete(saved)
        return found

    def uri(self, label: str) -> str:
        with self.hub.database.read() as db:
            session = db.scalar(select(Experiment).where(Experiment.label == label))
            assert session is not None
            return f"/archive/experiments/{session.id}"


@pytest.fixture
def bench(home: Hub, tmp_path: Path) -> Bench:
    return Bench(home, tmp_path)


def changed(*, external: dict[str, Any] | None = None, derived: tuple[dict[str, Any], ...] = (), **top: Any) -> Any:
    whole = copy.deepcopy(document(**top))
    whole["xnat"][0]["external-inputs"][0].update(external or {})
    whole["xnat"][0]["derived-inputs"] += derived
    return whole


def test_values_of_the_object_reach_variables_and_mounts(bench: Bench) -> None:
    found = bench.resolve(document())
    assert found["env"]["OVERREAD_SESSION_LABEL"] == "S1"
    assert found["env"]["OVERREAD_PROJECT"] == "P"
    given, out = found["mounts"]
    assert Path(given["xnat-host-path"]) == bench.hub.layout.session("P", "S1")
    assert (given["writable"], out["writable"]) == (False, True)
    assert Path(out["xnat-host-path"]).is_dir()
    assert Path(out["xnat-host-path"]).is_relative_to(bench.folder)
    assert found["command-line"] == "python /app/main.py --input /input --output /output "
    assert [row["handled-by"] for row in found["outputs"]] == ["session", "store", "store"]
    assert found["outputs"][0]["parent-uri"] == bench.uri("S1")
    assert {row["type"] for row in found["inputs"]} == {"raw", "wrapper-external", "wrapper-derived", "command"}


def test_what_is_given_goes_before_the_project_and_that_before_the_command(bench: Bench) -> None:
    given = {"session": bench.uri("S1")}
    assert bench.resolve(document(), given)["command-line"].endswith("/output ")
    config = {"mode": {"default-value": "fast"}}
    assert bench.resolve(document(), given, config=config)["command-line"].endswith("--mode=fast")
    full = given | {"mode": "full"}
    assert bench.resolve(document(), full, config=config)["command-line"].endswith("--mode=full")


def test_a_scan_is_derived_by_its_matcher_and_its_files_are_mounted(bench: Bench) -> None:
    scan = {
        "name": "scan",
        "type": "Scan",
        "derived-from-wrapper-input": "session",
        "matcher": "@.scan-type == 'FLAIR'",
    }
    dicom = {"name": "dicom", "type": "Resource", "derived-from-wrapper-input": "scan",
             "matcher": "@.label == 'DICOM'", "provides-files-for-command-mount": "in"}  # fmt: skip
    whole = changed(external={"provides-files-for-command-mount": None}, derived=(scan, dicom))
    found = bench.resolve(whole)
    assert Path(found["mounts"][0]["xnat-host-path"]) == bench.hub.layout.scan("P", "S1", "1") / "DICOM"


def test_parents_are_derived_too(bench: Bench) -> None:
    whole = changed(
        external={"name": "collection", "type": "Assessor"},
        derived=(
            {"name": "of", "type": "Session", "derived-from-wrapper-input": "collection"},
            {"name": "subject", "type": "Subject", "derived-from-wrapper-input": "of"},
            {"name": "project", "type": "Project", "derived-from-wrapper-input": "of"},
        ),
    )
    wrapper = whole["xnat"][0]
    for given in wrapper["derived-inputs"][:3]:
        given["derived-from-wrapper-input"] = "of"
    wrapper["derived-inputs"] = [*wrapper["derived-inputs"][3:], *wrapper["derived-inputs"][:3]]
    wrapper["output-handlers"][0]["as-a-child-of"] = "of"
    found = bench.resolve(whole, {"collection": f"{bench.uri('S1')}/assessors/R1"})
    assert found["env"]["OVERREAD_SESSION_LABEL"] == "S1"
    values = {row["name"]: row["value"] for row in found["inputs"]}
    assert values["project"] == "/archive/projects/P"
    assert values["subject"].startswith("/archive/subjects/")
    assert Path(found["mounts"][0]["xnat-host-path"]) == bench.hub.layout.assessor("P", "S1", "R1")


def test_several_values_of_one_input(bench: Bench) -> None:
    scans = {"name": "scans", "type": "Scan", "derived-from-wrapper-input": "session", "multiple": True,
             "derived-from-xnat-object-property": "id", "provides-value-for-command-input": "mode"}  # fmt: skip
    for delimiter, line in (("comma", "--mode=1,2"), ("flag", "--mode=1 --mode=2"), ("quoted-space", "--mode='1 2'")):
        whole = changed(derived=(scans,))
        whole["inputs"][0]["multiple-delimiter"] = delimiter
        assert bench.resolve(whole)["command-line"].endswith(line)
    whole = changed(derived=(scans | {"multiple": False},))
    with pytest.raises(PermanentRunnerError, match="fits several objects"):
        bench.resolve(whole)
    chosen = bench.resolve(whole, {"session": bench.uri("S1"), "scans": "2"})
    assert chosen["command-line"].endswith("--mode=2")


def test_a_writable_mount_gets_a_copy(bench: Bench) -> None:
    whole = document()
    whole["mounts"][0]["writable"] = True
    mount = bench.resolve(whole)["mounts"][0]
    copied = Path(mount["xnat-host-path"])
    assert copied.is_relative_to(bench.folder)
    assert (copied / "SCANS" / "1" / "DICOM" / "a.dcm").is_file()


@pytest.mark.parametrize(
    ("whole", "values", "message"),
    [
        (changed(), {"session": "NONE"}, "NONE"),
        (changed(), {"session": "/archive/projects/P"}, "is no Session"),
        (changed(), {}, "Required input without value: session"),
        (changed(external={"matcher": "@.label == 'OTHER'"}), None, "Required input without value: session"),
        (changed(external={"matcher": "@.label == '#mode# =='"}), None, "Required input"),
        (changed(external={"matcher": "@.label == #mode#"}), None, "matcher"),
        (changed(), {"session": "S2-uri"}, "has no files"),
        (changed(external={"via-setup-command": "a/b:1"}), None, "no setup command a/b:1"),
        (changed(working_directory="^$.mounts[*].path^"), None, "leads to 2 values"),
    ],
)
def test_what_can_not_be_resolved_is_told(
    bench: Bench, whole: dict[str, Any], values: dict[str, str] | None, message: str
) -> None:
    if values == {"session": "S2-uri"}:
        values = {"session": bench.uri("S2")}
    with pytest.raises(PermanentRunnerError, match=message):
        bench.resolve(whole, values)


def test_a_setup_command_fills_the_mount_in_place_of_the_object(bench: Bench) -> None:
    setup = {"name": "sort", "type": "docker-setup", "image": "a/sort:1", "command-line": "sort #mode# /input /output"}
    with bench.hub.database.write() as db:
        save_command(db, setup)
    whole = changed(external={"via-setup-command": "a/sort:1:sort"})
    found = bench.resolve(whole, {"session": bench.uri("S1"), "mode": "fast"})
    (one,) = found["setup-commands"]
    source, target = one["mounts"]
    assert Path(source["xnat-host-path"]) == bench.hub.layout.session("P", "S1")
    assert (source["container-path"], source["writable"]) == ("/input", False)
    assert (target["container-path"], target["writable"]) == ("/output", True)
    assert target["xnat-host-path"] == found["mounts"][0]["xnat-host-path"]
    assert list(Path(target["xnat-host-path"]).iterdir()) == []
    assert found["mounts"][0]["writable"] is False
    assert one["command-line"] == "sort --mode=fast /input /output"
    assert one["env"] == found["env"]
    assert one["parent-source-object-name"] == "in"


def test_values_in_carets_are_found_in_the_command_and_its_wrapper(bench: Bench) -> None:
    whole = changed(
        command_line="run ^$.mounts[?(@.name=='in')].path^ #mode#",
        working_directory="^wrapper:$.external-inputs[0].name^",
    )
    whole["inputs"][0]["default-value"] = "^$.mounts[?(@.name=='out')].path^"
    whole["xnat"][0]["output-handlers"][1]["label"] = "^$.name^"
    found = bench.resolve(whole)
    assert found["command-line"] == "run /input --mode=/output"
    assert found["working-directory"] == "session"
    assert found["outputs"][1]["label"] == whole["name"].replace("tiny", f"c{bench.folder.name}")
    with pytest.raises(PermanentRunnerError, match="illegal string"):  # what a path leads to is looked at as well
        bench.resolve(whole | {"label": "a; b"}, {"session": bench.uri("S1"), "mode": "^$.label^"})


@pytest.mark.parametrize("text", ["a;b", "a && b", "a || b", "`id`", "(?i)flair"])
def test_values_with_a_meaning_to_the_shell_are_refused(bench: Bench, text: str) -> None:
    with pytest.raises(PermanentRunnerError, match="illegal string"):
        bench.resolve(document(), config={"mode": {"default-value": text}})


def test_nobody_runs_on_what_he_may_not_read(bench: Bench) -> None:
    with pytest.raises(PermanentRunnerError, match="may not read"):
        bench.resolve(document(), caller=Caller("stranger"))
