from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import COMMAND
from helpers.study_folder import FORM, write_study
from overread.commands.model import Command
from overread.xnat.bundle import StudyBundle, load_bundle
from overread.xnat.plan import plan
from overread.xnat.plan_commands import same_command
from overread.xnat.plan_events import subscriptions
from overread.xnat.state import ServerState
from overread.xnat.steps import Step, covers


@pytest.fixture
def bundle(tmp_path: Path) -> StudyBundle:
    return load_bundle(write_study(tmp_path))


def steps(bundle: StudyBundle, state: ServerState) -> dict[str, Step]:
    return {step.name: step for step in plan(bundle, state, adopt=True)}


def accepting(bundle: StudyBundle, accept: list[dict[str, Any]], contexts: list[str]) -> StudyBundle:
    arrival = bundle.manifest.model_dump(mode="json")["arrival"] | {"accept": accept}
    manifest = bundle.manifest.model_validate(bundle.manifest.model_dump(mode="json") | {"arrival": arrival})
    wrapper = bundle.model.wrapper.model_copy(update={"contexts": tuple(contexts)})
    return replace(bundle, manifest=manifest, model=replace(bundle.model, wrapper=wrapper))


ANY = "xnat:imageSessionData"


@pytest.mark.parametrize(
    ("accept", "contexts", "payload_filter"),
    [
        ([{"tag": "Modality", "in": ["MR"]}], ["xnat:mrSessionData"], "@.xsiType == 'xnat:mrSessionData'"),
        ([{"tag": "Modality", "equals": "CT"}], [ANY], "@.xsiType == 'xnat:ctSessionData'"),
        (
            [{"tag": "Modality", "in": ["CT", "PT", "CT"]}],
            [ANY],
            "@.xsiType in ['xnat:ctSessionData', 'xnat:petSessionData']",
        ),
        ([], ["xnat:mrSessionData"], "@.xsiType == 'xnat:mrSessionData'"),
        ([], [ANY], ""),
        ([{"tag": "Modality", "in": ["OPT"]}], [ANY], ""),
    ],
)
def test_sessions_of_the_accepted_modalities_start_the_model(
    bundle: StudyBundle, accept: list[dict[str, Any]], contexts: list[str], payload_filter: str
) -> None:
    first = subscriptions(accepting(bundle, accept, contexts))[0]
    assert first.payload_filter == payload_filter


def test_study_without_correction_has_no_third_subscription(bundle: StudyBundle) -> None:
    assert [s.status for s in subscriptions(replace(bundle, recompute=None))] == ["CREATED", "MERGED"]


def test_how_runs_are_queued_is_said_to_the_subscriptions(bundle: StudyBundle) -> None:
    manifest = bundle.manifest.model_dump(mode="json")
    runs = {"priority": "urgent", "time_limit_s": 900, "attempts": 3}
    told = {"overread-priority": "urgent", "overread-time-limit-s": "900", "overread-attempts": "3"}
    command = bundle.model.command.document() | {"id": 4}
    command["xnat"][0]["id"] = 9
    state = ServerState(has_project=True, commands=(command,))

    name = f"subscription {manifest['id']}: new exam"

    def attributes(changed: StudyBundle, state: ServerState = state) -> dict[str, str]:
        (request,) = steps(changed, state)[name].requests
        found: dict[str, str] = request.json["attributes"]
        return found

    assert attributes(bundle) == {}
    busy = replace(bundle, manifest=bundle.manifest.model_validate(manifest | {"runs": runs}))
    assert attributes(busy) == told
    have = steps(busy, state)[name].requests[0].json | {"id": 2}
    subscribed = replace(state, subscriptions=(have,))
    assert steps(busy, subscribed)[name].action == "unchanged"
    assert attributes(bundle, subscribed) == {}, "what is no longer said is taken away"


def test_study_without_a_form_needs_none(bundle: StudyBundle) -> None:
    planned = steps(replace(bundle, form=None), ServerState())
    assert not [name for name in planned if name.startswith("form")]
    stored = json.loads(planned["manifest in project KNEE"].requests[0].text or "")
    assert (stored["form_uuid"], stored["form_version"]) == (None, None)


def form_row(**changes: Any) -> dict[str, Any]:
    return {
        "appliesToList": [{"entityId": "KNEE", "idCustomVariableFormAppliesTo": "7_1", "status": "enabled"}],
        "contents": json.dumps(FORM),
        "formUUID": "u",
        "path": "datatype/knee:resultData",
        **changes,
    }


@pytest.mark.parametrize(
    "row",
    [
        form_row(path="datatype/hip:resultData"),
        form_row(contents=json.dumps({**FORM, "title": "Another"})),
        form_row(contents="{broken"),
        form_row(appliesToList=[{"entityId": "HIP", "idCustomVariableFormAppliesTo": "7_1", "status": "enabled"}]),
        form_row(appliesToList=[{"entityId": "KNEE", "idCustomVariableFormAppliesTo": "7_1", "status": "deleted"}]),
    ],
)
def test_form_of_another_study_is_left_alone(bundle: StudyBundle, row: dict[str, Any]) -> None:
    step = steps(bundle, ServerState(has_project=True, forms=(row,)))["form 'Knee feedback'"]
    assert step.action == "create"
    assert step.requests[0].json["submission"]["data"]["idCustomVariableFormAppliesTo"] == "-1_-1"


def test_changed_form_is_saved_over_its_own_row(bundle: StudyBundle) -> None:
    row = form_row(contents=json.dumps({**FORM, "display": "wizard"}))
    step = steps(bundle, ServerState(has_project=True, forms=(row,)))["form 'Knee feedback'"]
    assert (step.action, step.requests[0].json["submission"]["data"]["idCustomVariableFormAppliesTo"]) == (
        "update",
        "7_1",
    )


def test_schema_that_is_no_xml_lacks_every_field(bundle: StudyBundle) -> None:
    step = steps(bundle, ServerState(schema="<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"))["datatype knee:resultData"]
    assert step.action == "refuse"
    assert step.detail.startswith(
        "the server's has no field status, effusion_ml, remarks; build overread-knee-1.2.0.jar"
    )


def test_other_port_moves_the_receiver_and_the_stored_manifest(bundle: StudyBundle) -> None:
    planned = steps(replace(bundle.at_port(11112), form=None), ServerState())
    assert "receiver KNEE:11112" in planned
    assert json.loads(planned["manifest in project KNEE"].requests[0].text or "")["receiver"]["port"] == 11112


WANT = Command.model_validate(COMMAND)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"id": 3, "hash": "", "auto-remove": False, "visibility": "public", "new-key": {"a": 1}}, True),
        ({"image": "overread/knee-volume:1.0.1"}, False),
        ({"environment-variables": {"OVERREAD_PROJECT": "#project#", "EXTRA": "1"}}, False),
        ({"inputs": []}, False),
        ({"mounts": "broken"}, False),
    ],
)
def test_command_is_the_same_apart_from_what_the_server_fills_in(changes: dict[str, Any], same: bool) -> None:
    assert same_command({**COMMAND, **changes}, WANT) is same


@pytest.mark.parametrize(
    ("have", "want", "does"),
    [
        ({"a": 1, "b": 2}, {"a": "1"}, True),
        ({"a": "true"}, {"a": True}, True),
        ({"a": None}, {"a": ""}, True),
        ({}, {"a": 1}, False),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": "12"}, {"a": ["1", "2"]}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ("x", {"a": 1}, False),
    ],
)
def test_document_covers_another(have: Any, want: Any, does: bool) -> None:
    assert covers(have, want) is does
