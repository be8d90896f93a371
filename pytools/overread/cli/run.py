"""``overread run``: run an image on a folder of DICOM, with no server."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overread.errors import OverreadError, SpecError

if TYPE_CHECKING:
    from overread.hub.runs.runner import Exit, Progress

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_TAIL_LINES = 20
_POLL_S = 1.0


@click.command("run")
@click.argument("image_folder", type=_FOLDER)
@click.argument("input_folder", metavar="INPUT", type=_FOLDER)
@click.argument("output_folder", metavar="OUTPUT", type=click.Path(path_type=Path, file_okay=False))
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Value of an input of the command.")
@click.option("--mount", "mounts", multiple=True, metavar="NAME=FOLDER", help="Folder of a further mount.")
@click.option("--command", "name", help="Which command, if the image has several.")
@click.option("--timeout-s", type=click.FloatRange(min=1), default=3600.0, show_default=True, help="Longest run.")
@click.option("--overwrite", is_flag=True, help="Write into an OUTPUT that is not empty.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json instead of a summary.")
def cli(
    image_folder: Path,
    input_folder: Path,
    output_folder: Path,
    *,
    settings: tuple[str, ...],
    mounts: tuple[str, ...],
    name: str | None,
    timeout_s: float,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Run the image in IMAGE_FOLDER on the DICOM files below INPUT; what it finds is written to OUTPUT.

    The image's Python environment is built at its first run and kept in OVERREAD_ENVIRONMENTS (else in the user's
    cache folder). With bubblewrap the image sees no network and no other files. Progress goes to standard error, a
    summary of the result to standard output.

    Exit code 0: done, also when the model does not apply; 1: the run failed; 2: wrong call.
    """
    from overread.hub.runs import local  # noqa: PLC0415 - `overread --help` stays light
    from overread.hub.runs.images import read_image  # noqa: PLC0415

    image = read_image(image_folder.resolve())
    command = local.choose_command(image, name)
    values = local.values_of(command, _pairs(settings, "--set"))
    more = {mount: _folder(mount, path) for mount, path in _pairs(mounts, "--mount").items()}
    if not overwrite and output_folder.is_dir() and any(output_folder.iterdir()):
        raise SpecError(f"{output_folder} is not empty. Give another folder, or --overwrite.")
    output_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="overread-run-") as scratch:
        logs = Path(scratch) / "log"
        folders = local.mount_folders(
            command,
            source=input_folder.resolve(),
            target=output_folder.resolve(),
            more=more,
            empty=Path(scratch) / "empty",
        )
        spec = local.local_spec(image, command, values=values, folders=folders, logs=logs, timeout_s=timeout_s)
        end = run_here(image, spec)
        if not end.ok:
            _tell_tail(logs / "stderr.log")
            raise OverreadError(f"{image.name}: {end.reason}")
    _summarise(output_folder, as_json=as_json)


def run_here(image: Any, spec: Any) -> Exit:
    """Run an image's command on this machine; progress goes to standard error."""
    from overread.hub.runs.environments import Environments, cache_folder  # noqa: PLC0415
    from overread.hub.runs.images import OneImage  # noqa: PLC0415
    from overread.hub.runs.process import ProcessRunner  # noqa: PLC0415
    from overread.hub.runs.runner import Listener  # noqa: PLC0415

    runner = ProcessRunner(OneImage(image), Environments(cache_folder(_user_cache())))
    runner.prepare(image.name, report=lambda line: _say(f"{line} (first run of this image)"), stopped=lambda: False)
    handle = runner.start(spec, listener=Listener(_tell_progress()))
    try:
        while (end := runner.wait(handle, timeout_s=_POLL_S)) is None:
            pass
    except KeyboardInterrupt:
        runner.kill(handle)
        runner.wait(handle, timeout_s=_POLL_S)
        raise
    finally:
        runner.remove(handle)
    return end


def _tell_progress() -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        _say(f"{100 * progress.fraction:3.0f} % {progress.stage}")

    return tell


def _summarise(output: Path, *, as_json: bool) -> None:
    path = output / "result.json"
    if not path.exists():
        _say(f"Done: {output}")
        return
    text = path.read_text("utf-8")
    if as_json:
        click.echo(text.rstrip())
        return
    result = json.loads(text)
    click.echo(f"status: {result.get('status')}" + (f" ({result['reason']})" if result.get("reason") else ""))
    for measure in result.get("measurements") or ():
        click.echo(f"{measure.get('roi')}: {measure.get('name')} {measure.get('value')} {measure.get('unit')}")
    for warning in result.get("warnings") or ():
        click.echo(f"warning: {warning}")
    _say(f"Files: {', '.join(sorted(found.name for found in output.iterdir()))} in {output}")


def _tell_tail(log: Path) -> None:
    if log.exists():
        for line in log.read_text("utf-8", "replace").splitlines()[-_TAIL_LINES:]:
            _say(f"  {line}")


def _pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise SpecError(f"{option} takes NAME=VALUE, not {text!r}.")
        pairs[name] = value
    return pairs


def _folder(mount: str, path: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise SpecError(f"--mount {mount}: there is no folder {path}.")
    return folder.resolve()


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "overread" / "environments"


def _say(line: str) -> None:
    click.echo(line, err=True)
