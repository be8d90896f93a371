"""Images' `main.py` as modules, and runs of them in this process."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overread.operators.job import Job, image_arguments, run_image

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"
ENVIRON: Mapping[str, str] = {
    "OVERREAD_PROJECT": "BTS",
    "OVERREAD_SESSION_ID": "XNAT_E00001",
    "OVERREAD_SESSION_LABEL": "1_2_3",
    "OVERREAD_SUBJECT_ID": "XNAT_S00001",
    "OVERREAD_IMAGE": "overread/image:1.0.0",
    "OVERREAD_COMMAND": "command:1.0.0",
}


def main_of(image: str) -> Any:
    """Return an image's main.py, loaded anew."""
    path = CONTAINERS / image / "main.py"
    spec = importlib.util.spec_from_file_location(f"main_of_{image.replace('-', '_')}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    code: int
    output: Path
    out: str
    error: str

    @property
    def result(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.output / "result.json").read_text("utf-8"))
        return document

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.output.iterdir()}

    def measured(self, name: str) -> float:
        return float(next(m["value"] for m in self.result["measurements"] if m["name"] == name))


def run_main(
    work: Callable[[Job], None],
    folder: Path,
    output: Path,
    *,
    session: Path | None = None,
    **environ: str,
) -> Run:
    """Run an image's work on a folder as its entry point does."""
    parser = image_arguments("test")
    arguments = ["--input", str(folder), "--output", str(output)]
    if session is not None:
        parser.add_argument("--session", type=Path, required=True)
        arguments += ["--session", str(session)]
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = run_image(work, parser, arguments=arguments, environ={**ENVIRON, **environ})
    return Run(code, output, out.getvalue(), error.getvalue())
