"""What a lint finds, and the rules by which it is found: each with its id, how bad it is, and why.

The table in ``docs/reference/command-rules.md`` is computed from what is registered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from overread.commands.model import Command
from overread.study.problems import Location

Severity = Literal["error", "warning"]
Found = tuple[Location, str, str]
"""Where, what is wrong there, how to mend it."""
Check = Callable[[Command], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Parameters
    ----------
    id
        By which it is named everywhere.
    severity
        ``error``: XNAT refuses the command, or a run of it can't do what it says. ``warning``: it works here and now.
    why
        What happens otherwise.
    special
        It also holds for setup and wrap-up commands.
    """

    id: str
    severity: Severity
    why: str
    special: bool = False


@dataclass(frozen=True)
class Finding:
    """One broken rule.

    Parameters
    ----------
    rule
        Which.
    location
        Where in the document: keys and indexes.
    message
        What is wrong.
    mend
        What to do about it.
    line
        In the text, from 1; 0 where it is not known.
    """

    rule: Rule
    location: Location
    message: str
    mend: str
    line: int = 0

    @property
    def path(self) -> str:
        """The location as JSONPath, such as ``$.xnat[0].contexts``."""
        parts = (f"[{part}]" if isinstance(part, int) else _key(part) for part in self.location)
        return "$" + "".join(parts)


def _key(name: str) -> str:
    plain = name.replace("-", "").replace("_", "").isalnum()
    return f".{name}" if plain else "['{}']".format(name.replace("\\", "\\\\").replace("'", "\\'"))


SHAPE: dict[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule("not-json", "error", "XNAT can't read the file at all.", special=True),
        Rule("unknown-key", "error", "The Container Service drops keys that it does not know, without a word: a "
             "misspelt mount is then an empty folder.", special=True),
        Rule("missing-key", "error", "The Container Service refuses the command.", special=True),
        Rule("wrong-value", "error", "The Container Service refuses it, or reads something else.", special=True),
        Rule("image-missing", "warning", "Only a command in an image's own label, or one sent with ?image=, may leave "
             "it out.", special=True),
    )
}  # fmt: skip
"""Rules of the document's shape, which no check of a whole command can find."""

CHECKS: dict[str, tuple[Rule, Check]] = {}
"""All others, in the order in which they are looked at."""


def rule(name: str, severity: Severity, why: str, *, special: bool = False) -> Callable[[Check], Check]:
    """Register a check as the rule `name`."""

    def register(check: Check) -> Check:
        CHECKS[name] = (Rule(name, severity, why, special), check)
        return check

    return register
