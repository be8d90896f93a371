"""``overread study``: check a study's files, and set the study up on a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overread.errors import OverreadError

if TYPE_CHECKING:
    from overread.xnat.bundle import StudyBundle
    from overread.xnat.connection import Archive

_PARTLY = 3
_WOULD = {
    "create": "to create",
    "update": "to update",
    "unchanged": "unchanged",
    "wait": "to create",
    "refuse": "missing",
}

_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("study")
def cli() -> None:
    """Check a study's files, and set the study up on a server."""


@cli.command("check")
@_FILE
@_JSON
def check(file: Path, *, as_json: bool) -> None:
    """Say everything that is wrong with the manifest FILE and with what it refers to.

    One line for each: file, line, place, what, how to mend it. Exit code 2 when there is anything.
    """
    from overread.xnat.bundle import StudyBundle, read_bundle  # noqa: PLC0415 - `overread --help` stays light

    result = read_bundle(file)
    problems = () if isinstance(result, StudyBundle) else result
    if as_json:
        keys = ("source", "line", "path", "message", "mend")
        found = [{key: getattr(problem, key) for key in keys} for problem in problems]
        click.echo(json.dumps({"ok": not found, "problems": found}, indent=1))
    for problem in problems if not as_json else ():
        click.echo(str(problem))
    if problems:
        click.echo(f"{len(problems)} to mend, then check again: overread study check {file}", err=True)
        raise click.exceptions.Exit(2)
    if not as_json and isinstance(result, StudyBundle):
        manifest = result.manifest
        click.echo(
            f"{file}: {manifest.id} {manifest.version} is good: project {manifest.project}, "
            f"AE title {manifest.receiver.ae_title}, "
            f"{len(result.commands)} commands, results {result.datatype.xsi_type}"
        )
        click.echo(f"Set it up: overread study apply {file} --server URL --user NAME", err=True)


@cli.command("schema")
def schema() -> None:
    """Print the JSON Schema of a manifest, for editors."""
    from overread.study.manifest import StudyManifest  # noqa: PLC0415

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **StudyManifest.model_json_schema(),
    }
    click.echo(json.dumps(document, indent=2))


@cli.command("apply")
@_FILE
@click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Address, such as https://xnat.example.org.")
@click.option("--user", required=True, envvar="OVERREAD_USER", help="An administrator of the server.")
@click.option("--dicom-port", type=click.IntRange(1, 65535), help="Port of the receiver, instead of the manifest's.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@_JSON
def apply(file: Path, server: str, user: str, dicom_port: int | None, *, dry_run: bool, as_json: bool) -> None:
    """Set the study of the manifest FILE up on a server, or bring it up to date there.

    The password is taken from OVERREAD_PASSWORD, or from ~/.netrc. A second run changes nothing.
    Exit code 0 when all is done, 1 when nothing was, 3 when it stopped half-way (run it again).
    """
    from overread.xnat.apply import Done  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.apply import apply as apply_study  # noqa: PLC0415
    from overread.xnat.bundle import load_bundle  # noqa: PLC0415
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    bundle = load_bundle(file)
    if dicom_port is not None:
        bundle = bundle.at_port(dicom_port)
    password = find_password(server, user=user)
    told: list[Done] = []

    def tell(item: Done) -> None:
        told.append(item)
        if not as_json:
            _line(item.outcome, item.name, item.detail)

    try:
        with open_archive(server, user=user, password=password) as archive:
            if dry_run:
                _show_plan(bundle, archive, server=server, as_json=as_json)
                return
            done = apply_study(bundle, archive, tell=tell)
    except OverreadError as error:
        if not any(item.outcome != "unchanged" for item in told):
            raise
        click.echo(f"Error: {error}", err=True)
        click.echo("Some of it is done; mend this and run the same command again.", err=True)
        raise click.exceptions.Exit(_PARTLY) from error
    changed = sum(item.outcome != "unchanged" for item in done)
    if as_json:
        _dump(server, bundle.manifest.id, [(i.name, i.outcome, i.detail) for i in done])
        return
    receiver = bundle.manifest.receiver
    click.echo(
        f"{changed} of {len(done)} changed. Send exams to {receiver.ae_title} at port {receiver.port}; "
        f"open one at {server.rstrip('/')}/overread/open?study={bundle.manifest.id}&uid=<Study Instance UID>",
        err=True,
    )


def _show_plan(bundle: StudyBundle, archive: Archive, *, server: str, as_json: bool) -> None:
    from overread.xnat.apply import refuse  # noqa: PLC0415
    from overread.xnat.plan import plan  # noqa: PLC0415
    from overread.xnat.state import read_state  # noqa: PLC0415

    steps = plan(bundle, read_state(archive, bundle))
    if as_json:
        _dump(server, bundle.manifest.id, [(s.name, s.action, s.detail) for s in steps])
    for step in steps if not as_json else ():
        _line(_WOULD[step.action], step.name, step.detail)
    refuse(steps)
    if not as_json:
        click.echo("Nothing was changed; run it without --dry-run to do it.", err=True)


def _line(outcome: str, name: str, detail: str) -> None:
    click.echo(f"{outcome:<12} {name}{f'  ({detail})' if detail else ''}")


def _dump(server: str, study: str, rows: list[tuple[str, str, str]]) -> None:
    steps = [{"name": name, "outcome": outcome, "detail": detail} for name, outcome, detail in rows]
    click.echo(json.dumps({"server": server, "study": study, "steps": steps}, indent=1))
