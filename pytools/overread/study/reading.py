"""The manifest's block ``reading:``: a reader study, in which each reader reads in a project of his own.

Models only say what the block may hold. `overread.study.allocation` decides by it who reads what. Who the readers are
(logins of each group) is no part of it: that is the site's, in a file of its own (`Roster`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from overread.study.fields import Form, Number, RelativePath, Role, Scalar, Spec, Whole
from overread.study.problems import Problem, problems_of
from overread.study.yamltext import parse_yaml

AIDED, UNAIDED = "aided", "unaided"
MODEL = "model"

GroupName = Annotated[str, Form(r"[a-z][a-z0-9_-]{0,31}", "write a lower-case word such as radiologist")]
QuestionKey = Annotated[str, Form(r"[A-Za-z][A-Za-z0-9_]{0,62}", "write the key of a question of the form")]
Login = Annotated[str, Form(r"[A-Za-z0-9_.@-]{1,64}", "write the login as the server knows it")]
Colour = Annotated[str, Form(r"#[0-9a-f]{6}", "write a colour as '#rrggbb', lower case, in quotes")]


class Group(Spec):
    """A group of readers."""

    per_case: Whole = Field(1, ge=1, le=50, description="So many of the group read each case.")


class Crossover(Spec):
    """Each reader reads each case in each arm, and from each source, with time between."""

    washout_days: Number = Field(ge=0, le=3650, description="Days between two readings of a case by one reader.")


class Order(Spec):
    """In which order a reader gets the cases."""

    kind: Literal["fixed", "shuffled", "blocks"] = Field(
        "shuffled",
        description="fixed: as they came; shuffled: each reader another order; blocks: shuffled within blocks of cases "
        "that came one after another, for live exams.",
    )
    seed: Whole = Field(1, ge=0, le=2**31 - 1)
    block: Whole = Field(10, ge=2, le=1000, description="Cases of a block; within each the arms are balanced.")


class Repeats(Spec):
    """Cases that a reader reads again without knowing, to measure how far he agrees with himself."""

    pct: Whole = Field(ge=1, le=100, description="So many of a reader's cases, in percent.")
    seed: Whole = Field(1, ge=0, le=2**31 - 1)
    after: Whole = Field(20, ge=1, le=1000, description="At least so many other readings lie between.")


class Passes(Spec):
    """An answer of the gate's form that a case must have to reach the readers."""

    answer: QuestionKey
    equals: Scalar | None = Field(None, description="The answer is this.")
    in_: tuple[Scalar, ...] | None = Field(None, alias="in", min_length=1, description="The answer is one of these.")

    @model_validator(mode="after")
    def _exactly_one_operator(self) -> Self:
        if (self.equals is None) == (self.in_ is None):
            mend = "give exactly one of equals, in"
            raise PydanticCustomError("operators", "does not say what passes", {"mend": mend})
        return self

    def holds(self, data: Mapping[str, Any]) -> bool:
        """Tell whether the answers of a form pass; what was not answered does not."""
        wanted = (self.equals,) if self.in_ is None else self.in_
        said = data.get(self.answer)
        return said is not None and any(str(said) == str(value) for value in wanted)


class Gate(Spec):
    """Who looks at a case before the readers do."""

    group: GroupName
    form: RelativePath = Field(description="Form of the gate, as Form.io JSON.")
    pass_: tuple[Passes, ...] = Field(alias="pass", min_length=1, description="All of these hold.")

    def refusal(self, data: Mapping[str, Any]) -> str | None:
        """Say by which answer a case is refused, None when it passes."""
        for rule in self.pass_:
            if not rule.holds(data):
                said = data.get(rule.answer)
                return f"{rule.answer}: {'not answered' if said is None else str(said)[:80]}"
        return None


class Adjudicate(Spec):
    """Who decides when readers differ."""

    group: GroupName
    differ: tuple[QuestionKey, ...] = Field(min_length=1, description="Questions whose answers are held together.")


class ShownSegment(Spec):
    """A segment as readers see it."""

    number: Whole = Field(ge=1, le=65535)
    label: str = Field(min_length=1, max_length=64)
    color: Colour


class Remnant(Spec):
    """What share of an organ stays: the volume of some segments over that of others."""

    of: tuple[Whole, ...] = Field(min_length=1)
    keep: tuple[Whole, ...] = Field(min_length=1)


class Show(Spec):
    """What the reading page knows of the study besides images and form."""

    sides: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    segments: tuple[ShownSegment, ...] = ()
    remnant: Remnant | None = None

    @model_validator(mode="after")
    def _numbers_known(self) -> Self:
        numbers = [segment.number for segment in self.segments]
        if len(set(numbers)) != len(numbers):
            raise PydanticCustomError("segments", "a segment's number stands twice", {"at": ("segments",), "mend": ""})
        for key in ("of", "keep") if self.remnant else ():
            for number in getattr(self.remnant, key):
                if number not in numbers:
                    raise PydanticCustomError(
                        "segments",
                        "there is no segment {number}",
                        {"at": ("remnant", key), "number": number, "mend": "name numbers of show.segments"},
                    )
        return self


class Reading(Spec):
    """A reader study: each reader reads copies of the cases in a project of his own."""

    page: Literal["findings", "segmentation"] = Field(
        description="findings: images with boxes, one form; segmentation: OHIF with masks, one form."
    )
    form: RelativePath = Field(description="What readers are asked, as Form.io JSON.")
    groups: dict[GroupName, Group] = Field(min_length=1, description="Groups of readers.")
    arms: tuple[Literal["aided", "unaided"], ...] = Field(
        ("unaided",), min_length=1, max_length=2, description="aided: the copy carries the model's result."
    )
    crossover: Crossover | None = Field(None, description="Without it a reader has each case in one arm only.")
    order: Order = Order(kind="shuffled", seed=1, block=10)
    repeats: Repeats | None = None
    sources: tuple[Role, ...] = Field(
        (), description="Who made the segmentations that are judged: one reading for each, blinded."
    )
    gate: Gate | None = None
    adjudicate: Adjudicate | None = None
    show: Show | None = None
    idle_s: Whole = Field(30, ge=5, le=600, description="Nothing done for so long counts as absence, in seconds.")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for at, what, mend in _faults(self):
            raise PydanticCustomError("reading", "{what}", {"what": what, "at": at, "mend": mend})
        return self

    @property
    def segmentations(self) -> tuple[str, ...]:
        """Whose segmentations copies carry: those that are judged, else the model's where an arm shows its result."""
        shown = self.page == "segmentation" and AIDED in self.arms
        return self.sources or ((MODEL,) if shown else ())

    @property
    def washout_days(self) -> float:
        """Days between two readings of one case by one reader."""
        return self.crossover.washout_days if self.crossover else 0.0

    @property
    def roles(self) -> dict[str, str]:
        """Group -> what it does: ``reader``, ``gate`` or ``adjudicator``."""
        found = dict.fromkeys(self.groups, "reader")
        if self.gate:
            found[self.gate.group] = "gate"
        if self.adjudicate:
            found[self.adjudicate.group] = "adjudicator"
        return found


def _faults(reading: Reading) -> list[tuple[tuple[str | int, ...], str, str]]:
    """Say what does not fit together: (where, what, how to mend it)."""
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    if len(set(reading.arms)) != len(reading.arms):
        found.append((("arms",), "names an arm twice", "name each once"))
    if len(set(reading.sources)) != len(reading.sources):
        found.append((("sources",), "names a source twice", "name each once"))
    if reading.crossover and len(reading.arms) * max(1, len(reading.sources)) == 1:
        found.append((("crossover",), "crosses over between one arm and itself", "name both arms: [unaided, aided]"))
    if reading.sources and reading.page != "segmentation":
        found.append((("sources",), "are segmentations", "write page: segmentation, or leave sources out"))
    if reading.sources and AIDED in reading.arms:
        found.append((("arms",), "sources are judged without knowing them, in the arm unaided", "leave arms out"))
    if reading.segmentations and not (reading.show and reading.show.segments):
        what = "sources need" if reading.sources else "the model's segmentation needs"
        found.append((("show",), f"{what} the study's segments", "add show.segments: number, label, color"))
    if len(reading.arms) > 1 and reading.order.block % len(reading.arms):
        found.append(
            (("order", "block"), f"{reading.order.block} cases can't be shared by {len(reading.arms)} arms",
             "write an even number")
        )  # fmt: skip
    return found + _group_faults(reading)


def _group_faults(reading: Reading) -> list[tuple[tuple[str | int, ...], str, str]]:
    found: list[tuple[tuple[str | int, ...], str, str]] = []
    mend = "take another group, of other people"
    for key, other in (("gate", reading.gate), ("adjudicate", reading.adjudicate)):
        if other and other.group in reading.groups:
            found.append(((key, "group"), f"'{other.group}' reads the cases as well", mend))
    if reading.gate and reading.adjudicate and reading.gate.group == reading.adjudicate.group:
        found.append((("adjudicate", "group"), "is the gate's group as well", mend))
    return found


class Roster(Spec):
    """Who the readers are: a file of the site, not of the study."""

    groups: dict[GroupName, tuple[Login, ...]] = Field(min_length=1, description="Group -> logins.")


def read_roster(text: str, *, source: str, reading: Reading) -> Roster | tuple[Problem, ...]:
    """Read who the readers are, and hold it against the study.

    Returns
    -------
    Roster or tuple of Problem
        Problems: an unknown or missing group, a login in two places, fewer readers than a case needs.

    Raises
    ------
    overread.errors.SpecError
        It is no YAML at all.
    """
    document = parse_yaml(text, source=source)
    try:
        roster = Roster.model_validate(document.value)
    except ValidationError as error:
        return problems_of(error, model=Roster, source=source, lines=document.lines)
    found = [
        Problem(source, document.lines.get(("groups", group), 0), f"groups.{group}", what, mend)
        for group, what, mend in _roster_faults(roster, reading)
    ]
    return tuple(found) or roster


def _roster_faults(roster: Roster, reading: Reading) -> list[tuple[str, str, str]]:
    found = []
    seen: dict[str, str] = {}
    roles = reading.roles
    for group, logins in roster.groups.items():
        if group not in roles:
            found.append((group, "the study has no such group", f"one of {', '.join(sorted(roles))}"))
        for login in logins:
            if login.lower() in seen:
                other = seen[login.lower()]
                where = "twice" if other == group else f"in {other} as well"
                found.append((group, f"{login} stands {where}", "one person has one role, and one project"))
            seen.setdefault(login.lower(), group)
    for group in roles:
        need = reading.groups[group].per_case if group in reading.groups else 1
        have = len(roster.groups.get(group, ()))
        if have < need:
            words = f"has {have} readers, but each case needs {need} of them" if have else "names nobody"
            found.append((group, words, "add logins, or lower per_case"))
    return found


def prefix_of(source: str) -> str:
    """Return with what the label of a source's collection begins: ``AI-`` for the model, else its own name.

    Examples
    --------
    >>> prefix_of("expert")
    'EXPERT-'
    """
    return "AI-" if source == MODEL else f"{re.sub('_', '-', source).upper()}-"


__all__ = [
    "AIDED",
    "MODEL",
    "UNAIDED",
    "Adjudicate",
    "Crossover",
    "Gate",
    "Group",
    "Order",
    "Passes",
    "Reading",
    "Remnant",
    "Repeats",
    "Roster",
    "Show",
    "ShownSegment",
    "prefix_of",
    "read_roster",
]
