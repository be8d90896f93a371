"""XNAT's route table against the hub's: what is served, what answers 501, and the page that says which."""

from __future__ import annotations

import re

import httpx

from helpers import route_coverage
from hub_fixture import RunningHub
from overread.hub.areas.missing import table


def filled(route: table.XnatRoute) -> str:
    """Return a path of `route` whose parameters name nothing that exists."""
    return re.sub(r"\{\w+(:\w+)?\}", "1", route.path)


def test_the_page_of_the_hubs_coverage_is_fresh() -> None:
    written = route_coverage.DOCUMENT.read_text(encoding="utf-8")
    assert written == route_coverage.document(), "write it anew: python tests/helpers/route_coverage.py"


def test_every_row_of_the_table_says_where_it_is_from() -> None:
    rows = table.xnat_routes()
    assert len(rows) > 1000
    assert len({(route.verb, route.path) for route in rows}) == len(rows)
    for route in rows:
        assert route.path.startswith(("/data/", "/xapi/", "/app/")), route
        assert route.verb in {"GET", "PUT", "POST", "DELETE"}, route
        assert route.source in {"xnat", "container-service", "ohif", "notes"}, route
        assert route.file, route
        assert route.sure in {"read", "hand", "noted"}, route


def test_a_known_route_that_the_hub_lacks_answers_501_and_names_itself(admin: httpx.Client) -> None:
    """One route of each part: what decides is the same table and the same handler for all."""
    for group in route_coverage.grouped().values():
        route = next((one for one in group if not route_coverage.is_served(one)), None)
        if route is None:
            continue
        answer = admin.request(route.verb, filled(route))
        assert answer.status_code == 501, (route, answer.text)
        named = table.find(route.verb, filled(route))
        assert named is not None
        assert f"{named.verb} {named.path}" in answer.text


def test_a_route_is_known_under_all_its_prefixes(admin: httpx.Client) -> None:
    for prefix in ("/data", "/data/archive", "/REST"):
        answer = admin.get(f"{prefix}/pars")
        assert answer.status_code == 501
        assert "/data/pars" in answer.text


def test_the_more_exact_of_two_routes_is_named() -> None:
    found = table.find("GET", "/xapi/notifications/smtp")
    assert found is not None
    assert found.path == "/xapi/notifications/smtp"
    assert table.find("GET", "/xapi/notifications/smtp/") == found
    assert table.find("PATCH", "/xapi/notifications/smtp") is None


def test_a_verb_that_a_path_has_not_is_told_from_a_path_that_nobody_has(admin: httpx.Client) -> None:
    answer = admin.delete("/data/version/none")
    assert answer.status_code == 404
    answer = admin.post("/data/auth")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) >= {"GET", "HEAD"}
    assert admin.request("PATCH", "/xapi/siteConfig").status_code == 405


def test_who_has_not_logged_in_learns_of_no_route(shared_hub: RunningHub) -> None:
    with shared_hub.client(None) as guest:
        for path in ("/data/pars", "/data/no/such/thing", "/xapi/no/such/thing", "/app/no/such/thing"):
            assert guest.get(path).status_code == 401, path
        assert guest.get("/no/such/thing").status_code == 404
