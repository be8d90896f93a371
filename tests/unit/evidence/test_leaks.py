from __future__ import annotations

import random

import pytest

from overread.evidence.leaks import Copy, find_leaks
from overread.study.blinding import code_of, shuffle_key, uids_of

SALT = bytes(range(32))
SOURCES = ("expert", "model", "novice")


def study(exams=8, per_source=1, change=None):
    """Return copies as they should be; `change` plants something."""
    copies = []
    cases = [(f"E{e}", s, r) for e in range(exams) for s in SOURCES for r in range(per_source)]
    cases.sort(key=lambda case: shuffle_key(SALT, [str(part) for part in case]))
    for number, (exam, source, reader) in enumerate(cases, start=1):
        code = code_of(SALT, [exam, source, str(reader)])
        uids = uids_of(SALT, code)
        facts = {
            "session.label": code,
            "session.ID": f"HUB_E{number:05d}",
            "session.insert_date": f"2026-11-24 18:{number // 60:02d}:{number % 60:02d}.0",
            "session.UID": uids("study"),
            "session.project": f"LIVER_R0{reader + 1}",
            "seg.SeriesDescription": code,
            "seg.Rows": str(256 + int(exam[1:])),
            "seg.ReferencedInstances": " ".join(uids(str(k)) for k in range(20)),
            "seg.Manufacturer": "none",
            "seg.size": str(10_000 + 7 * int(exam[1:])),
        }
        copy = Copy(exam, source, code, facts)
        copies.append(Copy(exam, source, code, change(copy) if change else facts))
    return copies


@pytest.mark.parametrize("exams", [2, 3, 8, 30])
@pytest.mark.parametrize("per_source", [1, 2])
def test_a_clean_study_has_no_leak(exams, per_source):
    asked = find_leaks(study(exams, per_source))
    assert asked.leaks == ()
    assert asked.facts == 10


PLANTED = {
    "value": lambda c: c.facts | {"seg.Manufacturer": "AI Inc" if c.source == "model" else "none"},
    "length": lambda c: c.facts | {"seg.Manufacturer": c.code[: 4 if c.source == "novice" else 5] + "-"},
    "presence": lambda c: c.facts | ({"seg.TrackingID": "1"} if c.source != "model" else {}),
    "root": lambda c: (
        c.facts | {"session.UID": f"1.2.826.{c.code!r}" if c.source == "expert" else c.facts["session.UID"]}
    ),
    "label": lambda c: c.facts | {"session.label": c.code + ("_M" if c.source == "model" else "_X")},
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("exams", [2, 10])
def test_a_planted_leak_is_found_even_in_two_exams(kind, exams):
    (leak,) = find_leaks(study(exams, change=PLANTED[kind])).leaks
    assert leak.certain
    if kind in {"value", "length", "presence"}:
        assert leak.kind == kind


def test_what_only_goes_along_is_found_as_well():
    rng = random.Random(1)

    def often(copy):
        shown = rng.random() < (0.9 if copy.source == "model" else 0.1)
        return copy.facts | {"seg.Comment": "yes" if shown else "no"}

    (leak,) = find_leaks(study(20, change=often)).leaks
    assert (leak.path, leak.certain) == ("seg.Comment", False)
    assert leak.p < 0.001
    assert "goes along with the source" in str(leak)


def test_the_order_of_uploads_is_found():
    order = {"model": 0, "expert": 1, "novice": 2}

    def in_order(copy):
        number = 3 * int(copy.exam[1:]) + order[copy.source]
        return copy.facts | {
            "session.ID": f"HUB_E{number:05d}",
            "session.insert_date": f"2026-11-24 18:00:{number:02d}.0",
        }

    leaks = find_leaks(study(8, change=in_order)).leaks
    assert {(leak.path, leak.kind) for leak in leaks} == {("session.ID", "order"), ("session.insert_date", "order")}


def test_sizes_that_differ_are_found():
    def larger(copy):
        extra = random.Random(copy.code).randrange(50) + (1000 if copy.source == "model" else 0)
        return copy.facts | {"seg.size": str(10_000 + extra)}

    (leak,) = find_leaks(study(8, change=larger)).leaks
    assert leak.path == "seg.size"


def test_chance_is_not_called_a_leak():
    alarms = 0
    for seed in range(8):
        rng = random.Random(seed)
        noisy = study(6, change=lambda c, rng=rng: c.facts | {f"noise{k}": rng.choice("ABC") for k in range(10)})
        alarms += bool(find_leaks(noisy, alpha=0.01).leaks)
    assert alarms == 0


def test_too_few_exams_say_so():
    asked = find_leaks(study(1))
    assert (asked.leaks, asked.varying, asked.smallest_p) == ((), 0, 1.0)
    assert find_leaks(study(2)).smallest_p == pytest.approx(1 / 36)
