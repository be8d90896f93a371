"""Accounts, configurations, preferences, schemas, search and pages."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import quote

import httpx
import pytest

from hub_fixture import RunningHub
from plugin_jar import XSD

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140 Safari/537.36"}
CT = "<xdat:root_element_name>xnat:ctSessionData</xdat:root_element_name>"
NO_FIELD = "<xdat:search_field><xdat:field_ID>NOTHING</xdat:field_ID></xdat:search_field>"
NAMESPACE = 'xmlns:xdat="http://nrg.wustl.edu/security"'


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return found


def make_user(admin: httpx.Client, name: str) -> str:
    password = f"{name}-password"
    answer = admin.post("/xapi/users", json={"username": name, "password": password, "firstName": "F"})
    assert answer.status_code == 201, answer.text
    return password


def test_accounts(shared_hub: RunningHub, admin: httpx.Client) -> None:
    password = make_user(admin, "ann")
    shown = admin.get("/xapi/users/profile/ann")
    assert {"username": "ann", "firstName": "F", "enabled": True, "admin": False}.items() <= shown.json().items()
    assert "password" not in shown.text
    assert admin.post("/xapi/users", json={"username": "ann", "password": "x"}).status_code == 409
    assert admin.post("/xapi/users", json={"username": "a b", "password": "x"}).status_code == 400
    assert admin.post("/xapi/users", json={"username": "guest", "password": "x"}).status_code == 400
    assert admin.post("/xapi/users", json={"username": "nopass"}).status_code == 400
    with shared_hub.client("ann", password) as ann:
        assert ann.get("/xapi/users/username").text == "ann"
        assert ann.get("/xapi/users").status_code == 403
        assert ann.get("/data/users").status_code == 403
        assert ann.get("/xapi/users/profile/admin").status_code == 403
        assert ann.put("/xapi/users/ann/roles/Administrator").status_code == 403
        assert ann.put("/xapi/users/ann", json={"enabled": True}).status_code == 403
        assert ann.put("/xapi/users/ann", json={"password": "another-password"}).status_code == 200
        assert ann.get("/xapi/users/username").status_code == 401
    assert {row["login"] for row in rows(admin.get("/data/users?format=json"))} >= {"admin", "ann"}


def test_a_disabled_account_is_out_at_once(shared_hub: RunningHub, admin: httpx.Client) -> None:
    password = make_user(admin, "dan")
    with shared_hub.client(None) as dan:
        dan.put("/data/services/auth", data={"username": "dan", "password": password})
        assert dan.get("/data/auth").status_code == 200
        assert admin.put("/xapi/users/dan/enabled/false").status_code == 200
        assert dan.get("/data/auth").status_code == 401
        assert dan.put("/data/services/auth", data={"username": "dan", "password": password}).status_code == 401
    assert admin.put("/xapi/users/admin/enabled/false").status_code == 403
    assert admin.put("/xapi/users/admin/roles", json=[]).status_code == 403


def test_roles_and_groups(shared_hub: RunningHub, admin: httpx.Client) -> None:
    password = make_user(admin, "rob")
    assert admin.put("/xapi/users/rob/groups/P_member").status_code == 200
    assert admin.get("/xapi/users/rob/groups").json() == ["P_member"]
    with shared_hub.client("rob", password) as rob:
        mine = rob.get("/xapi/access/projects").json()
        assert [(one["ID"], one["role"]) for one in mine] == [("P", "Members")]
    assert admin.put("/xapi/users/rob/roles/Boss").status_code == 400
    assert admin.put("/xapi/users/rob/roles/Administrator").status_code == 200
    assert "rob" in admin.get("/xapi/users/roles").json()["Administrator"]
    assert admin.delete("/xapi/users/rob/roles/Administrator").status_code == 200


def test_configurations_have_versions(shared_hub: RunningHub, admin: httpx.Client) -> None:
    url = "/data/projects/P/config/overread/study"
    assert admin.get(url).status_code == 404
    assert admin.get(url, params={"contents": "true", "accept-not-found": "true"}).status_code == 204
    first = admin.put(url, params={"inbody": "true"}, content='{"a": 1}', headers={"content-type": "text/plain"})
    assert first.status_code == 201
    assert admin.put(url, params={"inbody": "true"}, content='{"a": 2}').status_code == 200
    assert admin.get(url, params={"contents": "true"}).text == '{"a": 2}'
    assert admin.get(url, params={"contents": "true", "version": "1"}).text == '{"a": 1}'
    row = rows(admin.get(url, params={"format": "json"}))[0]
    assert {
        "tool": "overread",
        "path": "study",
        "version": "2",
        "status": "enabled",
        "user": "admin",
    }.items() <= row.items()
    assert admin.put(url, params={"status": "off"}).status_code == 400
    assert admin.put(url, params={"status": "disabled"}).status_code == 200
    assert rows(admin.get(url, params={"format": "json"}))[0]["status"] == "disabled"
    assert rows(admin.get("/data/projects/P/config?format=json")) == [{"tool": "overread"}]
    password = make_user(admin, "cora")
    with shared_hub.client("cora", password) as cora:
        assert cora.get(url).status_code == 404
        assert cora.put(url, params={"inbody": "true"}, content="x").status_code == 403
        assert cora.put("/data/config/overread/studies?inbody=true", content="x").status_code == 403
        assert admin.put("/data/config/overread/studies?inbody=true", content="{}").status_code == 201
        assert cora.get("/data/config/overread/studies?contents=true").text == "{}"


def test_preferences(shared_hub: RunningHub, admin: httpx.Client) -> None:
    with shared_hub.client(None) as nobody:
        assert nobody.get("/xapi/siteConfig/buildInfo?format=json").json()["version"] == "1.9.3"
        assert nobody.get("/xapi/siteConfig/buildInfo/version").json() == "1.9.3"
        assert nobody.get("/xapi/siteConfig/siteId").text == "XNAT"
        assert nobody.get("/xapi/siteConfig/adminEmail").status_code == 401
        assert nobody.get("/data/version").status_code == 401
    assert admin.get("/data/version").status_code == 404
    assert admin.get("/xapi/siteConfig/sessionXmlRebuilderInterval").json() == 5
    assert admin.post("/xapi/siteConfig", json={"sessionXmlRebuilderInterval": 1}).status_code == 200
    assert admin.get("/xapi/siteConfig/values/sessionXmlRebuilderInterval,siteId").json() == {
        "sessionXmlRebuilderInterval": 1,
        "siteId": "XNAT",
    }
    assert (
        admin.post("/xapi/siteConfig/uiDateFormat", content="yyyy", headers={"content-type": "text/plain"}).status_code
        == 200
    )
    assert admin.get("/xapi/siteConfig/uiDateFormat").text == "yyyy"
    assert admin.post("/xapi/siteConfig", json={"noSuchThing": 1}).status_code == 400
    assert admin.post("/xapi/siteConfig", json={"sessionXmlRebuilderInterval": "soon"}).status_code == 400
    assert admin.get("/xapi/siteConfig/noSuchThing").status_code == 404


def test_schemas_and_plugins(admin: httpx.Client) -> None:
    assert admin.get("/xapi/schemas?format=json").json() == ["xdat", "xnat", "icr/roi", "braintumor"]
    assert admin.get("/xapi/schemas/braintumor").text == XSD
    assert "<xs:schema " in admin.get("/xapi/schemas/icr/roi").text
    assert admin.get("/xapi/schemas/none").status_code == 404
    plugins = admin.get("/xapi/plugins/?format=json").json()
    assert plugins["handMade"]["version"] == "1.0.0"
    assert admin.get("/xapi/plugins/handMade").json() == plugins["handMade"]
    assert admin.get("/xapi/plugins/none").status_code == 404


def test_search_elements_and_fields(admin: httpx.Client) -> None:
    elements = {row["ELEMENT_NAME"]: row for row in rows(admin.get("/data/search/elements?format=json"))}
    assert elements["braintumor:resultData"]["SINGULAR"] == "Brain tumour result"
    fields = [row["FIELD_ID"] for row in rows(admin.get("/data/search/elements/braintumor:resultData?format=json"))]
    assert {"EXPT_ID", "LABEL", "DATE", "LESION_VOLUME_ML"} <= set(fields)
    assert admin.get("/data/search/elements/no:such").status_code == 404


def test_search_by_criteria(admin: httpx.Client, session: str) -> None:
    kind = "braintumor:resultData"
    for number, volume in enumerate((1.0, 10.0, 20.0)):
        admin.put(
            f"/data/experiments/{session}/assessors/S{number}",
            params={"xsiType": kind, f"{kind}/project": "P", f"{kind}/lesion_volume_ml": str(volume)},
        )
    criteria = [("lesion_volume_ml", ">", "5"), ("imageSession_ID", "=", session)]
    where = "".join(
        f"<xdat:criteria><xdat:schema_field>{kind}/{field}</xdat:schema_field>"
        f"<xdat:comparison_type>{sign.replace('>', '&gt;')}</xdat:comparison_type><xdat:value>{value}</xdat:value>"
        "</xdat:criteria>"
        for field, sign, value in criteria
    )
    shown = "".join(
        f"<xdat:search_field><xdat:element_name>{kind}</xdat:element_name><xdat:field_ID>{field}</xdat:field_ID>"
        "</xdat:search_field>"
        for field in ("EXPT_ID", "LABEL", f"{kind}/lesion_volume_ml")
    )
    body = (
        f"<xdat:bundle {NAMESPACE}><xdat:root_element_name>{kind}</xdat:root_element_name>{shown}"
        f'<xdat:search_where method="AND">{where}</xdat:search_where></xdat:bundle>'
    )
    found = rows(admin.post("/data/search?format=json", content=body, headers={"content-type": "text/xml"}))
    assert [(row["label"], row["lesion_volume_ml"]) for row in found] == [("S1", "10.0"), ("S2", "20.0")]
    assert all(row["expt_id"].startswith("XNAT_E") for row in found)
    table = admin.post("/data/search?format=csv", content=body, headers={"content-type": "text/xml"}).text
    assert table.startswith('"expt_id","label","lesion_volume_ml"\n')


@pytest.mark.parametrize(
    "body",
    [
        "<broken",
        "<other/>",
        f"<xdat:bundle {NAMESPACE}><xdat:root_element_name>no:such</xdat:root_element_name></xdat:bundle>",
        f"<xdat:bundle {NAMESPACE}>{CT}{NO_FIELD}</xdat:bundle>",
    ],
)
def test_bad_searches_are_refused(admin: httpx.Client, body: str) -> None:
    assert admin.post("/data/search", content=body, headers={"content-type": "text/xml"}).status_code == 422


def test_the_way_through_the_login_form(shared_hub: RunningHub) -> None:
    wanted = "/data/auth?a=1&b=2"
    with shared_hub.client(None, headers=BROWSER) as browser:
        sent = browser.get(wanted)
        assert sent.status_code == 302
        form = browser.get(sent.headers["location"])
        assert form.status_code == 200
        assert 'name="password"' in form.text
        target = re.search(r'name="next" value="([^"]*)"', form.text)
        assert target is not None
        hidden = target[1].replace("&amp;", "&")
        assert hidden == wanted
        login = {"username": "admin", "password": "wrong", "next": hidden}
        refused = browser.post("/app/template/Login.vm", data=login)
        assert refused.status_code == 401
        assert "User name or password is wrong" in refused.text
        assert "JSESSIONID" not in browser.cookies
        accepted = browser.post("/app/template/Login.vm", data=login | {"password": shared_hub.password})
        assert accepted.status_code == 302
        assert accepted.headers["location"] == wanted
        page = browser.get(accepted.headers["location"])
        assert page.status_code == 200
        assert page.text == "User 'admin' is logged in"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/a\r\nb: c",
    ],
)
def test_login_sends_nobody_to_another_site(shared_hub: RunningHub, target: str) -> None:
    with shared_hub.client(None, headers=BROWSER) as browser:
        login = {"username": "admin", "password": shared_hub.password, "next": target}
        assert browser.post("/app/template/Login.vm", data=login).headers["location"] == "/"
        assert browser.get(f"/app/template/Login.vm?next={quote(target)}").headers["location"] == "/"


def test_script_in_a_user_name_is_escaped(shared_hub: RunningHub) -> None:
    with shared_hub.client(None) as nobody:
        login = {"username": '"><script>alert(1)</script>', "password": "x"}
        text = nobody.post("/app/template/Login.vm", data=login).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_unknown_pages_and_guests(shared_hub: RunningHub, admin: httpx.Client) -> None:
    assert admin.get("/overread/none").status_code == 404
    assert admin.get("/overread/../../hub.sqlite").status_code == 404
    with shared_hub.client(None) as program:
        assert program.get("/overread/review").text == "<!doctype html><title>Review</title>"  # code, no data
        assert program.get("/data/projects").status_code == 401
        assert '<span id="user_info">Logged in as: <span style="color:red;">Guest</span>' in program.get("/").text


def test_pages_may_not_be_framed_elsewhere(admin: httpx.Client) -> None:
    page = admin.get("/")
    headers = page.headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "base-uri 'self'" in headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert headers["content-security-policy"].startswith(f"script-src 'sha256-{digest}'; "), "its own script, no other"
    assert admin.get("/data/projects").headers["content-security-policy"].startswith("script-src 'none'; ")
    assert admin.get("/overread/review").headers["content-security-policy"].startswith("script-src 'self'; ")
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")
