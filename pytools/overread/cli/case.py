"""``overread case``: run a failed case again, take a case from a server, and run it on this machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overread.errors import DataError, OverreadError, SpecError

if TYPE_CHECKING:
    from overread.xnat.cases.bundle import Bundle

_DIFFERS = 3
_SHELL = set(";&|<>$`(){}\n\r\0\\")
_ID = click.argument("name", metavar="ID")
_SERVER = click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Address of the hub or XNAT.")
_USER = click.option("--user", required=True, envvar="OVERREAD_USER", help="Login; the password as for study apply.")


@click.group("case")
def cli() -> None:
    """Run a failed case again, take a case from a server, and run it on this machine.

    ID is the number of a run, or the ID of a session (its newest run is meant).
    """


@cli.command("rerun")
@_ID
@_SERVER
@_USER
def rerun(name: str, server: str, user: str) -> None:
    """Run a failed case again, with the same values.

    A new run, linked to the failed one. On the hub, said twice, it makes one new run. XNAT has no such request: there
    it is launched anew each time.
    """
    from overread.xnat.cases.collect import find_run  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.cases.rerun import rerun as run_again  # noqa: PLC0415
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        said = run_again(archive, find_run(archive, name))
    click.echo(said)


@cli.command("export")
@_ID
@_SERVER
@_USER
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write, such as case.zip."
)
@click.option(
    "--by-value/--by-reference", default=False, help="Put the files themselves in, or their UIDs and SHA-256 (default)."
)
def export(name: str, server: str, user: str, out: Path, *, by_value: bool) -> None:
    """Write a bundle of a case, to be run elsewhere.

    Command, values, image, versions, log, stage times, outcome, inputs and outputs. Secrets are masked; the patient's
    name, birth date and accession number stand nowhere in it, but in the DICOM files themselves if they go
    along (--by-value).
    """
    from overread.xnat.cases.bundle import write_bundle  # noqa: PLC0415
    from overread.xnat.cases.collect import collect, find_run  # noqa: PLC0415
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    if not out.absolute().parent.is_dir():
        raise SpecError(f"There is no folder {out.absolute().parent}.")
    with (
        tempfile.TemporaryDirectory(prefix=".overread-case-", dir=out.absolute().parent) as scratch,
        open_archive(server, user=user, password=find_password(server, user=user)) as archive,
    ):
        run = find_run(archive, name)
        case = collect(archive, run, server=server, folder=Path(scratch), by_value=by_value, tell=_say)
        write_bundle(out, case.document, case.files)
    count = sum(len(group["files"]) for group in case.document["inputs"])
    click.echo(f"Run {run['id']} ({run['status']}): {count} input files by {case.document['by']} in {out}")
    if by_value:
        _say("The bundle holds DICOM files as they are, with all that they say about the patient: keep it as such.")


@cli.command("replay")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--image", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Image folder to run.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep what it writes in this new folder.")
@click.option("--server", envvar="OVERREAD_SERVER", help="Where files by reference are had, if not where it is from.")
@click.option("--user", envvar="OVERREAD_USER", help="Login there.")
@click.option("--tolerance", type=click.FloatRange(min=0), default=1e-6, show_default=True, help="For numbers.")
@click.option("--timeout-s", type=click.FloatRange(min=1), default=3600.0, show_default=True, help="Longest run.")
def replay(
    bundle: Path,
    *,
    image: Path | None,
    out: Path | None,
    server: str | None,
    user: str | None,
    tolerance: float,
    timeout_s: float,
) -> None:
    """Run the case in BUNDLE on this machine, and compare.

    Says what differs from the result that was recorded. The image's own command is run with the recorded values;
    nothing that the bundle says is run by itself. Exit code 0: the same result; 3: another one; 1: it could not be run.
    """
    from overread.xnat.cases.bundle import open_bundle  # noqa: PLC0415

    if out is not None and out.is_dir() and any(out.iterdir()):
        raise SpecError(f"{out} is not empty. Give another folder.")
    with tempfile.TemporaryDirectory(prefix="overread-case-") as scratch, open_bundle(bundle) as case:
        folders = {mount: Path(scratch) / "inputs" / str(place) for place, mount in enumerate(case.inputs)}
        absent: list[tuple[Path, Any]] = []
        for mount, folder in folders.items():
            folder.mkdir(parents=True)
            absent += [(folder, file) for file in case.unpack(case.inputs[mount], folder)]
        if absent:
            _fetch(absent, server or str(case.document.get("server") or ""), user)
        target = (out or Path(scratch) / "output").absolute()
        target.mkdir(parents=True, exist_ok=True)
        found = _replay(case, image, folders, target, Path(scratch), tolerance=tolerance, timeout_s=timeout_s)
    for line in found:
        click.echo(line)
    if found:
        click.echo(f"{len(found)} differences", err=True)
        raise click.exceptions.Exit(_DIFFERS)
    click.echo("The same result.")


def _fetch(absent: list[tuple[Path, Any]], server: str, user: str | None) -> None:
    """Get files by reference from the server, and see that they are the ones that the run had."""
    from overread.xnat.cases.bundle import check_file  # noqa: PLC0415
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    if not server or not user:
        raise SpecError(f"The bundle names {len(absent)} files by reference: give --user (and --server) to get them.")
    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        for folder, file in absent:
            if not file.source.startswith("/data/"):
                raise DataError(f"{file.path} has no place on a server: {file.source[:80]!r}")
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            archive.download(file.source, path)
            check_file(path, file)


def _replay(
    case: Bundle,
    folder: Path | None,
    folders: dict[str, Path],
    target: Path,
    scratch: Path,
    *,
    tolerance: float,
    timeout_s: float,
) -> list[str]:
    from overread.cli.run import run_here  # noqa: PLC0415
    from overread.hub.runs import local  # noqa: PLC0415
    from overread.hub.runs.images import read_image  # noqa: PLC0415
    from overread.xnat.cases.compare import differences  # noqa: PLC0415

    recorded = case.document
    image = read_image((folder or _image_folder(_text(recorded, "image", "name"))).resolve())
    command = local.choose_command(image, _text(recorded, "command", "name") or None)
    values, from_server = _values(recorded, command)
    (scratch / "nothing").mkdir()
    mounts = local.mount_folders(
        command, source=scratch / "nothing", target=target, more=_known(folders, command), empty=scratch / "empty"
    )
    spec = local.local_spec(
        image,
        command,
        values=values,
        folders=mounts,
        logs=scratch / "log",
        timeout_s=timeout_s,
        from_server=from_server,
    )
    found = differences(
        {"image": recorded.get("image"), "command-line": _text(recorded, "resolved", "command-line")},
        {"image": {"name": image.name, "digest": image.digest}, "command-line": spec.command_line},
        tolerance=0,
    )
    end = run_here(image, spec)
    failed = str((recorded.get("run") or {}).get("status", "")).startswith("Failed")
    if not end.ok:
        why = _text(recorded, "run", "reason")
        if failed and end.reason == why:
            return found
        if not failed:
            raise OverreadError(f"{image.name}: {end.reason}")
        return [*found, f"run.reason: {why}, now {end.reason}"]
    if failed:
        return [*found, f"run.status: {_text(recorded, 'run', 'status')}, now it ended well"]
    return [*found, *differences(recorded.get("result"), _result(target), tolerance=tolerance)]


def _values(recorded: dict[str, Any], command: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the recorded values of the command's inputs, and those that the server put in for its wrapper."""
    rows = (recorded.get("resolved") or {}).get("inputs")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError("The bundle does not say with which values the command was run.")
    told = {str(row.get("name")): str(row.get("value")) for row in rows if row.get("type") == "command"}
    server = {str(row.get("name")): str(row.get("value")) for row in rows if "wrapper" in str(row.get("type"))}
    for name, value in {**told, **server}.items():
        if _SHELL & set(value):
            raise DataError(f"The bundle's value of {name} holds a character that a shell would act on; it is not run.")
        if "[secret]" in value:
            _say(f"The value of {name} was masked when the bundle was made; it is run without it.")
    return {given["name"]: told.get(given["name"], "") for given in command["inputs"]}, server


def _known(folders: dict[str, Path], command: dict[str, Any]) -> dict[str, Path]:
    names = {mount["name"] for mount in command["mounts"]}
    unknown = sorted(set(folders) - names)
    if unknown:
        raise DataError(f"The image's command has no mount {', '.join(unknown)}: give the right image with --image.")
    return folders


def _result(target: Path) -> Any:
    path = target / "result.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _image_folder(name: str) -> Path:
    from overread.cli.hub import _checkout  # noqa: PLC0415
    from overread.hub.runs.images import ImageCatalog  # noqa: PLC0415

    checkout = _checkout()
    found = ImageCatalog((checkout / "containers",)).find(name) if checkout is not None else None
    if found is None:
        raise SpecError(f"The image {name[:100]!r} is in no folder known here: give its folder with --image.")
    return found.folder


def _text(document: dict[str, Any], *keys: str) -> str:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _say(line: str) -> None:
    click.echo(line, err=True)
