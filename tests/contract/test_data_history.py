"""Histories of items, and who may read them."""

from __future__ import annotations

from typing import Any

import httpx

from hub_fixture import RunningHub


def history(client: httpx.Client, url: str, **params: str) -> list[dict[str, Any]]:
    answer = client.get(f"{url}/history", params={"format": "json", "includeDetails": "true", **params})
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


def fields(event: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the changed fields of an event: path to old and new value."""
    return {
        change["field"]["xsiPath"]: (change["field"]["oldValue"], change["field"]["newValue"])
        for changeset in event["changesets"]
        for change in changeset["changes"]
        if "field" in change
    }


def test_who_changed_which_field(admin: httpx.Client, session: str) -> None:
    url = f"/data/experiments/{session}"
    admin.put(url, params={"xsiType": "xnat:ctSessionData", "note": "first", "event_reason": "checked"})
    admin.put(url, params={"xsiType": "xnat:ctSessionData", "note": "second", "date": "2026-05-01"})
    admin.put(url, params={"xsiType": "xnat:ctSessionData", "note": "second"})  # nothing changes
    made, first, second = history(admin, url)
    assert made["event_action"] == "Added CT Session"
    assert made["event_user"] == "admin"
    assert made["event_type"] == "WEB_SERVICE"
    assert made["event_category"] == "DATA"
    assert made["event_status"] == "Complete"
    assert isinstance(made["event_date"], int)
    assert first["event_reason"] == "checked"
    assert first["event_action"] == "Modified CT Session"
    assert fields(first) == {"note": ("", "first")}
    assert fields(second) == {"note": ("first", "second"), "date": ("", "2026-05-01")}


def test_without_details_events_alone(admin: httpx.Client, session: str) -> None:
    answer = admin.get(f"/data/experiments/{session}/history", params={"dateFormat": "yyyy-MM-dd'T'HH:mm"})
    event = answer.json()["events"][0]
    assert event["changesets"] == []
    assert len(event["event_date"]) == len("2026-05-01T10:11")
    assert admin.get(f"/data/experiments/{session}/history", params={"dateFormat": "QQ"}).status_code == 400


def test_custom_variables_scans_files_and_renames_show(admin: httpx.Client, session: str) -> None:
    url = f"/data/experiments/{session}"
    kind = "xnat:ctSessionData"
    admin.put(url, params={"xsiType": kind, f"{kind}/fields/field[name=reader]/field": "A"})
    admin.put(url, params={"xsiType": kind, f"{kind}/fields/field[name=reader]/field": "B"})
    admin.put(f"{url}/scans/7", params={"xsiType": "xnat:ctScanData", "type": "AXIAL"})
    admin.put(f"{url}/scans/7", params={"xsiType": "xnat:ctScanData", "quality": "unusable"})
    for name in ("a.txt", "b.txt"):
        admin.put(f"{url}/resources/NOTES/files/{name}", params={"inbody": "true"}, content=b"x")
    admin.delete(f"{url}/resources/NOTES/files/a.txt")
    admin.delete(f"{url}/resources/NOTES")
    admin.put(url, params={"label": f"{session}_renamed"})
    events = history(admin, url)
    assert [event["event_action"] for event in events] == [
        "Added CT Session",
        "Modified CT Session",
        "Modified CT Session",
        "Added CT Scan",
        "Modified CT Scan",
        "Created resource",
        "Uploaded File",
        "Removed File",
        "Removed Resource Catalog",
        "Modified CT Session",
    ]
    assert fields(events[2]) == {"fields/field[name=reader]": ("A", "B")}
    assert fields(events[4]) == {"quality": ("usable", "unusable")}
    assert events[6]["changesets"][0]["changes"] == [
        {"objectHeader": "files", "objectLabel": "NOTES", "action": "Added", "count": 1}
    ]
    assert "label" in fields(events[9])


def test_an_assessors_history_shows_in_its_sessions_and_its_subjects(admin: httpx.Client, session: str) -> None:
    url = f"/data/experiments/{session}"
    answer = admin.put(
        f"{url}/assessors/{session}_QC",
        params={"xsiType": "xnat:qcManualAssessorData", "xnat:qcManualAssessorData/project": "P"},
    )
    assessor = answer.text
    admin.delete(f"{url}/assessors/{assessor}")
    subject = admin.get(url, params={"format": "json"}).json()["items"][0]["data_fields"]["subject_ID"]
    for place in (url, f"/data/subjects/{subject}"):
        actions = [event["event_action"] for event in history(admin, place)]
        assert "Added QC Manual Assessment" in actions, place
        assert "Removed QC Manual Assessment" in actions, place


def test_a_history_outlives_its_object(shared_hub: RunningHub, admin: httpx.Client, session: str) -> None:
    assert admin.delete(f"/data/experiments/{session}").status_code == 200
    assert admin.get(f"/data/experiments/{session}/history").status_code == 404
    events = admin.get(f"/data/services/audit/xnat:ctSessionData/{session}").json()["events"]
    assert [event["event_action"] for event in events] == ["Added CT Session", "Removed CT Session"]
    assert admin.get("/data/services/audit/xnat:ctSessionData/NONE").status_code == 404
    assert admin.get("/data/services/audit/no:suchType/1").status_code == 400
    assert admin.get("/data/services/audit").status_code == 400
    admin.post("/xapi/users", json={"username": "curious", "password": "curious-password"})
    with shared_hub.client("curious", "curious-password") as curious:
        assert curious.get(f"/data/services/audit/xnat:ctSessionData/{session}").status_code == 404
        assert curious.get("/data/services/audit/xnat:projectData/P").status_code == 404


def test_a_refused_change_leaves_no_trace(admin: httpx.Client, session: str) -> None:
    url = f"/data/experiments/{session}"
    answer = admin.put(url, params={"xsiType": "xnat:ctSessionData", "note": "x", "date": "no day"})
    assert answer.status_code == 400
    assert len(history(admin, url)) == 1


def test_members_show_to_owners_alone(shared_hub: RunningHub, admin: httpx.Client) -> None:
    admin.put("/data/projects/TEAM")
    for name in ("chief", "reader"):
        admin.post("/xapi/users", json={"username": name, "password": f"{name}-password"})
    admin.put("/data/projects/TEAM/users/owner/chief")
    admin.put("/data/projects/TEAM/users/member/reader")
    admin.put("/data/projects/TEAM/users/collaborator/reader")
    with (
        shared_hub.client("chief", "chief-password") as chief,
        shared_hub.client("reader", "reader-password") as reader,
    ):
        events = history(chief, "/data/projects/TEAM")
        assert [event["event_action"] for event in events] == [
            "Added Project",
            "Added user to project",
            "Added user to project",
            "Configured project access",
        ]
        assert fields(events[3]) == {"role": ("member", "collaborator")}
        assert [event["event_action"] for event in history(reader, "/data/projects/TEAM")] == ["Added Project"]
