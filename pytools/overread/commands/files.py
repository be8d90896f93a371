"""Writes compiled commands where they belong: ``command.json`` and the Dockerfile's label."""

from __future__ import annotations

import json
from pathlib import Path

from overread.commands.compile import Compiled
from overread.commands.label import updated
from overread.commands.lint import lint
from overread.commands.model import Command
from overread.errors import SpecError


def write_files(compiled: Compiled, *, check: bool = False) -> tuple[Path, ...]:
    """Bring the files of an image's folder up to date.

    Parameters
    ----------
    compiled
        The command, and whose it is.
    check
        Only look.

    Returns
    -------
    tuple of Path
        The files that were, or are, stale.

    Raises
    ------
    SpecError
        The command has an error by our own lint, or the Dockerfile has no one label.
    """
    for finding in lint(Command.model_validate(compiled.document)):
        if finding.rule.severity == "error":
            raise SpecError(f"{finding.message}; {finding.mend}", source=str(compiled.folder), path=finding.path)
    wanted = {compiled.folder / "command.json": json.dumps(compiled.document, indent=2, ensure_ascii=False) + "\n"}
    dockerfile = compiled.folder / "Dockerfile"
    if dockerfile.is_file():
        try:
            wanted[dockerfile] = updated(dockerfile.read_text("utf-8"), compiled.document)
        except ValueError as error:
            raise SpecError(str(error), source=str(dockerfile)) from None
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    if not check:
        for path in stale:
            path.write_text(wanted[path], "utf-8")
    return tuple(stale)
