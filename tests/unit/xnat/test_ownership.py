"""Apply after a failure, beside what somebody else made, on other versions; and destroy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.peer import Peer
from helpers.study_folder import write_study
from overread.errors import ArchiveError, Unavailable
from overread.plugins.render import java_names, render
from overread.xnat.apply import Done, apply
from overread.xnat.bundle import StudyBundle, load_bundle
from overread.xnat.connection import Answer, Request
from overread.xnat.destroy import destroy

MADE = "/data/projects/KNEE/config/overread/made"


@pytest.fixture
def bundle(tmp_path: Path) -> StudyBundle:
    return load_bundle(write_study(tmp_path))


def new_peer(bundle: StudyBundle) -> Peer:
    images = {command.image: "sha256:" + "a" * 64 for command in bundle.commands}
    datatype = bundle.datatype
    names = java_names("overreadKnee", datatype)
    schema = render("datatype.xsd.j2", datatype=datatype, spec=datatype.spec, names=names)
    return Peer(schemas={"xnat": "<x/>", "knee": schema}, images=images)


def run(bundle: StudyBundle, peer: Peer, *, adopt: bool = False) -> tuple[Done, ...]:
    return apply(bundle, peer, tell=lambda _: None, adopt=adopt)


def remove(bundle: StudyBundle, peer: Peer) -> dict[str, Done]:
    return {item.name: item for item in destroy(bundle, peer, tell=lambda _: None)}


def snapshot(peer: Peer) -> Any:
    """What a server has, without the numbers and UUIDs that it gives."""
    wrappers = {w["id"]: w["name"] for c in peer.commands.values() for w in c["xnat"]}
    text = json.dumps(
        [
            peer.projects,
            sorted(peer.commands.values(), key=lambda c: str(c["name"])),
            sorted(peer.receivers.values(), key=lambda r: str(r["aeTitle"])),
            sorted(peer.subscriptions.values(), key=lambda s: str(s["name"])),
            [(f["contents"], f["path"]) for f in peer.forms.values()],
            sorted(peer.enabled),
            peer.configs,
            dict(sorted(peer.texts.items())),
            peer.events_on,
        ],
        indent=0,
        sort_keys=True,
    )
    for number, name in wrappers.items():
        text = text.replace(f'Provider:{number}"', f'Provider:{name}"')
        text = text.replace(f"wrappers/{number}/", f"wrappers/{name}/")
    for form in peer.forms.values():
        text = text.replace(form["formUUID"], "UUID")
    return "\n".join(sorted(line for line in text.splitlines() if not line.startswith('"id"')))


class Breaking(Peer):
    """A peer whose connection breaks at one request; what was asked is done or not, as `does` says."""

    at, does = -1, False

    def send(self, request: Request) -> Answer:
        if len(self.sent) == self.at:
            self.at = -1
            if self.does:
                super().send(request)
            raise Unavailable(f"{request.method} {request.path}: the connection broke; try again")
        return super().send(request)


@pytest.mark.parametrize("does", [False, True], ids=["undone", "done-unanswered"])
def test_apply_that_broke_at_any_request_ends_the_same(bundle: StudyBundle, does: bool) -> None:
    whole = new_peer(bundle)
    run(bundle, whole)
    for at in range(len(whole.sent)):
        peer = Breaking(schemas=whole.schemas, images=whole.images)
        peer.at, peer.does = at, does
        with pytest.raises(Unavailable):
            run(bundle, peer)
        run(bundle, peer)
        assert snapshot(peer) == snapshot(whole), f"broke at request {at}: {whole.sent[at]}"


def test_record_stands_before_what_it_is_about(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    run(bundle, peer)
    paths = [request.path for request in peer.sent]
    assert paths.index("/data/projects/KNEE") < paths.index(MADE) < paths.index("/xapi/commands")
    made = json.loads(peer.texts[MADE])["made"]
    assert {"receiver KNEE:8104", "form 'Knee feedback'", "subscription knee: new exam"} <= set(made)


def test_object_of_somebody_else_is_not_changed(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    peer.receivers[77] = {"id": 77, "aeTitle": "KNEE", "port": 8104, "projectRoutingExpression": "x", "enabled": True}
    with pytest.raises(ArchiveError, match="receiver KNEE:8104: is there already, was made by somebody else") as caught:
        run(bundle, peer)
    assert "rename or remove it on the server, or take it over with --adopt" in str(caught.value)
    assert peer.sent == []
    run(bundle, peer, adopt=True)
    assert peer.receivers[77]["projectRoutingExpression"] != "x"


def test_object_of_somebody_else_that_is_right_stays_theirs(bundle: StudyBundle) -> None:
    first = new_peer(bundle)
    run(bundle, first)
    peer = new_peer(bundle)
    (receiver,) = first.receivers.values()
    peer.receivers[77] = {**receiver, "id": 77}
    run(bundle, peer)
    assert "receiver KNEE:8104" not in json.loads(peer.texts[MADE])["made"]
    gone = remove(bundle, peer)
    assert gone["receiver KNEE:8104"].detail == "stays: was not made by this study"
    assert list(peer.receivers) == [77]


def test_broken_record_stops_everything(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    run(bundle, peer)
    sent = len(peer.sent)
    peer.texts[MADE] = "{"
    with pytest.raises(ArchiveError, match="can't be read; mend or remove it"):
        run(bundle, peer)
    assert len(peer.sent) == sent


def test_study_of_an_earlier_version_counts_as_its_own(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    run(bundle, peer)
    del peer.texts[MADE]
    run(bundle, peer)
    assert "command knee-volume 1.0.0" in json.loads(peer.texts[MADE])["made"]


def test_destroy_removes_what_starts_runs_and_keeps_data(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    peer.texts["/data/config/overread/studies"] = "{}"
    run(bundle, peer)
    remove(bundle, peer)
    assert (peer.subscriptions, peer.receivers, peer.commands) == ({}, {}, {})
    assert json.loads(peer.texts["/data/config/overread/studies"]) == {}
    assert peer.projects
    assert peer.forms
    assert "/data/projects/KNEE/config/overread/study" in peer.texts
    assert {request.method for request in peer.sent if request.path.startswith("/data/projects/KNEE")} == {"PUT"}
    sent = len(peer.sent)
    assert all(item.outcome != "updated" for item in remove(bundle, peer).values())
    assert len(peer.sent) == sent


def test_study_comes_back_after_destroy(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    run(bundle, peer)
    before = snapshot(peer)
    remove(bundle, peer)
    run(bundle, peer)
    assert snapshot(peer) == before


def test_commands_that_another_study_may_use_stay(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    run(bundle, peer)
    table = "/data/config/overread/studies"
    peer.texts[table] = json.dumps({**json.loads(peer.texts[table]), "hip": {"project": "HIP", "title": "Hip"}})
    peer.texts["/data/projects/HIP/config/overread/study"] = json.dumps(
        {"command_name": "knee-volume", "command_version": "1.0.0"}
    )
    remove(bundle, peer)
    assert {c["name"] for c in peer.commands.values()} == {"knee-volume", "exporter"}
    assert list(json.loads(peer.texts[table])) == ["hip"]


def test_destroy_without_a_study_changes_nothing(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    with pytest.raises(ArchiveError, match="there is no study knee in project KNEE; nothing to remove"):
        remove(bundle, peer)
    assert peer.sent == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": "1.7.6"}, "server XNAT 1.7.6: is too old: a study needs 1.9 or newer; upgrade it"),
        (
            {"plugins": {"ohifViewerPlugin": "3.7.2"}},
            "plugin Container Service: the server does not have it; install it",
        ),
        ({"plugins": {"containers": "3.1.0", "ohifViewerPlugin": "3.7"}}, "plugin Container Service 3.1.0: is too old"),
        ({"plugins": {"containers": "3.7.3"}}, "plugin OHIF viewer: the server does not have it"),
    ],
)
def test_server_that_lacks_what_is_needed_is_left_alone(
    bundle: StudyBundle, change: dict[str, Any], complaint: str
) -> None:
    peer = new_peer(bundle)
    for key, value in change.items():
        setattr(peer, key, value)
    with pytest.raises(ArchiveError) as caught:
        run(bundle, peer)
    assert complaint in str(caught.value)
    assert peer.sent == []


def test_untested_version_is_noted_and_applied_to(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    peer.version = "1.10.1"
    (note,) = [item for item in run(bundle, peer) if item.name == "server XNAT 1.10.1"]
    assert (note.outcome, note.detail) == ("note", "was not tested; tested with 1.9: try the study on a copy first")


def test_study_brings_its_anonymisation_script(bundle: StudyBundle) -> None:
    peer = new_peer(bundle)
    script = 'version "6.3"\n(0010,0010) := "X"\n'
    run(replace(bundle, anonymisation=script), peer)
    assert peer.scripts == {"/xapi/anonymize/projects/KNEE": script, "/xapi/anonymize/projects/KNEE/enabled": "true"}
    sent = len(peer.sent)
    run(replace(bundle, anonymisation=script), peer)
    assert len(peer.sent) == sent
    (note,) = [item for item in run(bundle, peer) if item.name.startswith("anonymisation script")]
    assert note.outcome == "note"
