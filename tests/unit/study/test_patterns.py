from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overread.study.patterns import MAX_TEXT, fault_of, find


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)flair",
        "(?i)brain|head",
        "(?i)t2.*(flair|dark.?fluid)|flair.*(ax|tra|cor|sag)",
        "^a.*b.*c.*$",
        r"^AX\s+T2.*FLAIR$",
        r"(?:t1|t2)_(se|tse)\d{1,2}",
        r"[+*(|)]+",
        r"[]a|(b+)+]",
        r"\(a+\)\+",
        r"(?<!post )T1",
        r"(?i:t1)(ce)?",
        r"(a+)?b",
        r"[^]]*x",
        "",
    ],
)
def test_usual_expressions_are_let_through(pattern: str) -> None:
    re.compile(pattern)
    assert fault_of(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(a+)+", "repeats a group that itself repeats"),
        ("(a|aa)*", "repeats a group that itself repeats or has alternatives"),
        ("((a|b)c){3}", "repeats a group"),
        ("(a?){25}a{25}", "repeats a group"),
        ("(?:x+x+)+y", "repeats a group"),
        ("(?=(a+)+)", "repeats a group"),
        (".*a.*b.*c.*d", "could try 3e+08 ways on an unlucky text"),
        ("a?" * 20, "ways on an unlucky text"),
        ("(a?a?a?a?a?a?a?a?)a*a*a*b", "ways on an unlucky text"),
        ("(a|a|a|a)" * 8 + "a*", "ways on an unlucky text"),
        ("a{1,50}a{1,50}a{1,50}a{1,50}b", "ways on an unlucky text"),
        (r"(a)\1", "back-references"),
        ("(?P<n>a)(?P=n)", "back-references"),
        ("(a)(?(1)b|c)", "conditionals"),
        ("(?x) a b", "verbose"),
        ("[[a]", "set inside a set"),
        ("[a--b]", "set inside a set"),
        ("(a", "no regular expression"),
        ("a" * 201, "shorten it"),
    ],
)
def test_dangerous_expressions_are_refused(pattern: str, says: str) -> None:
    assert says in fault_of(pattern)


def test_only_the_beginning_of_a_text_is_looked_at() -> None:
    assert find("x", "a" * (MAX_TEXT - 1) + "x")
    assert not find("x", "a" * MAX_TEXT + "x")


@given(st.text(alphabet="ab|()?*+{}[]^$\\.,1-:<=!Pix", max_size=25))
def test_whatever_is_let_through_compiles(pattern: str) -> None:
    if not fault_of(pattern):
        re.compile(pattern)
