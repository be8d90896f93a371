"""Keeps the Dockerfiles' label ``org.nrg.commands`` equal to ``command.json``.

XNAT reads an image's commands from that label when the image is pulled. A Dockerfile can't read a file into a label, so
it is written here: ``python containers/labels.py`` updates, ``python containers/labels.py --check`` only says what is
stale, as a test does.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
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


def main(arguments: list[str]) -> int:
    """Update or check all Dockerfiles beside this file."""
    stale = []
    for path in sorted(FOLDER.glob("*/Dockerfile")):
        text = path.read_text("utf-8")
        wanted = updated(text, json.loads((path.parent / "command.json").read_text("utf-8")))
        if wanted != text:
            stale.append(path.parent.name)
            if "--check" not in arguments:
                path.write_text(wanted, "utf-8")
    if stale:
        print(f"{'stale' if '--check' in arguments else 'updated'}: {', '.join(stale)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
