"""Every route of the hub, for every kind of caller, on every kind of project.

The routes come from the hub's own table, who may use them from ``permissions.yaml``. A call counts as let in unless
the answer is 401, 403 or 404. Writing transactions happen in full and are undone, so that each cell finds the same hub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import yaml

from helpers.asgi import Direct
from overread.hub.app import AREAS, create_app
from overread.hub.database import Database
from overread.hub.http import Route
from security.world import CALLERS, KINDS, Undone, World, filled_in, make_world, mark

TABLE: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "permissions.yaml").read_text())
NEEDS = ("public", "user", "read", "role", "edit", "own", "owns some", "self", "admin")
REFUSED = {401, 403, 404}
# With these in its path or in what is sent, a route is about one project.
BOUND = {
    "project", "subject", "experiment", "scan", "assessor", "session", "container", "series", "study", "waiting",
    "container_name", "workflow", "subscription", "delivery", "form_row", "form_session", "form_sessions", "run",
}  # fmt: skip
_LEVELS = {"collaborator": 1, "member": 2, "owner": 3, "admin": 4}
_WANTED = {"read": 1, "role": 1, "edit": 2, "own": 3, "admin": 4}


@dataclass(frozen=True)
class Case:
    """One method of one route."""

    method: str
    route: Route
    rule: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.route.path}"

    @property
    def needs(self) -> str:
        paths = self.rule.get("paths", {})
        scope = "project" if "{project}" in self.route.path else "site"
        found = paths.get(self.name) or paths.get(self.route.path) or self.rule.get("needs") or self.rule[scope]
        assert found in NEEDS, f"{self.name}: {found!r} is none of {', '.join(NEEDS)}"
        return str(found)

    @property
    def full_rule(self) -> dict[str, Any]:
        """The rule, with what differs for the end of this path."""
        endings = self.rule.get("endings", {})
        more: dict[str, Any] = next(
            (changes for ending, changes in endings.items() if self.route.path.endswith(ending)), {}
        )
        return self.rule | more

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of project to try it on."""
        named = set(re.findall(r"{(\w+)", self.route.path)) | set(re.findall(r"\$(\w+)", str(self.full_rule)))
        return KINDS if named & BOUND else KINDS[:1]


def handler_of(route: Route) -> str:
    return f"{route.handler.__module__.removeprefix('overread.hub.areas.')}.{route.handler.__name__}"


ROUTES = [route for area in AREAS for route in area.ROUTES]
CASES = [
    Case(method, route, TABLE[handler_of(route)])
    for route in ROUTES
    if handler_of(route) in TABLE
    for method in route.methods.split()
]


def test_every_route_says_who_may_use_it() -> None:
    absent = sorted({handler_of(route) for route in ROUTES} - TABLE.keys())
    assert not absent, f"Say in tests/security/permissions.yaml who may use: {', '.join(absent)}"
    stale = sorted(TABLE.keys() - {handler_of(route) for route in ROUTES})
    assert not stale, f"tests/security/permissions.yaml has rules for handlers that are gone: {', '.join(stale)}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = make_world(tmp_path_factory.mktemp("permissions"))
    yield made
    made.hub.stop()


@pytest.fixture(scope="module")
def undone(world: World) -> Iterator[Undone]:
    inner: Database = world.hub.hub.database
    wrapped = Undone(inner)
    world.hub.hub.database = wrapped
    yield wrapped
    world.hub.hub.database = inner


@pytest.fixture(scope="module")
def direct(world: World) -> Iterator[Direct]:
    with Direct(create_app(world.hub.hub)) as made:
        yield made


def lets_in(needs: str, caller: str, kind: str) -> bool:
    """Whether a caller is to be let in."""
    if needs == "public":
        return True
    if needs == "user" or caller == "guest":
        return caller != "guest"
    if needs == "self":
        return caller == "admin"  # the account in the path is nobody's of these
    if needs == "owns some":
        return caller != "outsider"  # all others own the project TARGET
    if caller == "outsider":
        return needs == "read" and kind == "public"
    return _LEVELS[caller] >= _WANTED[needs]


def may_read(caller: str, kind: str) -> bool:
    return lets_in("read", caller, kind)


def call(world: World, direct: Direct, case: Case, kind: str, caller: str) -> httpx.Response:
    values = world.values[kind]
    rule = case.full_rule
    parameters = values | filled_in(rule.get("with", {}), values)

    def value(match: re.Match[str]) -> str:
        name = match[1].partition(":")[0]
        assert name in parameters, f"{case.name}: give the parameter {name} a value, in world.py or by `with`"
        return str(parameters[name])

    path = re.sub(r"{([^}]+)}", value, case.route.path)
    content_type, content = "", b""
    if case.method not in {"GET", "HEAD"}:
        if "json" in rule:
            content_type, content = "application/json", json.dumps(filled_in(rule["json"], values)).encode()
        if "form" in rule:
            content_type, content = "application/x-www-form-urlencoded", urlencode(rule["form"]).encode()
        if "body" in rule:
            content_type, content = world.bodies[kind][rule["body"]]
    return direct.request(
        case.method,
        path,
        query=filled_in(rule.get("query", {}), values),
        headers={"content-type": content_type} if content_type else {},
        content=content,
        login=world.credentials(caller),
    )


def let_in(case: Case, answer: httpx.Response) -> bool:
    """Whether an answer shows that the caller was let in; an answer that shows neither is an error."""
    if answer.status_code == case.rule.get("answers"):
        return True
    if case.rule.get("refused_as") == answer.status_code:
        return False
    if case.rule.get("refused_as") == "failure" and answer.status_code in {200, 500}:
        said = answer.json()
        return said.get("status") == "success" or bool(said.get("successes"))
    assert answer.status_code < 500, f"{case.name}: {answer.status_code} {answer.text[:300]}"
    return answer.status_code not in REFUSED


@pytest.mark.slow
@pytest.mark.parametrize("handler", sorted({handler_of(case.route) for case in CASES}))
def test_who_is_let_in(world: World, undone: Undone, direct: Direct, handler: str) -> None:
    wrong = []
    for case in (one for one in CASES if handler_of(one.route) == handler):
        undone.keeps = bool(case.rule.get("keeps"))
        for kind in case.kinds:
            for caller in CALLERS:
                answer = call(world, direct, case, kind, caller)
                cell = f"{case.name} by {caller} on the {kind} project: {answer.status_code} {answer.text[:200]!r}"
                if let_in(case, answer) != lets_in(case.needs, caller, kind):
                    wrong.append(cell)
                wrong += [
                    f"{cell} gives away {mark(other)}"
                    for other in KINDS
                    if not may_read(caller, other) and mark(other).encode() in answer.content
                ]
    assert not wrong, "\n".join(wrong)


def test_a_launch_form_shows_no_other_projects_defaults(world: World) -> None:
    wrapper, session = world.values["public"]["wrapper"], world.values["public"]["form_session"]
    with world.hub.client("outsider", "secret-outsider") as outsider:
        answer = outsider.get(f"/xapi/projects/private/wrappers/{wrapper}/launch", params={"session": session})
        assert answer.status_code == 403
        assert mark("private") not in answer.text
        assert outsider.get(f"/xapi/wrappers/{wrapper}/launch", params={"session": session}).status_code == 200


def test_a_path_spelled_otherwise_asks_for_the_same_rights(world: World) -> None:
    values = world.values["private"]
    spellings = [
        "/REST/experiments/{experiment}",
        "/data/archive/experiments/{experiment}",
        "/REST/archive/experiments/{experiment}",
        "//data/experiments/{experiment}",
        "/data//experiments/{experiment}",
        "/data/./experiments/{experiment}",
        "/data/projects/public/../../experiments/{experiment}",
        "/data/experiments/{experiment}/",
        "/data/projects/public/experiments/{experiment}",
        "/data/projects/PRIVATE/experiments/{experiment}",
        "/xapi/custom-fields/projects/public/experiments/{experiment}/fields",
        "/xapi/roi/projects/public/collections/{collection}",
        "/xapi/dicomweb/projects/public/studies/{study}",
        "/xapi/projects/public/containers/{container}/logs",
        "/data/prearchive/projects/public/{timestamp}/{waiting}",
        "/data/prearchive/projects/public,private",
        "/xapi/overread/../dicomweb/projects/private/studies",
        "/viewer/../data/experiments/{experiment}",
        "/overread/%2e%2e/data/experiments/{experiment}",
    ]
    for login in (None, "outsider"):
        with world.hub.client(login, f"secret-{login}", follow_redirects=True) as client:
            for spelling in spellings:
                answer = client.get(spelling.format_map(values))
                assert mark("private").encode() not in answer.content, spelling
                assert answer.status_code in {400, 401, 403, 404, 501}, f"{spelling}: {answer.status_code}"
