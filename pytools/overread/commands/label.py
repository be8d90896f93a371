"""The label ``org.nrg.commands`` of a Dockerfile, from which XNAT reads an image's commands when it is pulled.

A Dockerfile can't read a file into a label, so it is written there: one line, a JSON list of commands.
"""

from __future__ import annotations

import json
import re

KEY = "org.nrg.commands"
_LINE = re.compile(rf"^LABEL {re.escape(KEY)}=.*$", re.MULTILINE)


def label_line(command: object) -> str:
    """Return the Dockerfile's line: a JSON list of commands in one string, quotes and variables escaped."""
    text = json.dumps([command], separators=(",", ":"), ensure_ascii=True)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'LABEL {KEY}="{escaped}"'


def updated(dockerfile: str, command: object) -> str:
    """Return a Dockerfile's text with the label of `command`.

    Raises
    ------
    ValueError
        If it has no such label, or several.
    """
    if len(_LINE.findall(dockerfile)) != 1:
        raise ValueError(f"Write exactly one line LABEL {KEY}= into the Dockerfile.")
    return _LINE.sub(lambda _: label_line(command), dockerfile)
