"""Reads `command.json`."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from overread.commands.lint import lint
from overread.commands.model import Command
from overread.errors import SpecError
from overread.study.problems import Problem, dotted, line_of, problems_of
from overread.study.yamltext import parse_json


def read_command(text: str, *, source: str) -> Command | tuple[Problem, ...]:
    """Read a command document, or say everything that is wrong with it.

    Parameters
    ----------
    text
        JSON.
    source
        File name for the messages.

    Raises
    ------
    SpecError
        It is no JSON at all.
    """
    document = parse_json(text, source=source)
    try:
        command = Command.model_validate(document.value)
    except ValidationError as error:
        return problems_of(error, model=Command, source=source, lines=document.lines)
    problems = [
        Problem(
            source=source, line=line_of(finding.location, document.lines), path=dotted(finding.location),
            message=finding.message, mend=finding.mend,
        )
        for finding in lint(command)
        if finding.rule.severity == "error"
    ]  # fmt: skip
    return tuple(sorted(problems)) or command


def load_command(path: Path) -> Command:
    """Read a command document from a file.

    Raises
    ------
    SpecError
        The file is missing, or wrong; then with the first thing that is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise SpecError("can't be read; check the path", source=str(path)) from None
    result = read_command(text, source=str(path))
    if isinstance(result, Command):
        return result
    first, *others = result
    raise first.error(others=len(others))
