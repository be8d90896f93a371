"""Searches that are kept under a name."""

from __future__ import annotations

import httpx

from hub_fixture import RunningHub

SEARCH = b"""<xdat:stored_search ID="late" brief-description="Late ones" secure="%d"
 xmlns:xdat="http://nrg.wustl.edu/security">
<xdat:root_element_name>xnat:ctSessionData</xdat:root_element_name>
<xdat:search_field><xdat:element_name>xnat:ctSessionData</xdat:element_name><xdat:field_ID>LABEL</xdat:field_ID>
<xdat:sequence>0</xdat:sequence><xdat:type>string</xdat:type><xdat:header>Label</xdat:header></xdat:search_field>
<xdat:search_where method="AND"><xdat:criteria><xdat:schema_field>xnat:ctSessionData/note</xdat:schema_field>
<xdat:comparison_type>=</xdat:comparison_type><xdat:value>late</xdat:value></xdat:criteria></xdat:search_where>
</xdat:stored_search>"""


def test_a_search_is_kept_listed_run_and_taken_away(shared_hub: RunningHub, admin: httpx.Client, session: str) -> None:
    admin.put(f"/data/experiments/{session}", params={"xsiType": "xnat:ctSessionData", "note": "late"})
    label = admin.get(f"/data/experiments/{session}?format=json").json()["items"][0]["data_fields"]["label"]
    url = "/data/search/saved/late"
    assert admin.put(url, content=b"<no/>").status_code == 422
    assert admin.put(url, content=SEARCH % 1).status_code == 200
    assert admin.get(url).content == SEARCH % 1
    rows = admin.get("/data/search/saved?format=json").json()["ResultSet"]["Result"]
    assert [(row["id"], row["brief_description"]) for row in rows] == [("late", "Late ones")]
    assert admin.get(f"{url}/results?format=json").json()["ResultSet"]["Result"] == [{"label": label}]

    admin.post("/xapi/users", json={"username": "seeker", "password": "seeker-password"})
    with shared_hub.client("seeker", "seeker-password") as seeker:
        assert seeker.get(url).status_code == 404, "it is secure"
        admin.put(url, content=SEARCH % 0)
        assert seeker.get(f"{url}/results?format=json").json()["ResultSet"]["Result"] == [], "of P nothing may be read"
        assert seeker.delete(url).status_code == 403
        assert seeker.put(url, content=SEARCH % 0).status_code == 403
        assert seeker.put("/data/projects/P/searches/theirs", content=SEARCH % 0).status_code == 403

    assert admin.put("/data/projects/P/searches/late", content=SEARCH % 1).status_code == 409
    assert admin.put("/data/projects/P/searches/ours", content=SEARCH % 1).status_code == 200
    tagged = admin.get("/data/search/saved?format=json&includeTag=P").json()["ResultSet"]["Result"]
    assert [row["id"] for row in tagged] == ["ours"]
    for name in ("/data/projects/P/searches/ours", url):
        assert admin.delete(name).status_code == 200
        assert admin.get(name).status_code == 404
