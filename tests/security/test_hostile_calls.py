"""Values that no client should send, to every route: an answer that says what is wrong, never a failure of the hub."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import overread.hub
from helpers.asgi import Direct
from overread.hub.access import Access
from overread.hub.app import create_app
from security.test_permissions import CASES, Case
from security.world import Undone, World, filled_in, make_world

PARAMETERS = sorted(
    {
        name
        for path in Path(overread.hub.__file__).parent.rglob("*.py")
        for name in re.findall(r"""(?:query\.get|flag|_number|_moment)\((?:call, )?"(\w[\w-]*)\"""", path.read_text())
    }
    | {
        "columns",
        "ID",
        "label",
        "xsiType",
        "xnat:mrSessionData/date",
        "sortBy",
        "sort_dir",
        "includefield",
        "PatientName",
    }
)
"""Every query parameter that the hub reads by its name, and some that it reads as data."""
NASTY = (
    "", " ", "\0", "'", "' OR 1=1 --", '"><script>alert(1)</script>', "%", "*", "..", "../../../../etc/passwd",
    "/etc/passwd", "-1", "0", "9" * 40, "1e999", "NaN", "\u0663", "\u00b2", "\r\nX-Injected: yes", "{}", "[]",
    '{"a":', "null", "true", "\u202e\U0001f480", "\ud800", "$(id)", "#x#", "^x^", "a" * 9000, "\\", ";", "1,2,,x",
    "2026-99-99", "99/99/9999",
)  # fmt: skip
"""Texts that end a quote, a path, a header, a number, a document, or one's patience."""
JSON_NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**400, "", "x" * 9000, "\0", "\ud800", "' OR 1=1 --", "../../x", [], [None], [[]], {},
    {"": None}, {"a": {"b": [1]}}, ["a", 1], "^(a+)+$",
)  # fmt: skip
BROKEN = (
    b"{", b"[" * 100_000, b"\xff\xfe", b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"PK\x03\x04",
    b'{"name": "\\ud800"}',
)  # fmt: skip
"""Bodies that are no JSON, or hold half a character."""
# A launch that can't be is told with 500, as XNAT does.
TOLD_WITH_500 = re.compile(r"/(bulk)?launch$")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = make_world(tmp_path_factory.mktemp("hostile"))
    inner = made.hub.hub.database
    made.hub.hub.database = Undone(inner)
    yield made
    made.hub.hub.database = inner
    made.hub.stop()


@pytest.fixture(scope="module")
def direct(world: World) -> Iterator[Direct]:
    with Direct(create_app(world.hub.hub)) as made:
        yield made


def _some(values: Sequence[Any], case: Case, number: int) -> list[Any]:
    """Draw some values, for each route others, the same in each run: all of them would take minutes."""
    return random.Random(case.name).sample(list(values), min(number, len(values)))


def percent(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def path_of(case: Case, values: dict[str, Any], **instead: str) -> str:
    parameters = values | filled_in(case.full_rule.get("with", {}), values) | instead
    return re.sub(r"{(\w+)[^}]*}", lambda match: str(parameters[match[1]]), case.route.path)


def parameters_of(case: Case) -> list[str]:
    """The text parameters of a path; a number in the route's own template takes nothing else."""
    return re.findall(r"{(\w+)(?::path)?}", case.route.path)


def fault_of(case: Case, answer: httpx.Response) -> str:
    """Say what is wrong with an answer."""
    if "x-injected" in answer.headers:
        return "a header was injected"
    if "Traceback" in answer.text or "sqlalchemy" in answer.text.lower():
        return f"{answer.status_code} shows its inside: {answer.text[:200]}"
    if answer.status_code == 501 or answer.status_code < 500:
        return ""
    if answer.status_code == 500 and TOLD_WITH_500.search(case.route.path) and "The hub failed" not in answer.text:
        return ""
    return f"{answer.status_code} {answer.text[:200]}"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in the path", "in the query"])
def test_no_value_makes_reading_fail(world: World, direct: Direct, where: str) -> None:
    values, login = world.values["private"], world.credentials("admin")
    wrong = []
    for case in CASES:
        if case.method != "GET" or case.route.path == "/xapi/docker/server/ping":
            continue
        names = parameters_of(case)
        if where == "in the path" and not names:
            continue
        for nasty in _some(NASTY, case, 9):
            if where == "in the path":
                path, query = path_of(case, values, **dict.fromkeys(names, percent(nasty))), ""
            else:
                path = path_of(case, values)
                query = "&".join(f"{percent(name)}={percent(nasty)}" for name in PARAMETERS)
            answer = direct.request("GET", path, raw_query=query, login=login)
            fault = fault_of(case, answer)
            if fault:
                wrong.append(f"{case.name} with {nasty[:30]!a} {where}: {fault}")
                break
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_no_parameter_alone_makes_reading_fail(world: World, direct: Direct) -> None:
    """All at once, a parameter that is looked at first hides the others: here a few at a time, drawn by hypothesis."""
    values, login = world.values["private"], world.credentials("admin")
    reading = [case for case in CASES if case.method == "GET"]

    @settings(max_examples=600, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(reading),
        st.dictionaries(st.sampled_from(PARAMETERS), st.sampled_from(NASTY) | st.text(max_size=12), max_size=3),
    )
    def check(case: Case, query: dict[str, str]) -> None:
        text = "&".join(f"{percent(name)}={percent(value)}" for name, value in query.items())
        answer = direct.request("GET", path_of(case, values), raw_query=text, login=login)
        assert not fault_of(case, answer), f"{case.name}?{text}: {fault_of(case, answer)}"

    check()


@pytest.mark.slow
def test_no_body_makes_writing_fail(world: World, direct: Direct) -> None:
    values, login = world.values["private"], world.credentials("admin")
    wrong = []
    for case in CASES:
        if case.method not in {"PUT", "POST"} or case.route.access is Access.PUBLIC:  # a login costs a hash
            continue
        rule = case.full_rule
        template = filled_in(rule.get("json", {}), values)
        query = filled_in(rule.get("query", {}), values)
        keys = list(template) if isinstance(template, dict) else []
        bodies = [*JSON_NASTY, *({**template, key: value} for key in keys for value in JSON_NASTY)]
        texts = [json.dumps(body).encode() for body in _some(bodies, case, 5)]
        texts += _some(BROKEN, case, 2)
        for text in texts:
            for kind in ("application/json", "text/xml") if text[:1] == b"<" else ("application/json",):
                answer = direct.request(
                    case.method, path_of(case, values), query=query, headers={"content-type": kind}, content=text,
                    login=login,
                )  # fmt: skip
                fault = fault_of(case, answer)
                if fault:
                    wrong.append(f"{case.name} with {text[:80]!r}: {fault}")
                    break
            else:
                continue
            break
    assert not wrong, "\n".join(wrong)
