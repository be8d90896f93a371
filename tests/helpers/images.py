"""Image folders made for one test: nothing to install, a main.py of a few lines."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

IMAGE = "overread/tiny:1.0.0"


def make_image(parent: Path, main: str, *, folder: str = "tiny", **command: Any) -> Path:
    """Write an image folder below `parent` and return it.

    Parameters
    ----------
    parent
        A folder for ``--images``.
    main
        Source of ``main.py``; indentation is taken off.
    folder
        Name of the image folder.
    command
        Keys of the command document (``_`` for ``-``), beside or instead of the usual ones.
    """
    document: dict[str, Any] = {
        "name": folder,
        "version": "1.0",
        "type": "docker",
        "image": IMAGE,
        "command-line": "python /app/main.py --input /input --output /output",
        "override-entrypoint": True,
        "mounts": [
            {"name": "in", "path": "/input", "writable": False},
            {"name": "out", "path": "/output", "writable": True},
        ],
    }
    document |= {name.replace("_", "-"): value for name, value in command.items()}
    target = parent / folder
    target.mkdir(parents=True)
    (target / "command.json").write_text(json.dumps(document), "utf-8")
    (target / "main.py").write_text(textwrap.dedent(main), "utf-8")
    (target / "requirements.txt").write_text("# nothing\n", "utf-8")
    return target
