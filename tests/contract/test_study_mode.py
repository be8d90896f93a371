"""`overread study mode`: who changed it, when and why is kept; in shadow readers reach nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from helpers.study_site import Site, start_site

PASSWORD = "Long-enough-1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = start_site(tmp_path)
    site.edit("study.yaml", "project: KNEE", "mode: assist   # see the protocol\nproject: KNEE")
    assert site.apply().exit_code == 0
    with site.hub.client() as client:
        body = {
            "username": "rita", "password": PASSWORD, "firstName": "R", "lastName": "R",
            "email": "r@example.org", "enabled": True, "verified": True,
        }  # fmt: skip
        assert client.post("/xapi/users", json=body).status_code == 201
        assert client.put("/data/projects/KNEE/users/member/rita").status_code == 200
    yield site
    site.hub.stop()


def change(site: Site, mode: str, reason: str = "the committee said so") -> Result:
    return site.run("study", "mode", str(site.manifest), mode, "--reason", reason)


def log(site: Site) -> list[dict[str, object]]:
    with site.hub.client() as client:
        text = client.get("/data/projects/KNEE/config/overread/modes", params={"contents": "true"}).text
    found: list[dict[str, object]] = json.loads(text)["changes"]
    return found


def sees(site: Site) -> int:
    with site.hub.client("rita", PASSWORD) as client:
        return client.get("/data/projects/KNEE").status_code


def test_mode_is_changed_with_who_and_why_and_readers_lose_and_get_back_their_role(site: Site) -> None:
    assert sees(site) == 200
    result = change(site, "shadow")
    assert result.exit_code == 0, result.output
    assert sees(site) == 404, "by XNAT's own permissions"
    assert "mode: shadow   # see the protocol" in site.manifest.read_text("utf-8")
    (first,) = log(site)
    assert (first["before"], first["after"], first["by"]) == ("assist", "shadow", "admin")
    assert first["reason"] == "the committee said so"

    assert change(site, "shadow").stdout == "unchanged: it is in shadow.\n"
    assert len(log(site)) == 1
    again = site.apply()
    assert again.exit_code == 0, again.output
    assert {line.partition(" ")[0] for line in again.stdout.splitlines()} == {"unchanged"}

    assert change(site, "live").exit_code == 0
    assert sees(site) == 200
    assert [one["after"] for one in log(site)] == ["shadow", "live"]


def test_manifest_that_was_edited_by_hand_does_not_change_the_mode(site: Site) -> None:
    site.edit("study.yaml", "mode: assist", "mode: live")
    result = site.apply()
    assert result.exit_code == 1
    assert "the study is in assist there, the manifest says live; change it by overread study mode" in result.stderr
    assert change(site, "live").exit_code == 0
    assert site.apply().exit_code == 0


def test_reason_is_needed(site: Site) -> None:
    assert "say why, in 10 to 1000 characters" in change(site, "shadow", "because").stderr
    assert sees(site) == 200


def test_results_and_answers_say_in_which_mode_they_were(site: Site) -> None:
    with site.hub.client() as client:
        base = "/data/projects/KNEE/subjects/S/experiments"
        for number in (1, 2):
            client.put(f"{base}/E{number}", params={"xsiType": "xnat:mrSessionData"})
            params = {"xsiType": "knee:resultData", "knee:resultData/status": "ok"}
            assert client.put(f"{base}/E{number}/assessors/R{number}", params=params).status_code == 201
            form = client.get("/xapi/customforms", params={"projectId": "KNEE"}).json()[0]["formUUID"]
            said = {"data": {"usable": "yes"}, "submitted_at": f"2020-01-0{number}T00:00:00Z"}
            fields = f"/xapi/custom-fields/projects/KNEE/experiments/E{number}/assessors/R{number}/fields"
            with site.hub.client("rita", PASSWORD) as reader:
                assert reader.put(fields, json={f"answer:{form}:rita": said}).status_code == 200
            if number == 1:
                assert change(site, "live").exit_code == 0
        cases = client.get("/xapi/overread/projects/KNEE/cases").json()["cases"]
        assert [case["mode"] for case in cases] == ["assist", "live"]
        answers = client.get("/xapi/overread/projects/KNEE/answers").json()["answers"]
        assert [answer["mode"] for answer in answers] == ["assist", "assist"], "by the time of the answer"
        table = client.get("/xapi/overread/projects/KNEE/answers", params={"format": "csv"}).text
        assert ",mode," in table.splitlines()[0]
