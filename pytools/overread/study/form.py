"""Feedback forms: the part of Form.io that the review app draws and XNAT's Custom Forms take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overread.study.fields import Form as TextForm
from overread.study.fields import YesNo
from overread.study.problems import Location, Problem, did_you_mean, dotted, line_of, problems_of
from overread.study.yamltext import parse_json


class _Part(BaseModel):
    """Form.io's builder writes dozens of keys that are its defaults: they are let through, and change nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Option(_Part):
    """One answer to choose."""

    label: str = Field(min_length=1)
    value: str = Field(min_length=1)


class SelectData(_Part):
    """Where Form.io keeps the options of a select."""

    values: tuple[Option, ...] = ()


class Conditional(_Part):
    """Shown, or hidden, when another field has a value."""

    show: YesNo | None = None
    when: str | None = None
    eq: str | None = None


class Validate(_Part):
    """Rules for an answer."""

    required: YesNo = False


class Component(_Part):
    """One question."""

    type: Literal["radio", "select", "checkbox", "textarea", "textfield", "number", "hidden"]
    key: Annotated[str, TextForm(r"[A-Za-z][A-Za-z0-9_]{0,62}", "write a word such as mask_rating")]
    label: str = Field(min_length=1)
    values: tuple[Option, ...] = ()
    data: SelectData | None = None
    conditional: Conditional | None = None
    validate_: Validate | None = Field(None, alias="validate")

    @property
    def options(self) -> tuple[Option, ...]:
        """Answers to choose from; empty for free answers."""
        if self.type == "select":
            return self.data.values if self.data else ()
        return self.values if self.type == "radio" else ()


class _Builder(_Part):
    display: Literal["form"]
    # XNAT refuses other characters in a title.
    title: Annotated[
        str, TextForm(r"[A-Za-z0-9 _.,:()-]{1,100}", "XNAT takes letters, digits and . , : ( ) - in a title")
    ]
    components: tuple[Component, ...] = Field(min_length=1)


@dataclass(frozen=True)
class FeedbackForm:
    """A form that was read.

    Parameters
    ----------
    title
        By which it is found again on a server.
    document
        The Form.io JSON as it was written.
    """

    title: str
    document: Mapping[str, Any]

    @property
    def questions(self) -> tuple[str, ...]:
        """Keys of its questions, in order."""
        return tuple(str(component["key"]) for component in self.document["components"])

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with the form's content."""
        text = json.dumps(self.document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_form(text: str, *, source: str) -> FeedbackForm | tuple[Problem, ...]:
    """Read a Form.io form, or say everything that is wrong with it.

    Raises
    ------
    overread.errors.SpecError
        It is no JSON at all.
    """
    document = parse_json(text, source=source)
    try:
        builder = _Builder.model_validate(document.value)
    except ValidationError as error:
        return problems_of(error, model=_Builder, source=source, lines=document.lines)
    problems = [
        Problem(source=source, line=line_of(at, document.lines), path=dotted(at), message=message, mend=mend)
        for at, message, mend in _faults(builder)
    ]
    if problems or not isinstance(document.value, dict):
        return tuple(sorted(problems))
    return FeedbackForm(builder.title, document.value)


def _faults(builder: _Builder) -> Iterator[tuple[Location, str, str]]:
    by_key: dict[str, Component] = {}
    for index, component in enumerate(builder.components):
        at: Location = ("components", index)
        if component.key in by_key:
            yield (*at, "key"), f"the key '{component.key}' stands twice", "rename one"
        if component.type in {"radio", "select"} and not component.options:
            where = "data.values" if component.type == "select" else "values"
            yield at, f"a {component.type} needs answers", f"list them in {where}"
        by_key.setdefault(component.key, component)
    for index, component in enumerate(builder.components):
        condition = component.conditional
        if condition is None or not condition.when:
            continue
        at = ("components", index, "conditional")
        asked = by_key.get(condition.when)
        if asked is None:
            yield (*at, "when"), f"there is no question '{condition.when}'", did_you_mean(condition.when, by_key)
        elif asked.options and condition.eq not in {option.value for option in asked.options}:
            yield (
                (*at, "eq"), f"'{condition.eq}' is no answer to '{condition.when}'",
                did_you_mean(condition.eq or "", [option.value for option in asked.options]),
            )  # fmt: skip
