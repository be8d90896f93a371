"""A study with everything its manifest refers to, read from files and held against each other."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from overread.commands.compile import COLLECTION_TYPE, SERIES_RULES
from overread.commands.model import Command, Wrapper
from overread.commands.read import read_command
from overread.errors import SpecError
from overread.plugins.datatype import DataType, read_datatype
from overread.study.form import FeedbackForm, read_form
from overread.study.manifest import Demo, StudyManifest, read_manifest
from overread.study.problems import Location, Problem, did_you_mean, dotted, line_of
from overread.study.yamltext import parse_yaml
from overread.synthetic.demo import GENERATORS

ReadT = TypeVar("ReadT")


@dataclass(frozen=True)
class Runnable:
    """A command with the wrapper by which the study starts it.

    Parameters
    ----------
    command
        The whole document.
    wrapper
        The one that starts from a session, or from a ROI collection.
    companions
        Wrap-up commands that the command's output handlers name.
    """

    command: Command
    wrapper: Wrapper
    companions: tuple[Command, ...] = ()


@dataclass(frozen=True)
class StudyBundle:
    """A whole study.

    Parameters
    ----------
    source
        File of the manifest.
    manifest
        What it says.
    datatype
        Type of its results.
    model
        The model's command.
    recompute
        The command that measures a corrected collection, if the study lets readers correct.
    form
        Feedback form, if it has one.
    anonymisation
        DicomEdit script of its project, if the study brings one.
    report
        The command that makes a DICOM report of an exam, if the study names one.
    readers
        Logins of those who read, if the site's file of readers was given.
    reading_form, gate_form
        What readers are asked in a reader study, and who looks at the cases before them.
    """

    source: str
    manifest: StudyManifest
    datatype: DataType
    model: Runnable
    recompute: Runnable | None
    form: FeedbackForm | None
    anonymisation: str | None = None
    report: Runnable | None = None
    reading_form: FeedbackForm | None = None
    gate_form: FeedbackForm | None = None
    readers: tuple[str, ...] = ()

    def at_port(self, port: int) -> StudyBundle:
        """Give the study's receiver another port, where the manifest's is taken or mapped."""
        receiver = self.manifest.receiver.model_copy(update={"port": port})
        return replace(self, manifest=self.manifest.model_copy(update={"receiver": receiver}))

    @property
    def folder(self) -> str:
        """Folder of the manifest, as a command line would name it."""
        return str(Path(self.source).parent)

    @property
    def runnables(self) -> tuple[Runnable, ...]:
        """All commands that are started, each with its wrapper."""
        return tuple(one for one in (self.model, self.recompute, self.report) if one is not None)

    @property
    def commands(self) -> tuple[Command, ...]:
        """All commands, wrap-up commands before those that need them, each once."""
        ordered: dict[tuple[str, str], Command] = {}
        for runnable in self.runnables:
            for command in (*runnable.companions, runnable.command):
                ordered.setdefault((command.name, command.version), command)
        return tuple(ordered.values())


def read_bundle(path: Path) -> StudyBundle | tuple[Problem, ...]:
    """Read a study, or say everything that is wrong with it and with what it refers to.

    Parameters
    ----------
    path
        The manifest.
    """
    try:
        text = _text(path)
        manifest = read_manifest(text, source=str(path))
    except SpecError as error:
        return (Problem.of(error),)
    if isinstance(manifest, tuple):
        return manifest
    return _Reader(path, manifest, parse_yaml(text, source=str(path)).lines).read()


def load_bundle(path: Path) -> StudyBundle:
    """Read a study.

    Raises
    ------
    SpecError
        With the first thing that is wrong.
    """
    result = read_bundle(path)
    if isinstance(result, StudyBundle):
        return result
    first, *others = result
    raise first.error(others=len(others))


class _Reader:
    """Collects problems while it follows a manifest's references."""

    def __init__(self, path: Path, manifest: StudyManifest, lines: Mapping[Location, int]) -> None:
        self._path, self._manifest, self._lines = path, manifest, lines
        self._problems: list[Problem] = []

    def read(self) -> StudyBundle | tuple[Problem, ...]:
        """Follow all references."""
        manifest = self._manifest
        datatype = self._datatype()
        model = self._command(("command",), manifest.command, self._session_wrapper)
        if model and datatype:
            self._check_result(model, datatype)
        recompute = None
        if manifest.edit:
            recompute = self._command(("edit", "recompute"), manifest.edit.recompute, self._collection_wrapper)
        report = None
        if manifest.report:
            report = self._command(("report", "command"), manifest.report.command, self._report_wrapper)
        form = self._refer(("form",), manifest.form, read_form) if manifest.form else None
        script = None
        if manifest.anonymisation:
            script = self._refer(("anonymisation",), manifest.anonymisation, lambda text, source: text)  # noqa: ARG005
        reading_form, gate_form = self._reading_forms()
        if self._problems or datatype is None or model is None:
            return tuple(sorted(set(self._problems)))
        return StudyBundle(
            str(self._path), manifest, datatype, model, recompute, form, script, report, reading_form, gate_form
        )

    def _reading_forms(self) -> tuple[FeedbackForm | None, FeedbackForm | None]:
        """Read the forms of a reader study, and see that what is decided by their answers is asked."""
        reading = self._manifest.reading
        if reading is None:
            return None, None
        form = self._refer(("reading", "form"), reading.form, read_form)
        for index, key in enumerate(reading.adjudicate.differ if reading.adjudicate and form else ()):
            self._need_question(form, key, ("reading", "adjudicate", "differ", index), reading.form)
        if reading.gate is None:
            return form, None
        gate = self._refer(("reading", "gate", "form"), reading.gate.form, read_form)
        for index, rule in enumerate(reading.gate.pass_ if gate else ()):
            self._need_question(gate, rule.answer, ("reading", "gate", "pass", index, "answer"), reading.gate.form)
        return form, gate

    def _need_question(self, form: FeedbackForm | None, key: str, location: Location, file: str) -> None:
        if form is not None and key not in form.questions:
            words = did_you_mean(key, form.questions)
            self._say(location, f"there is no question '{key}' in {file}", words or "add it there")

    def _say(self, location: Location, message: str, mend: str) -> None:
        line = line_of(location, self._lines)
        self._problems.append(Problem(str(self._path), line, dotted(location), message, mend))

    def _refer(
        self, location: Location, relative: str, read: Callable[..., ReadT | tuple[Problem, ...]]
    ) -> ReadT | None:
        """Read a file of the study; what is wrong with it is told under its own name."""
        path = self._near(relative)
        try:
            result = read(_text(path), source=str(path))
        except SpecError as error:
            if not path.is_file():
                self._say(
                    location, f"there is no file {relative}", "check the path; it starts at the manifest's folder"
                )
            else:
                self._problems.append(Problem.of(error))
            return None
        if isinstance(result, tuple):
            self._problems += result
            return None
        return result

    def _datatype(self) -> DataType | None:
        def read(_: str, *, source: str) -> DataType | tuple[Problem, ...]:
            return read_datatype(Path(source))

        datatype = self._refer(("result",), self._manifest.result, read)
        progression = self._manifest.progression
        if datatype and progression and progression.measure not in datatype.numbers:
            words = did_you_mean(progression.measure, datatype.numbers)
            self._say(
                ("progression", "measure"),
                f"'{progression.measure}' is no numeric field of {datatype.xsi_type}",
                words or f"add a numeric field to {self._manifest.result}",
            )
        if datatype and self._manifest.demo:
            self._check_demo(self._manifest.demo, datatype)
        return datatype

    def _check_demo(self, demo: Demo, datatype: DataType) -> None:
        if demo.exams not in GENERATORS:
            words = did_you_mean(demo.exams, GENERATORS)
            self._say(("demo", "exams"), f"there are no made-up exams named '{demo.exams}'", words)
        names = [item.name for item in datatype.fields]
        for name in demo.measures:
            if name not in names:
                words = did_you_mean(name, names) or f"add the field to {self._manifest.result}"
                self._say(("demo", "measures", name), f"'{name}' is no field of {datatype.xsi_type}", words)

    def _command(
        self, location: Location, relative: str, choose: Callable[[Command, Location], Wrapper | None]
    ) -> Runnable | None:
        command = self._refer(location, relative, read_command)
        if command is None:
            return None
        wrapper = choose(command, location)
        if wrapper is None:
            return None
        return self._with_companions(Runnable(command, wrapper), location, relative)

    def _session_wrapper(self, command: Command, location: Location) -> Wrapper | None:
        wrapper = self._report_wrapper(command, location)
        if wrapper is None:
            return None
        names = {item.name for item in (*command.inputs, *wrapper.inputs)}
        if SERIES_RULES not in names:
            self._say(
                location, f"{command.name} has no input '{SERIES_RULES}'",
                "add it: by it the image learns the study's series rules",
            )  # fmt: skip
        return wrapper

    def _report_wrapper(self, command: Command, location: Location) -> Wrapper | None:
        fitting = [w for w in command.xnat if _starts_from(w, "Session")]
        if len(fitting) != 1:
            self._say(
                location,
                f"{command.name} has {len(fitting)} wrappers that start from a session",
                "give it exactly one, with one external input of type Session and a context such as xnat:mrSessionData",
            )
            return None
        return fitting[0]

    def _collection_wrapper(self, command: Command, location: Location) -> Wrapper | None:
        fitting = [w for w in command.xnat if _starts_from(w, "Assessor") and COLLECTION_TYPE in w.contexts]
        if len(fitting) != 1:
            self._say(
                location,
                f"{command.name} has {len(fitting)} wrappers that start from a ROI collection",
                f"give it exactly one, with one external input of type Assessor and the context {COLLECTION_TYPE}",
            )
            return None
        return fitting[0]

    def _with_companions(self, runnable: Runnable, location: Location, relative: str) -> Runnable:
        """Find the wrap-up commands in the folders beside the command's own."""
        wanted = sorted({h.via_wrapup_command for h in runnable.wrapper.output_handlers if h.via_wrapup_command})
        if not wanted:
            return runnable
        beside = dict(_wrapups(self._near(relative).resolve().parent.parent.glob("*/command.json")))
        found: list[Command] = []
        for reference in wanted:
            image, _, name = reference.rpartition(":") if reference.count(":") > 1 else (reference, "", "")
            match = next((c for c in beside.values() if c.image == image and name in {"", c.name}), None)
            if match is None:
                there = f": {', '.join(sorted(beside))}" if beside else ""
                self._say(
                    location,
                    f"its wrap-up command {reference} is in no folder beside it",
                    f"add <folder>/command.json of type docker-wrapup, or name one that is there{there}",
                )
            else:
                found.append(match)
        return replace(runnable, companions=tuple(found))

    def _check_result(self, model: Runnable, datatype: DataType) -> None:
        types = [h.xsi_type for h in model.wrapper.output_handlers if h.type == "Assessor" and h.xsi_type]
        if datatype.xsi_type not in types:
            self._say(
                ("result",),
                f"{model.command.name} stores {', '.join(types) or 'no assessor'}, not {datatype.xsi_type}",
                "let an output handler of type Assessor name it as its xsi-type, or take the other datatype",
            )

    def _near(self, relative: str) -> Path:
        return Path(os.path.normpath(self._path.parent / relative))


def _starts_from(wrapper: Wrapper, kind: str) -> bool:
    return len(wrapper.external_inputs) == 1 and wrapper.external_inputs[0].type == kind


def _wrapups(paths: Iterable[Path]) -> Iterable[tuple[str, Command]]:
    for path in sorted(paths):
        try:
            command = read_command(_text(path), source=str(path))
        except SpecError:
            continue  # a neighbour that is no command is not this study's fault
        if isinstance(command, Command) and command.type == "docker-wrapup":
            yield f"{command.image}:{command.name}", command


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise SpecError("is not UTF-8 text; save it as UTF-8", source=str(path)) from None
    except OSError as error:
        raise SpecError(f"can't be read ({error.strerror}); check the path", source=str(path)) from None
