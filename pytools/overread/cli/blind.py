"""``overread blind``: blinded reading: make the salt, look for leaks, open a case, list what was opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVER = click.option(
    "--url", "--server", "server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org."
)
_USER = click.option(
    "--user", required=True, envvar="OVERREAD_USER", help="Login; the password is in OVERREAD_PASSWORD."
)
_PROJECT = click.option("--project", required=True, help="The study's project.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SECRETS = click.option(
    "--secrets",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    envvar="OVERREAD_SECRETS",
    help="The study's folder of secrets: salt and key.",
)


def _at_server(work: Callable[..., Any]) -> Callable[..., Any]:
    return _SERVER(_USER(work))


@click.group("blind")
def cli() -> None:
    """Blinded reading: make the salt, look for leaks, open a case, list what was opened."""


@cli.command("salt")
@_SECRETS
def salt(*, secrets: Path) -> None:
    """Make the salt of a study, once, in its folder of secrets.

    The file has mode 0600. Keep a copy elsewhere, never on the server.
    """
    from overread.xnat.blinding import make_salt  # noqa: PLC0415 - `overread --help` stays light

    make_salt(secrets)
    click.echo(f"{secrets / 'salt'} is made. Keep a copy under lock; who has it can join codes and exams.", err=True)


@cli.command("check")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_at_server
@_SECRETS
@click.option(
    "--max-auc", type=click.FloatRange(0.5, 1.0), default=0.9, show_default=True, help="How well shapes may tell."
)
@click.option(
    "--alpha", type=click.FloatRange(1e-6, 0.2), default=0.01, show_default=True, help="Chance of a false alarm."
)
@_JSON
def check(*, file: Path, server: str, user: str, secrets: Path, max_auc: float, alpha: float, as_json: bool) -> None:
    """Look for anything that tells who made a segmentation.

    Over all copies of the study FILE, every attribute, size, label, time, ID and field is asked whether it goes along
    with the source; a program tries to tell the sources by the shape of the masks. Exit code 1 when something tells.
    """
    from overread.study.manifest import load_manifest  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.blinding import read_key, read_salt  # noqa: PLC0415
    from overread.xnat.blinding.check import check_study  # noqa: PLC0415
    from overread.xnat.blinding.secrets import key_project  # noqa: PLC0415
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    manifest = load_manifest(file.read_text("utf-8"), source=str(file))
    read_salt(secrets)  # a salt that others can read is a leak by itself
    readings = read_key(secrets, manifest.id)
    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        report = check_study(
            archive, readings, holder=key_project(manifest.project), max_auc=max_auc, alpha=alpha, tell=lambda _: None
        )
    if as_json:
        click.echo(json.dumps(report.document(), indent=1))
    for line in report.lines() if not as_json else ():
        click.echo(line)
    if not report.is_blind:
        raise click.exceptions.Exit(1)


@cli.command("open")
@click.argument("code")
@_PROJECT
@_at_server
@click.option("--reason", required=True, help="Why; it is kept with the act.")
@_JSON
def open_(*, code: str, project: str, server: str, user: str, reason: str, as_json: bool) -> None:
    """Say what the case CODE is: exam, source, reader. For owners of the key's project alone.

    Who, when and why is written down in that project before anything is told.
    """
    import datetime  # noqa: PLC0415 - `overread --help` stays light
    from dataclasses import asdict  # noqa: PLC0415

    from overread.xnat.blinding.opening import open_case  # noqa: PLC0415
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        now = datetime.datetime.now(datetime.UTC)
        found = open_case(archive, project=project, code=code, reason=reason, user=user, now=now)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
        return
    click.echo(f"{found.code}: exam {found.exam}, source {found.source or 'none'}, {found.role} {found.reader}")
    click.echo(f"This is written down in {project}_KEY, with your name and reason.", err=True)


@cli.command("opened")
@_PROJECT
@_at_server
@_JSON
def opened(*, project: str, server: str, user: str, as_json: bool) -> None:
    """List the cases that were opened: when, by whom, why."""
    from overread.xnat.blinding.opening import opened_cases  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        acts = opened_cases(archive, project=project)
    if as_json:
        click.echo(json.dumps(acts, indent=1))
        return
    for act in acts:
        click.echo(f"{act.get('at')}  {act.get('code')}  {act.get('by')}  {act.get('reason')}")
    click.echo(f"{len(acts)} opened", err=True)
