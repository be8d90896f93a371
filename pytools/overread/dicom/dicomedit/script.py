"""What a script consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from overread.dicom.dicomedit.tagpath import TagPath
from overread.errors import OverreadError


class ScriptError(OverreadError):
    """A script says what can't be done.

    Parameters
    ----------
    line
        Its line, beginning at 1; 0 if it is not one line's fault.
    reason
        What is wrong and what to do.
    """

    exit_code = 2

    def __init__(self, line: int, reason: str) -> None:
        self.line, self.reason = line, reason
        super().__init__(f"line {line}: {reason}" if line else reason)


@dataclass(frozen=True)
class Constant:
    """A text or number as it stands in the script."""

    text: str


@dataclass(frozen=True)
class Variable:
    """The value of a variable."""

    name: str


@dataclass(frozen=True)
class Attribute:
    """The value of an attribute: several values are joined with a backslash; none at all if it is absent."""

    path: TagPath


@dataclass(frozen=True)
class Call:
    """What a function makes of its arguments."""

    name: str
    arguments: tuple[Value, ...]
    line: int


Value = Constant | Variable | Attribute | Call


@dataclass(frozen=True)
class Condition:
    """Whether two values are equal, or one matches the other as a regular expression (all of it).

    `operator` "" stands for a function's answer.
    """

    left: Value
    operator: Literal["=", "!=", "~", "!~", ""] = ""
    right: Value = field(default_factory=lambda: Constant(""))


@dataclass(frozen=True)
class Assign:
    """``path := value``, or ``path ?= value``, which changes only what is there."""

    line: int
    path: TagPath
    value: Value
    only_existing: bool = False


@dataclass(frozen=True)
class SetVariable:
    """``name := value``."""

    line: int
    name: str
    value: Value


@dataclass(frozen=True)
class Delete:
    """``- path``."""

    line: int
    path: TagPath


@dataclass(frozen=True)
class RemoveAllPrivateTags:
    """``removeAllPrivateTags``."""

    line: int


@dataclass(frozen=True)
class HashUids:
    """``hashUIDList[path, ...]``: each of these UIDs, wherever it stands, becomes its hash."""

    line: int
    paths: tuple[TagPath, ...]


@dataclass(frozen=True)
class If:
    """``condition ? action : action``, or ``if (...) {...} elseif (...) {...} else {...}``.

    The first branch whose condition holds is run; one without a condition always is.
    """

    line: int
    branches: tuple[tuple[Condition | None, tuple[Statement, ...]], ...]


Statement = Assign | SetVariable | Delete | RemoveAllPrivateTags | HashUids | If


@dataclass(frozen=True)
class Script:
    """A script that can be run.

    Parameters
    ----------
    version
        What its first statement says, such as ``6.3``.
    statements
        In order.
    variables
        Those that are to be given, with nothing in them: the script uses them before it sets them.
    """

    version: str
    statements: tuple[Statement, ...]
    variables: Mapping[str, None] = field(default_factory=dict)
