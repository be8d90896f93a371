from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from helpers.study_folder import write_study
from overread.cli.main import main
from overread.commands.card import read_card
from overread.commands.compile import compile_command, session_contexts
from overread.commands.lint import lint
from overread.commands.model import Command
from overread.errors import SpecError
from overread.study.manifest import load_manifest

START = {"name": "knee-session", "label": "Measure knee", "description": "Measures the exam's knee."}
CONTAINER: dict[str, Any] = {
    "image": "overread/knee-volume",
    "label": "Measure knee",
    "description": "Measures effusion.",
    "run": "python main.py --input /input --output /output",
    "starts_from": {"session": START, "scan": {**START, "name": "knee-scan"}},
    "series_rules": True,
    "outputs": {"assessor": "The result.", "result": "All of it.", "seg": "DICOM SEG.", "collection": "To show."},
    "required": ["assessor"],
    "collection_by": "overread/exporter:1.0.0:exporter",
    "settings": [
        {"name": "threshold", "label": "Threshold", "description": "Of the probability.", "type": "number",
         "default": "0.5", "variable": "OVERREAD_THRESHOLD"}
    ],
    "memory_mb": {"reserve": 2000, "limit": 8000},
    "cpus": 4,
    "shared_memory_mb": 64,
    "gpu": {"count": 1},
}  # fmt: skip
EXPORTER = {
    "kind": "wrapup",
    "image": "overread/exporter",
    "label": "Export",
    "description": "Makes the collection.",
    "run": "python main.py",
}
RECALCULATE = {
    **{key: CONTAINER[key] for key in ("label", "description", "run", "memory_mb")},
    "image": "overread/recalculate",
    "starts_from": {"collection": {**START, "name": "recalculate-collection"}},
    "outputs": {"assessor": "The result."},
}


def card(folder: Path, name: str, container: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"name": name, "version": "1.0.0", "container": container})
    (folder / "card.yaml").write_text(text, "utf-8")
    return folder


def compiled(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    spec = {key: value for key, value in {**CONTAINER, **changes}.items() if value is not ...}
    return compile_command(
        read_card(card(tmp_path, "knee-volume", spec)), contexts=("xnat:mrSessionData",), result_type="knee:resultData"
    )


def test_command_has_no_finding_at_all(tmp_path: Path) -> None:
    assert lint(Command.model_validate(compiled(tmp_path))) == ()


def test_gpu_is_said_to_each_kind_of_engine(tmp_path: Path) -> None:
    command = compiled(tmp_path, gpu={"count": 2})
    assert (command["runtime"], command["gpus"], command["generic-resources"]) == ("nvidia", "2", {"gpu": "2"})
    assert command["environment-variables"]["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert "runtime" not in compiled(tmp_path, gpu=...)


def test_limits_are_in_the_units_of_xnat(tmp_path: Path) -> None:
    command = compiled(tmp_path)
    assert (command["reserve-memory"], command["limit-memory"], command["limit-cpu"]) == (2000, 8000, 4.0)
    assert command["shm-size"] == 64 * 2**20


def test_scan_finds_its_session_and_results_go_there(tmp_path: Path) -> None:
    _, scan = compiled(tmp_path)["xnat"]
    assert (scan["contexts"], scan["external-inputs"][0]["type"]) == (["xnat:mrScanData"], "Scan")
    assert scan["derived-inputs"][0]["derived-from-wrapper-input"] == "scan"
    assert {h["as-a-child-of"] for h in scan["output-handlers"]} == {"session", "store-result", "store-collection"}


def test_setup_command_prepares_the_input(tmp_path: Path) -> None:
    session, scan = compiled(tmp_path, input_by="overread/sorter:1.0.0:sorter")["xnat"]
    for wrapper in (session, scan):
        assert wrapper["external-inputs"][0]["via-setup-command"] == "overread/sorter:1.0.0:sorter"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"starts_from": {}}, "names nothing; add session, scan or collection"),
        ({"starts_from": {"session": START, "collection": {**START}}}, "are different inputs"),
        ({"collection_by": ...}, "go together"),
        ({"required": ["sr"]}, "'sr' is no output of it"),
        ({"gpu": {"cuont": 1}}, "unknown key 'cuont'; did you mean 'count'?"),
        ({"image": "overread/knee:1"}, "write a name without tag"),
    ],
)
def test_card_that_can_not_be_compiled_says_why(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpecError) as caught:
        compiled(tmp_path, **changes)
    assert complaint in str(caught.value)


def test_contexts_are_those_of_the_accepted_modalities(tmp_path: Path) -> None:
    text = write_study(tmp_path).read_text("utf-8")
    assert session_contexts(load_manifest(text, source="s")) == ("xnat:mrSessionData",)
    several = text.replace("in: [MR]", "in: [CT, PT]")
    assert session_contexts(load_manifest(several, source="s")) == ("xnat:ctSessionData", "xnat:petSessionData")
    anything = text.replace("accept: [{tag: Modality, in: [MR]}]", "accept: []")
    assert session_contexts(load_manifest(anything, source="s")) == ("xnat:imageSessionData",)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["command", "compile", *arguments])


def test_study_is_compiled_whole_and_then_found_unchanged(tmp_path: Path) -> None:
    manifest = write_study(tmp_path)
    missing = run(str(manifest))
    assert missing.exit_code == 2
    assert "has no card; add model/card.yaml or card.yaml" in missing.stderr
    images = tmp_path / "images"
    card(images / "knee-volume", "knee-volume", CONTAINER)
    card(images / "recalculate", "recalculate", RECALCULATE)
    alone = run(str(manifest))
    assert "its wrapup command overread/exporter:1.0.0:exporter is in no folder beside it" in alone.stderr
    card(images / "exporter", "exporter", EXPORTER)
    (images / "exporter" / "Dockerfile").write_text('FROM x\nLABEL org.nrg.commands="[]"\n', "utf-8")
    stale = run("--check", str(manifest))
    assert (stale.exit_code, stale.stdout.count("stale")) == (1, 4)
    first = run(str(manifest))
    assert (first.exit_code, first.stdout.count("written")) == (0, 4), first.output
    assert run("--check", str(manifest)).exit_code == 0
    checked = CliRunner().invoke(main, ["study", "check", str(manifest)])
    assert checked.exit_code == 0, checked.output


def test_report_is_stored_as_a_scan_and_reads_the_project(tmp_path: Path) -> None:
    outputs = {"scan": "The report.", "capture": "A picture.", "result": "What was made."}
    command = compiled(tmp_path, outputs=outputs, required=[], collection_by=..., project_files=True)
    assert {mount["name"] for mount in command["mounts"]} == {"in", "project", "out"}
    session, _ = command["xnat"]
    (project,) = [item for item in session["derived-inputs"] if item["type"] == "Project"]
    assert project["provides-files-for-command-mount"] == "project"
    handlers = {item["name"]: item for item in session["output-handlers"]}
    assert (handlers["store-scan"]["type"], handlers["store-scan"]["as-a-child-of"]) == ("Scan", "session")
    assert handlers["store-capture"]["as-a-child-of"] == handlers["store-result"]["as-a-child-of"] == "store-scan"
    assert [item for item in lint(Command.model_validate(command)) if item.rule.severity == "error"] == []
