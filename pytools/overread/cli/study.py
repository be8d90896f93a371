"""``overread study``: check a study's files, and set the study up on a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overread.cli.study_button import button
from overread.cli.study_options import (
    ADOPT,
    FILE,
    JSON,
    PORT,
    READERS,
    SERVER,
    USER,
    dump,
    line,
    report_applied,
    telling,
)
from overread.cli.study_promote import export, promote

if TYPE_CHECKING:
    from overread.xnat.bundle import StudyBundle
    from overread.xnat.connection import Archive

_WOULD = {
    "create": "to create",
    "update": "to update",
    "unchanged": "unchanged",
    "wait": "to create",
    "refuse": "in the way",
    "note": "note",
}


@click.group("study")
def cli() -> None:
    """Check a study's files, and set the study up on a server."""


@cli.command("check")
@FILE
@JSON
def check(file: Path, *, as_json: bool) -> None:
    """Say all that is wrong with FILE and with what it refers to.

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


@cli.command("plan")
@FILE
@SERVER
@USER
@PORT
@READERS
@ADOPT
@JSON
def plan_(
    file: Path, server: str, user: str, dicom_port: int | None, readers: Path | None, *, adopt: bool, as_json: bool
) -> None:
    """Say how a server differs from FILE, and change nothing.

    Exit code 0 when `overread study apply` could do it all, 1 when something is in the way.
    """
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415 - `overread --help` stays light

    bundle = _bundle(file, dicom_port, readers)
    password = find_password(server, user=user)
    with open_archive(server, user=user, password=password) as archive:
        _show_plan(bundle, archive, server=server, adopt=adopt, as_json=as_json)


@cli.command("destroy")
@FILE
@SERVER
@USER
@PORT
@click.option("--keep-data", is_flag=True, help="Needed: exams, results and answers are never removed from here.")
@JSON
def destroy(file: Path, server: str, user: str, dicom_port: int | None, *, keep_data: bool, as_json: bool) -> None:
    """Take the study of FILE off a server; all data stays.

    Nothing starts or receives any more. Removes what `overread study apply` made, and nothing else. A second run
    changes nothing.
    """
    from overread.xnat.bundle import load_bundle  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.destroy import destroy as destroy_study  # noqa: PLC0415

    if not keep_data:
        raise click.UsageError("Say --keep-data. Data is removed by hand, in XNAT, by who answers for it.")
    bundle = load_bundle(file)
    if dicom_port is not None:
        bundle = bundle.at_port(dicom_port)
    password = find_password(server, user=user)
    with open_archive(server, user=user, password=password) as archive:
        told = telling(lambda tell: destroy_study(bundle, archive, tell=tell), as_json=as_json)
    if as_json:
        dump(server, bundle.manifest.id, [(i.name, i.outcome, i.detail) for i in told])
        return
    gone = sum(item.outcome == "updated" for item in told)
    click.echo(f"{gone} removed or switched off. All data of {bundle.manifest.project} is where it was.", err=True)


@cli.command("apply")
@FILE
@SERVER
@USER
@PORT
@READERS
@ADOPT
@JSON
def apply(
    file: Path, server: str, user: str, dicom_port: int | None, readers: Path | None, *, adopt: bool, as_json: bool
) -> None:
    """Set the study of FILE up on a server, or bring it up to date.

    `overread study plan` shows before what it will do. The password is taken from OVERREAD_PASSWORD, or from ~/.netrc.
    A second run changes nothing. Exit code 0 when all is done, 1 when nothing was, 3 when it stopped half-way (run it
    again).
    """
    from overread.xnat.apply import apply as apply_study  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    bundle = _bundle(file, dicom_port, readers)
    password = find_password(server, user=user)
    with open_archive(server, user=user, password=password) as archive:
        done = telling(lambda tell: apply_study(bundle, archive, tell=tell, adopt=adopt), as_json=as_json)
    report_applied(bundle, done, server=server, as_json=as_json)


@cli.command("new")
@click.argument("name")
@click.option("--from", "template", required=True, help="The study that it is made from, by its id.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="this folder",
    help="A checkout of Overread, or an empty folder.",
)
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="OVERREAD_TEMPLATES",
    help="Checkout of Overread that holds the studies; needed where only the package is installed.",
)
@click.option("--without-weights", is_flag=True, help="Leave the network's weights out: you will train your own.")
@click.option("--project", default="", help="XNAT project ID, instead of one made from NAME.")
@click.option("--ae-title", default="", help="AE title, instead of the project's ID.")
@click.option("--port", type=click.IntRange(1, 65535), help="DICOM port, instead of the next free one.")
def new(
    *,
    name: str,
    template: str,
    out: Path,
    templates: Path | None,
    without_weights: bool,
    project: str,
    ae_title: str,
    port: int | None,
) -> None:
    """Make a study NAME from one that is there.

    Manifest, datatype, forms, image with its tests, all under new names. It passes `overread study check` and its tests
    at once; then change it, file by file, into what you want to study.
    """
    from overread.plugins import scaffold  # noqa: PLC0415 - `overread --help` stays light

    root = scaffold.find_root(templates)
    others = [scaffold.read_template(root, one) for one in scaffold.templates_in(root)]
    source = scaffold.read_template(root, template)
    names = scaffold.new_names(
        name, others=[one.names for one in others], project=project, ae_title=ae_title, port=port
    )
    made = scaffold.scaffold(source, names, out, weights=not without_weights)
    scaffold.write(made, out)
    click.echo(
        f"{name}: {len(made.files)} files in {out}; project {names.project}, AE title {names.ae_title}, "
        f"port {names.port}, results {names.prefix}:{source.datatype.spec.type}"
    )
    click.echo(f"Next: overread study check {out / made.manifest}; pytest {out / 'containers' / made.image}", err=True)


@cli.command("mode")
@FILE
@click.argument("mode", type=click.Choice(["shadow", "assist", "live"]))
@SERVER
@USER
@click.option("--reason", required=True, help="Why; it is kept with the change.")
def mode_(file: Path, mode: str, server: str, user: str, reason: str) -> None:
    """Change the mode of a study: shadow, assist, or live.

    In shadow readers don't see results. Who, when and why is kept in the study's project. In shadow nobody but owners
    keeps a role there; those who lose it get it back with the next mode. Changes the manifest's line as well. Said
    again, it changes nothing.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - `overread --help` stays light

    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.modes import change_mode  # noqa: PLC0415

    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        now = datetime.now(UTC)
        changed = change_mode(archive, file, mode, reason=reason, user=user, now=now, tell=click.echo)
    if not changed:
        click.echo(f"unchanged: it is in {mode}.")


def _bundle(file: Path, dicom_port: int | None, readers: Path | None) -> StudyBundle:
    """Read a study, with what the site says of it."""
    from dataclasses import replace  # noqa: PLC0415 - `overread --help` stays light

    from overread.xnat.bundle import load_bundle  # noqa: PLC0415
    from overread.xnat.plan_people import read_readers  # noqa: PLC0415

    bundle = load_bundle(file)
    if dicom_port is not None:
        bundle = bundle.at_port(dicom_port)
    return replace(bundle, readers=read_readers(readers, bundle.manifest)) if readers else bundle


def _show_plan(bundle: StudyBundle, archive: Archive, *, server: str, adopt: bool, as_json: bool) -> None:
    from overread.xnat.apply import refuse  # noqa: PLC0415
    from overread.xnat.plan import plan  # noqa: PLC0415
    from overread.xnat.state import read_state  # noqa: PLC0415

    steps = plan(bundle, read_state(archive, bundle), adopt=adopt)
    if as_json:
        dump(server, bundle.manifest.id, [(s.name, s.action, s.detail) for s in steps])
    for step in steps if not as_json else ():
        line(_WOULD[step.action], step.name, step.detail)
    refuse(steps)
    if not as_json:
        changes = sum(step.action in {"create", "update", "wait"} for step in steps)
        click.echo(
            f"{changes} of {len(steps)} to change. Nothing was changed; do it with overread study apply.", err=True
        )


cli.add_command(button)
cli.add_command(export)
cli.add_command(promote)
