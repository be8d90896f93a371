"""Regular expressions that a manifest may carry.

Python's matcher backtracks: on an unlucky text some expressions take longer than the universe lasts. Descriptions come
from anywhere in a hospital, so the text can't be trusted and the expression must be harmless by its shape:

* no repeat inside a repeated group, no alternatives inside a repeated group (``(a+)+``, ``(a|aa)*``);
* no back-references, no conditionals, no verbose mode, no sets inside sets;
* at most `MAX_LENGTH` characters, and only the first `MAX_TEXT` characters of a value are looked at;
* at most `MAX_STEPS` ways to try, which takes about a second.

The ways to try: each of n open repeats (``*``, ``+``, ``{2,}``) and the start may end anywhere, which is
``MAX_TEXT ** (n + 1) / (n + 1)!``; an optional item doubles that, a group of k alternatives multiplies it by k.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_LENGTH = 200
MAX_TEXT = 128  # LO, the longest kind of description that rules look at, holds 64 (PS3.5 Table 6.2-1)
MAX_STEPS = 20_000_000

_TOKEN = re.compile(
    r"""
    (?P<escape>\\.)
  | (?P<klass>\[\^?\]?(?:\\.|[^\]\\])*\])
  | (?P<open>\((?:\?(?:[aiLmsux]*(?:-[imsx]+)?:|P<\w+>|P=\w+\)|\#[^)]*\)|<?[=!]|[aiLmsux]+\)|\(\w+\)|>)?)?)
  | (?P<close>\))
  | (?P<repeat>(?:[*+?]|\{\d*,\d*\}|\{\d+\})[?+]?)
  | (?P<choice>\|)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Python warns that it may once read these as sets inside sets.
_SET_IN_SET = re.compile(r"(?<!\\)\[|--|&&|~~|\|\|")


@dataclass
class _Group:
    """What has been seen inside one pair of parentheses (or in the expression as a whole)."""

    repeats: bool = False
    choices: bool = False
    alternatives: int = 1


@dataclass
class _Count:
    """What has been seen in all."""

    open_repeats: int = 0
    factor: int = 1
    faults: list[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Ways to try in the worst case."""
        ends = self.open_repeats + 1
        return int(self.factor * MAX_TEXT**ends // math.factorial(ends))


def fault_of(pattern: str) -> str:
    """Say why an expression can't be used.

    Parameters
    ----------
    pattern
        A regular expression in Python's notation.

    Returns
    -------
    str
        The reason and the mend; empty when the expression compiles and is harmless.
    """
    if len(pattern) > MAX_LENGTH:
        return f"the expression has {len(pattern)} characters, at most {MAX_LENGTH} are read; shorten it"
    for fault in _shape_faults(pattern):
        return fault
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # an unclosed set also gets the warning of sets in sets
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression: {error}"
    return ""


def find(pattern: str, text: str) -> bool:
    """Tell whether an expression is found anywhere in the first `MAX_TEXT` characters of a text."""
    return re.search(pattern, text[:MAX_TEXT]) is not None


def _shape_faults(pattern: str) -> Iterator[str]:
    count = _count(pattern)
    yield from count.faults
    if count.steps > MAX_STEPS:
        yield f"could try {float(count.steps):.0e} ways on an unlucky text; use fewer of * + ? | {{}}, or several rules"


def _count(pattern: str) -> _Count:
    count = _Count()
    stack = [_Group()]
    last: _Group | None = None  # the group that has just been closed: a repeat would repeat it
    for match in _TOKEN.finditer(pattern):
        kind, text = match.lastgroup, match.group()
        if kind == "close" and len(stack) > 1:
            last = stack.pop()
            count.factor *= last.alternatives
            stack[-1].repeats |= last.repeats
            stack[-1].choices |= last.choices
            continue
        if kind == "open":
            _open(text, stack, count)
        elif kind == "choice":
            stack[-1].alternatives += 1
            stack[-1].choices = True
        elif kind == "repeat":
            _repeat(text, last, stack[-1], count)
        elif kind == "klass" and _SET_IN_SET.search(text[1:-1]):
            count.faults.append("has a set inside a set; write a backslash before [ and before doubled - & ~ |")
        elif kind == "escape" and text[1] in "123456789":
            count.faults.append("back-references are not read; write the text out")
        last = None
    count.factor *= math.prod(group.alternatives for group in stack)
    return count


def _open(text: str, stack: list[_Group], count: _Count) -> None:
    if text.startswith("(?P="):
        count.faults.append("back-references are not read; write the text out")
    elif text.startswith("(?("):
        count.faults.append("conditionals are not read; use several rules")
    elif re.match(r"\(\?[aiLmsu]*x", text):
        count.faults.append("verbose mode (?x) is not read; write the expression without blanks")
    # "(?i)" and comments close at once and open no group.
    if not text.endswith(")") or text.startswith("(?("):
        stack.append(_Group())


def _repeat(text: str, repeated: _Group | None, around: _Group, count: _Count) -> None:
    bare = text[:-1] if len(text) > 1 and text[-1] in "?+" else text
    if repeated is not None and bare != "?" and (repeated.repeats or repeated.choices):
        count.faults.append(
            "repeats a group that itself repeats or has alternatives, which can take for ever; "
            "write [ab]* instead of (a|b)*, a+ instead of (a+)+"
        )
    around.repeats = True
    bounds = re.fullmatch(r"\{(\d*)(,?)(\d*)\}", bare)
    if bare == "?":
        count.factor *= 2
    elif bounds is None or (bounds[2] and not bounds[3]):
        count.open_repeats += 1
    elif bounds[2]:
        count.factor *= max(1, min(int(bounds[3]), MAX_TEXT) - min(int(bounds[1] or 0), MAX_TEXT) + 1)
