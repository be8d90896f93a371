from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from helpers.peer import Peer
from helpers.study_folder import write_study
from overread.errors import ArchiveError, Conflict, Denied
from overread.plugins.render import java_names, render
from overread.study.manifest import load_stored_study
from overread.xnat.apply import Done, apply
from overread.xnat.bundle import StudyBundle, load_bundle
from overread.xnat.plan import plan
from overread.xnat.state import ServerState, read_state

IMAGE, DIGEST = "overread/knee-volume:1.0.0", "sha256:" + "a" * 64


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_study(tmp_path)


@pytest.fixture
def bundle(manifest: Path) -> StudyBundle:
    return load_bundle(manifest)


@pytest.fixture
def peer(bundle: StudyBundle) -> Peer:
    datatype = bundle.datatype
    names = java_names("overreadKnee", datatype)
    schema = render("datatype.xsd.j2", datatype=datatype, spec=datatype.spec, names=names)
    return Peer(schemas={"xnat": "<x/>", "knee": schema}, images={IMAGE: DIGEST})


def run(bundle: StudyBundle, peer: Peer) -> tuple[Done, ...]:
    return apply(bundle, peer, tell=lambda _: None)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_empty_server_gets_everything_and_a_second_run_changes_nothing(bundle: StudyBundle, peer: Peer) -> None:
    first = run(bundle, peer)
    assert {item.outcome for item in first if item.name.startswith(("project", "command", "form"))} == {"created"}
    sent = len(peer.sent)
    second = run(bundle, peer)
    assert {item.outcome for item in second} == {"unchanged", "note"}
    assert [item.name for item in second] == [item.name for item in first]
    assert len(peer.sent) == sent


def test_each_step_is_told_once_and_in_order_of_doing(bundle: StudyBundle, peer: Peer) -> None:
    told: list[str] = []
    apply(bundle, peer, tell=lambda item: told.append(item.name))
    assert len(told) == len(set(told))
    assert told.index("command exporter 1.0.0") < told.index("command knee-volume 1.0.0")
    assert told.index("command knee-volume 1.0.0") < told.index("subscription knee: new exam")


def test_project_is_private_and_archives_by_itself(bundle: StudyBundle, peer: Peer) -> None:
    run(bundle, peer)
    assert peer.projects == {"KNEE": {"accessibility": "private", "prearchive_code": "4"}}


def test_receiver_routes_by_patient_id_and_study_uid(bundle: StudyBundle, peer: Peer) -> None:
    run(bundle, peer)
    (receiver,) = peer.receivers.values()
    assert receiver["projectRoutingExpression"] == "(0008,0016):^(.+)$ t:^.+$ r:KNEE"
    assert receiver["subjectRoutingExpression"] == "(0010,0020):^(.+)$"
    assert receiver["sessionRoutingExpression"] == "(0020,000D):^(.+)$"
    assert receiver["anonymizationEnabled"] is False


def test_subscriptions_name_the_wrappers_ids(bundle: StudyBundle, peer: Peer) -> None:
    run(bundle, peer)
    by_name = {s["name"]: s for s in peer.subscriptions.values()}
    ids = {w["name"]: w["id"] for c in peer.commands.values() for w in c["xnat"]}
    action = "org.nrg.containers.services.CommandActionProvider:"
    new, late, corrected = (by_name[f"knee: {n}"] for n in ("new exam", "late images", "corrected collection"))
    assert new["action-key"] == late["action-key"] == f"{action}{ids['knee-session']}"
    assert corrected["action-key"] == f"{action}{ids['recalculate-collection']}"
    assert (new["event-filter"]["status"], late["event-filter"]["status"]) == ("CREATED", "MERGED")
    assert new["event-filter"]["payload-filter"] == "@.xsiType == 'xnat:mrSessionData'"
    assert corrected["event-filter"] == {
        "event-type": "org.nrg.xnat.eventservice.events.ImageAssessorEvent",
        "status": "UPDATED",
        "project-ids": ["KNEE"],
        "payload-filter": "@.xsiType == 'icr:roiCollectionData' && !(@.label =~ /AI-.*/)",
    }


def test_image_learns_series_rules_and_its_digest(bundle: StudyBundle, peer: Peer) -> None:
    run(bundle, peer)
    inputs = next(c["inputs"] for p, c in peer.configs.items() if "series-rules" in c["inputs"])
    value = inputs["series-rules"]["default-value"]
    assert not set(value) & set(";&|`(")
    rules = json.loads(base64.b64decode(value))
    assert rules["pd"]["where"] == [{"tag": "SeriesDescription", "matches": "(?i)pd"}]
    assert inputs["image-digest"] == {"default-value": DIGEST, "user-settable": False}


def test_stored_manifest_can_be_read_back_and_names_the_form(bundle: StudyBundle, peer: Peer) -> None:
    run(bundle, peer)
    study = load_stored_study(peer.texts["/data/projects/KNEE/config/overread/study"], source="server")
    (form,) = peer.forms.values()
    assert study.form_uuid == form["formUUID"]
    assert (study.result_type, study.viewer_series) == ("knee:resultData", ("pd",))
    assert (study.wrapper_name, study.recompute_wrapper_name) == ("knee-session", "recalculate-collection")


def test_other_studies_stay_in_the_sites_table(bundle: StudyBundle, peer: Peer) -> None:
    peer.texts["/data/config/overread/studies"] = json.dumps({"hip": {"project": "HIP", "title": "Hip"}})
    run(bundle, peer)
    assert json.loads(peer.texts["/data/config/overread/studies"]) == {
        "hip": {"project": "HIP", "title": "Hip"},
        "knee": {"project": "KNEE", "title": "Knee effusion"},
    }


def test_broken_sites_table_is_not_overwritten(bundle: StudyBundle, peer: Peer) -> None:
    peer.texts["/data/config/overread/studies"] = "{"
    with pytest.raises(ArchiveError, match="no JSON object; mend or remove it"):
        run(bundle, peer)
    assert peer.sent == []


def changed_names(done: tuple[Done, ...]) -> list[str]:
    return [item.name for item in done if item.outcome in {"created", "updated"}]


CHANGES: dict[str, tuple[str, str, list[str]]] = {
    "study.yaml: at_least": (
        "at_least: 3",
        "at_least: 4",
        [
            "defaults of knee-session in KNEE",
            "defaults of recalculate-collection in KNEE",
            "manifest in project KNEE",
        ],
    ),
    "study.yaml: title": (
        "title: Knee effusion",
        "title: Knees",
        ["manifest in project KNEE", "study knee in the site's table"],
    ),
    "knee-form.json: question": (
        "Usable?",
        "Is it usable?",
        ["form 'Knee feedback'", "manifest in project KNEE"],
    ),
    "images/knee-volume/command.json: required": (
        '"required": true',
        '"required": false',
        ["command knee-volume 1.0.0"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_touches_only_what_it_concerns(manifest: Path, peer: Peer, change: str) -> None:
    run(load_bundle(manifest), peer)
    old, new, names = CHANGES[change]
    edit(manifest.parent / change.partition(":")[0], old, new)
    assert changed_names(run(load_bundle(manifest), peer)) == names


def test_form_keeps_its_id_when_its_questions_change(manifest: Path, peer: Peer) -> None:
    run(load_bundle(manifest), peer)
    before = [form["formUUID"] for form in peer.forms.values()]
    edit(manifest.parent / "knee-form.json", "Usable?", "Is it usable?")
    run(load_bundle(manifest), peer)
    run(load_bundle(manifest), peer)
    stored = json.loads(peer.texts["/data/projects/KNEE/config/overread/study"])
    assert stored["form_version"] == 2
    assert [form["formUUID"] for form in peer.forms.values()] == before


def test_recreated_command_gets_its_subscriptions_moved(bundle: StudyBundle, peer: Peer) -> None:
    run(bundle, peer)
    number = next(n for n, c in peer.commands.items() if c["name"] == "knee-volume")
    del peer.commands[number]
    names = changed_names(run(bundle, peer))
    assert "subscription knee: new exam" in names
    wrapper = next(c for c in peer.commands.values() if c["name"] == "knee-volume")["xnat"][0]["id"]
    assert {s["action-key"].rpartition(":")[2] for s in peer.subscriptions.values() if "exam" in s["name"]} == {
        str(wrapper)
    }
    assert len(peer.subscriptions) == 3


def test_receiver_that_someone_changed_is_put_right(bundle: StudyBundle, peer: Peer) -> None:
    run(bundle, peer)
    (receiver,) = peer.receivers.values()
    receiver |= {"enabled": False, "whitelist": ["PACS1"]}
    (step,) = [item for item in run(bundle, peer) if item.outcome == "updated"]
    assert (step.name, step.detail) == ("receiver KNEE:8104", "enabled: false -> true")
    (receiver,) = peer.receivers.values()
    assert (receiver["enabled"], receiver["whitelist"]) == (True, ["PACS1"])


def test_missing_datatype_stops_before_anything_is_sent(bundle: StudyBundle) -> None:
    peer = Peer(schemas={"xnat": "<x/>"})
    with pytest.raises(ArchiveError, match=r"datatype knee:resultData: .*build overread-knee-1\.2\.0\.jar"):
        run(bundle, peer)
    assert peer.sent == []


def test_older_datatype_stops_and_names_the_field(bundle: StudyBundle, peer: Peer) -> None:
    peer.schemas["knee"] = peer.schemas["knee"].replace('name="remarks"', 'name="old"')
    with pytest.raises(ArchiveError, match="has no field remarks"):
        run(bundle, peer)


def test_refused_request_says_which_and_leaves_the_rest_for_the_next_run(bundle: StudyBundle, peer: Peer) -> None:
    told: list[Any] = []
    peer.deny("POST /xapi/dicomscp")
    with pytest.raises(Denied, match="POST /xapi/dicomscp: 403"):
        apply(bundle, peer, tell=told.append)
    assert peer.projects
    assert told


def test_server_that_forgets_is_found_out(bundle: StudyBundle, peer: Peer) -> None:
    peer.forgetful = True
    with pytest.raises(Conflict, match="receiver KNEE:8104: the server took it but does not keep it"):
        run(bundle, peer)


def test_plan_of_an_empty_server_waits_for_ids_only(bundle: StudyBundle, peer: Peer) -> None:
    steps = plan(bundle, read_state(peer, bundle))
    assert {step.name.partition(" ")[0] for step in steps if step.action == "wait"} == {
        "wrapper", "defaults", "manifest", "subscription",
    }  # fmt: skip
    assert all(step.requests for step in steps if step.action in {"create", "update"})


def test_plan_is_pure(bundle: StudyBundle) -> None:
    assert plan(bundle, ServerState()) == plan(bundle, ServerState())


def test_image_that_the_server_lacks_leaves_the_digest_unsaid(bundle: StudyBundle, peer: Peer) -> None:
    peer.images.clear()
    run(bundle, peer)
    assert all("image-digest" not in config["inputs"] for config in peer.configs.values())
