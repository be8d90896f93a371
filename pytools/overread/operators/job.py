"""The container contract from the inside: arguments, context, progress, timings, and how a run ends.

``main.py --input /input --output /output`` ends with 0 and a ``result.json``, or with another number and one line on
stderr that says what, where, and what to do. What the Container Service knows comes in by environment variables, since
those are safe from the quoting of a command line.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pydicom.config
from pydantic import TypeAdapter, ValidationError

from overread.errors import OverreadError, SpecError
from overread.study.manifest import Progression, SeriesRule

_RULES: Final = TypeAdapter(dict[str, SeriesRule])
_UNREPLACED: Final = re.compile(r"#[A-Za-z0-9_-]+#")
_INTERNAL: Final = 70
"""Exit code of a fault of the image's own (EX_SOFTWARE of sysexits.h)."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the server says about a run. All of it may be empty: an image also runs with no server.

    Parameters
    ----------
    project, session_id, session_label, subject_id
        XNAT's names of what the run is about.
    series_rules
        Rules by role as JSON, or as base64 of that; empty: those of the image's card.
    image, image_digest, command
        What is run.
    collection_label
        For runs on a ROI collection: its label.
    result_label, study_title, progression
        For reports: the result that it is about, the study's title, and the study's progression as base64 of JSON.
    remnant
        For organs of which a part is taken out: the part that stays.
    """

    project: str = ""
    session_id: str = ""
    session_label: str = ""
    subject_id: str = ""
    series_rules: str = ""
    image: str = ""
    image_digest: str = ""
    command: str = ""
    collection_label: str = ""
    result_label: str = ""
    study_title: str = ""
    progression: str = ""
    remnant: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Context:
        """Return the context that ``OVERREAD_…`` variables describe.

        A replacement key that was not replaced (``#series-rules#``), as of an input without a value, says nothing.
        """
        values = {name: environ.get(f"OVERREAD_{name.upper()}", "").strip() for name in cls.__dataclass_fields__}
        return cls(**{name: "" if _UNREPLACED.fullmatch(value) else value for name, value in values.items()})

    def rules(self, default: Mapping[str, SeriesRule]) -> Mapping[str, SeriesRule]:
        """Return the study's rules for choosing series, `default` where it gives none.

        XNAT refuses input values that hold ``(``, ``;`` or other signs of a shell, as regular expressions do; so the
        rules usually come as base64.
        """
        if not self.series_rules:
            return default
        try:
            return _RULES.validate_json(_plain_json(self.series_rules))
        except (binascii.Error, UnicodeDecodeError, ValidationError) as error:
            raise SpecError(
                "The rules are neither JSON of arrival.series nor base64 of it: apply the study again.",
                source="OVERREAD_SERIES_RULES",
            ) from error

    def follow(self, default: Progression) -> Progression:
        """Return how the study follows its measure, `default` where it does not say; in base64 for the same reason."""
        if not self.progression:
            return default
        try:
            return Progression.model_validate_json(_plain_json(self.progression))
        except (binascii.Error, UnicodeDecodeError, ValidationError) as error:
            raise SpecError(
                "The progression is neither the manifest's as JSON nor base64 of it: apply the study again.",
                source="OVERREAD_PROGRESSION",
            ) from error


def _plain_json(text: str) -> str:
    return text if text.startswith("{") else base64.b64decode(text, validate=True).decode("utf-8")


@dataclass(kw_only=True)
class Job:
    """One run of an image.

    Parameters
    ----------
    input, output
        Folders.
    context
        What the server says.
    arguments
        All arguments, those of the image's own included.
    timings_s
        Seconds by stage, filled by `stage`.
    warnings
        Filled on the way.
    """

    input: Path
    output: Path
    context: Context = field(default_factory=Context)
    arguments: argparse.Namespace = field(default_factory=argparse.Namespace)
    timings_s: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, *, at: float) -> Iterator[None]:
        """Say that a stage begins when the run is `at` (0 to 1) of its way, and measure how long it takes."""
        print(f"progress {at:.2f} {name}", flush=True)  # noqa: T201 - the contract's progress line
        started = time.perf_counter()
        try:
            yield
        finally:
            taken = time.perf_counter() - started
            self.timings_s[name] = round(self.timings_s.get(name, 0.0) + taken, 3)

    def warn(self, message: str) -> None:
        """Note what the reader of the result should know, and print it."""
        self.warnings.append(message)
        print(f"warning: {message}", flush=True)  # noqa: T201 - the log is where a run is looked at


def image_arguments(description: str) -> argparse.ArgumentParser:
    """Return the arguments that every image takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--input", type=Path, required=True, help="folder with the exam; only read")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result; nothing else is written to")
    return parser


def run_image(
    work: Callable[[Job], None],
    parser: argparse.ArgumentParser,
    *,
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run an image's work and return its exit code.

    Parameters
    ----------
    work
        What the image does. It raises `OverreadError` for what a user can mend.
    parser
        As `image_arguments` gives it, with more arguments if the image has some.
    arguments, environ
        Those of the process if not given. ``OVERREAD_DEBUG=1`` shows where an error came from.
    """
    parsed = parser.parse_args(arguments)
    environ = os.environ if environ is None else environ
    # A warning of the parser would print the value that it dislikes, which may be a patient's name.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    job = Job(input=parsed.input, output=parsed.output, context=Context.of(environ), arguments=parsed)
    try:
        _check_folders(job)
        work(job)
    except OverreadError as error:
        return _fail(str(error), error.exit_code, environ)
    except OSError as error:
        return _fail(f"{error.strerror or type(error).__name__}: {error.filename or job.output}", 1, environ)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line, not a traceback
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        text = f"A fault of this image, not of the exam ({type(error).__name__} in {where}): report it with the log."
        return _fail(text, _INTERNAL, environ)
    print("progress 1.00 done", flush=True)  # noqa: T201
    return 0


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def to_json(value: object) -> str:
    """Return a value as JSON for people and programs: stable order of keys as given, no NaN."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)


def _check_folders(job: Job) -> None:
    if not job.input.is_dir():
        raise SpecError("There is no such folder: pass the folder of the exam.", source=f"--input {job.input}")
    job.output.mkdir(parents=True, exist_ok=True)


def _fail(message: str, code: int, environ: Mapping[str, str]) -> int:
    if environ.get("OVERREAD_DEBUG"):
        traceback.print_exc()
    print(" ".join(message.split()), file=sys.stderr, flush=True)  # noqa: T201 - one line, as the contract says
    return code
