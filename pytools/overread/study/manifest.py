"""The study manifest: one YAML file that binds a study together.

Models only say what a manifest may hold. `overread.study.rules`, `selection` and `completion` decide by it.
Unknown keys are errors, since a misspelt key would otherwise be a rule that silently does not hold.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from overread.study.fields import (
    AeTitle,
    FieldName,
    Form,
    Keyword,
    Number,
    Pattern,
    RelativePath,
    Role,
    Scalar,
    Spec,
    Version,
    Whole,
    YesNo,
)
from overread.study.problems import Problem, problems_of
from overread.study.reading import Reading
from overread.study.yamltext import parse_yaml

ModelT = TypeVar("ModelT", bound="StudyManifest")

OPERATORS = ("in", "matches", "equals", "at_least", "at_most", "exists")


class Condition(Spec):
    """One test of one DICOM attribute: a keyword, an operator, a value. Data, never code.

    `overread.study.rules.evaluate` says what each operator means.
    """

    tag: Keyword = Field(description="DICOM keyword, such as SeriesDescription.")
    in_: tuple[Scalar, ...] | None = Field(None, alias="in", min_length=1, description="The value is one of these.")
    matches: Pattern | None = Field(None, description="The regular expression is found in the value.")
    equals: Scalar | None = Field(None, description="The value is this.")
    at_least: Number | None = Field(None, description="The number is this or more.")
    at_most: Number | None = Field(None, description="The number is this or less.")
    exists: YesNo | None = Field(None, description="The attribute has a value, or has none.")

    @model_validator(mode="after")
    def _exactly_one_operator(self) -> Self:
        given = [name for name in OPERATORS if self._operand(name) is not None]
        if len(given) != 1:
            what = "has no operator" if not given else f"has {len(given)} operators ({', '.join(given)})"
            mend = f"give exactly one of {', '.join(OPERATORS)}" + ("; write two conditions" if given else "")
            raise PydanticCustomError("operators", "{what}", {"what": what, "mend": mend})
        return self

    def _operand(self, name: str) -> Any:
        return self.in_ if name == "in" else getattr(self, name)

    @property
    def operator(self) -> str:
        """The one operator that is given, as the manifest spells it."""
        return next(name for name in OPERATORS if self._operand(name) is not None)

    @property
    def operand(self) -> Any:
        """The value that stands behind the operator."""
        return self._operand(self.operator)

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        operand = self.operand
        return {"tag": self.tag, self.operator: list(operand) if isinstance(operand, tuple) else operand}


class SeriesRule(Spec):
    """Which series plays a role in the study, and which one is taken where several could."""

    where: tuple[Condition, ...] = Field(min_length=1, description="All of these hold.")
    choose: Literal["most_instances", "first", "last"] = Field(
        "most_instances", description="Which of several: that with most images, or the first or last taken."
    )
    at_least: Whole = Field(1, ge=1, description="A series with fewer images is not taken.")


class Complete(Spec):
    """When an exam is whole."""

    needs: tuple[Role, ...] = Field(min_length=1, description="Roles that must be filled.")
    quiet_s: Number = Field(15.0, ge=1, le=3600, description="So long nothing has arrived, in seconds.")
    give_up_s: Number = Field(
        3600.0, ge=1, le=7 * 86400, description="So long after the first object the exam is taken as it is, in seconds."
    )

    @model_validator(mode="after")
    def _patience_exceeds_quiet(self) -> Self:
        if self.give_up_s < self.quiet_s:
            raise PydanticCustomError(
                "order",
                "{give_up} s is shorter than quiet_s ({quiet} s)",
                {
                    "at": ("give_up_s",),
                    "give_up": f"{self.give_up_s:g}",
                    "quiet": f"{self.quiet_s:g}",
                    "mend": "give up later than the quiet time",
                },
            )
        return self


class Arrival(Spec):
    """Which exams the study takes, which series it uses, and when an exam is whole."""

    accept: tuple[Condition, ...] = Field((), description="One series of the exam must fulfil all of these.")
    series: dict[Role, SeriesRule] = Field(min_length=1, description="A rule for each role.")
    complete: Complete

    @model_validator(mode="after")
    def _needed_roles_have_rules(self) -> Self:
        for index, role in enumerate(self.complete.needs):
            _require_role(role, self.series, ("complete", "needs", index))
        return self


class Receiver(Spec):
    """The DICOM address at which exams of the study arrive."""

    ae_title: AeTitle = Field(description="Application entity title, at most 16 characters.")
    port: Whole = Field(8104, ge=1, le=65535)


class Readers(Spec):
    """Who reads, and how many readers an exam gets."""

    group: str = Field(min_length=1, max_length=64, description="Name of the readers' group.")
    per_case: Whole = Field(1, ge=1, le=50)
    blind: Literal["none", "readers", "result"] = Field(
        "none",
        description="What the review page hides until one has answered: nothing, what other readers said and drew, or "
        "the model's result as well.",
    )


class Repeatability(Spec):
    """By how much two measurements of an unchanged lesion differ at most, in 95 of 100 cases.

    Measured by scanning the same twice; `docs/explanation/progression.md` says how.
    """

    pct: Number = Field(ge=0, le=1000, description="Of larger lesions, in percent of the baseline.")
    floor_ml: Number = Field(0.0, ge=0, le=1000, description="Of small ones, in mL; the larger of both holds.")


class Progression(Spec):
    """How a measure is followed over time."""

    measure: FieldName = Field(description="A numeric field of the result.")
    baseline: Literal["first", "lowest", "previous"] = Field(
        "first", description="With what a value is compared: the first, the lowest before it, or the one before it."
    )
    increase_pct: Number = Field(40.0, gt=0, le=10_000, description="Growth over the baseline that counts, in percent.")
    repeatability: Repeatability | None = Field(
        None, description="Measurement noise: growth within it is no progression, whatever its percentage."
    )


class Edit(Spec):
    """What readers may correct, and the command that measures a correction."""

    collections: tuple[Literal["SEG"], ...] = Field(min_length=1, description="Kinds of ROI collections.")
    recompute: RelativePath = Field(description="command.json that measures a collection.")


class SendTo(Spec):
    """A DICOM node that gets reports. Its host and port are the site's: `overread report send --nodes`."""

    ae_title: AeTitle = Field(description="Of the node, as the site's file of nodes has it.")
    storage_commitment: YesNo = Field(
        default=True, description="The node is asked to answer for what it has taken; without it, taken is all."
    )
    objects: tuple[Literal["capture", "pdf", "sr"], ...] = Field(
        ("capture", "pdf", "sr"), min_length=1, description="What of a report it gets; some nodes take no PDF or SR."
    )


class Report(Spec):
    """The command that makes a report, and where it is sent."""

    command: RelativePath
    send_to: tuple[SendTo, ...] = Field(
        (), description="Nodes that get each report, by `overread report send`; only while the study is live."
    )
    after_result: YesNo = Field(
        default=False, description="It is made by itself after each result, by an orchestration."
    )


class Runs(Spec):
    """How the study's runs are queued. The hub heeds it; XNAT's Container Service has no such thing."""

    priority: Literal["low", "normal", "high", "urgent"] = Field(
        "normal", description="Who goes first when runs wait; within a priority projects take turns."
    )
    time_limit_s: Whole | None = Field(
        None, ge=1, le=7 * 86400, description="A run that takes longer is ended; never more than the hub's own limit."
    )
    attempts: Whole | None = Field(
        None, ge=1, le=20, description="So often a run is tried in all, when it fails for a reason that may pass."
    )


class DemoMeasure(Spec):
    """How far a number of the demo's results may lie from the truth; the wider of both holds. Texts must be equal."""

    within_pct: Number = Field(0.0, ge=0, le=1000, description="Of the true value, in percent.")
    or_within: Number = Field(0.0, ge=0, description="In the field's own unit.")


class Demo(Spec):
    """Made-up exams by which `overread demo` shows the study, and what must come out of them."""

    exams: FieldName = Field(description="Their generator's name, as `overread.synthetic.demo` knows it.")
    measures: dict[FieldName, DemoMeasure] = Field(min_length=1, description="Fields of the result to be compared.")


class StudyManifest(Spec):
    """A whole study. Paths are relative to the manifest's folder."""

    id: Annotated[str, Form(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", "write lower-case words with hyphens")] = Field(
        max_length=40
    )
    title: str = Field(min_length=1, max_length=200)
    version: Version
    mode: Literal["shadow", "assist", "live"] = Field(
        "shadow", description="shadow: readers don't see the result; assist: they do; live: it also leaves the hub."
    )
    project: Annotated[str, Form(r"[A-Za-z0-9_-]{1,64}", "an XNAT project ID has letters, digits, - and _")] = Field(
        description="XNAT project ID."
    )
    receiver: Receiver
    arrival: Arrival
    command: RelativePath = Field(description="command.json of the model's image.")
    runs: Runs | None = None
    result: RelativePath = Field(description="Datatype of the result, as YAML.")
    form: RelativePath | None = Field(None, description="Feedback form, as Form.io JSON.")
    anonymisation: RelativePath | None = Field(
        None, description="DicomEdit script of the project; without it the project's own is left alone."
    )
    readers: Readers | None = None
    reading: Reading | None = Field(None, description="A reader study: each reader reads in a project of his own.")
    progression: Progression | None = None
    edit: Edit | None = None
    report: Report | None = None
    demo: Demo | None = Field(None, description="What `overread demo` sends; without it the study has no demo.")
    viewer_series: tuple[Role, ...] = Field(
        (), description="Roles that the viewer shows, in this order; without it those of arrival.complete.needs."
    )

    @model_validator(mode="after")
    def _viewer_roles_have_rules(self) -> Self:
        for index, role in enumerate(self.viewer_series):
            _require_role(role, self.arrival.series, ("viewer_series", index))
        return self

    @property
    def shown_series(self) -> tuple[str, ...]:
        """Roles that the viewer shows, in order."""
        return self.viewer_series or self.arrival.complete.needs


class StoredStudy(StudyManifest):
    """The manifest as a server keeps it: with all that `study apply` has resolved.

    It is stored as JSON in the configuration service, tool ``overread``, path ``study`` of the project.
    """

    result_type: Annotated[str, Form(r"[A-Za-z][A-Za-z0-9]*:[A-Za-z][A-Za-z0-9]*", "write prefix:type")]
    threshold_pct_by_hand: Number | None = Field(
        None, gt=0, le=10_000, description="Set by an administrator instead of progression.increase_pct."
    )
    form_uuid: str | None = None
    form_version: Whole | None = Field(None, ge=1, description="Counts the changes of the form's content.")
    form_digest: str | None = None
    command_name: str = ""
    command_version: str = ""
    wrapper_name: str = ""
    recompute_command_name: str = ""
    recompute_command_version: str = ""
    recompute_wrapper_name: str = ""
    report_command_name: str = ""
    report_command_version: str = ""
    report_wrapper_name: str = ""


def read_manifest(text: str, *, source: str) -> StudyManifest | tuple[Problem, ...]:
    """Read a manifest, or say everything that is wrong with it.

    Parameters
    ----------
    text
        YAML.
    source
        File name for the messages.

    Returns
    -------
    StudyManifest or tuple of Problem
        The problems in order of their lines, at least one.

    Raises
    ------
    overread.errors.SpecError
        It is no YAML at all.
    """
    return _read(StudyManifest, text, source)


def load_manifest(text: str, *, source: str) -> StudyManifest:
    """Read a manifest.

    Parameters
    ----------
    text
        YAML or JSON.
    source
        File name for the messages.

    Raises
    ------
    overread.errors.SpecError
        With the first thing that is wrong, its line and path; `read_manifest` gives all.
    """
    return _load(StudyManifest, text, source)


def load_stored_study(text: str, *, source: str) -> StoredStudy:
    """Read a manifest as a server keeps it (see `StoredStudy`).

    Raises
    ------
    overread.errors.SpecError
        It was written by another version, or by hand and wrongly.
    """
    return _load(StoredStudy, text, source)


def _read(model: type[ModelT], text: str, source: str) -> ModelT | tuple[Problem, ...]:
    document = parse_yaml(text, source=source)
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        return problems_of(error, model=model, source=source, lines=document.lines)


def _load(model: type[ModelT], text: str, source: str) -> ModelT:
    result = _read(model, text, source)
    if isinstance(result, StudyManifest):
        return result
    first, *others = result
    raise first.error(others=len(others))


def _require_role(role: str, rules: dict[str, SeriesRule], at: tuple[str | int, ...]) -> None:
    if role not in rules:
        known = ", ".join(sorted(rules))
        raise PydanticCustomError(
            "role", "{role} has no rule in arrival.series", {"role": repr(role), "at": at, "mend": f"one of {known}"}
        )


__all__ = [
    "Arrival",
    "Complete",
    "Condition",
    "Demo",
    "DemoMeasure",
    "Edit",
    "Progression",
    "Readers",
    "Receiver",
    "Repeatability",
    "Report",
    "Runs",
    "SendTo",
    "SeriesRule",
    "StoredStudy",
    "StudyManifest",
    "load_manifest",
    "load_stored_study",
    "read_manifest",
]
