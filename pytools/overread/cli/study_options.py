"""What the commands of ``overread study`` have in common: options, and how they tell what was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overread.errors import OverreadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from overread.xnat.apply import Done
    from overread.xnat.bundle import StudyBundle

PARTLY = 3
FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
SERVER = click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org.")
USER = click.option("--user", required=True, envvar="OVERREAD_USER", help="An administrator of the server.")
PORT = click.option(
    "--dicom-port", type=click.IntRange(1, 65535), help="Port of the receiver, instead of the manifest's."
)
ADOPT = click.option(
    "--adopt", is_flag=True, help="Take over what is there already and differs, made by somebody else."
)

READERS = click.option(
    "--readers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML file of the site that says who reads: groups: {GROUP: [LOGIN, ...]}.",
)


def report_applied(bundle: StudyBundle, done: tuple[Done, ...], *, server: str, as_json: bool) -> None:
    """Say at the end what was done, and what comes next."""
    changed = sum(item.outcome in {"created", "updated"} for item in done)
    if as_json:
        dump(server, bundle.manifest.id, [(i.name, i.outcome, i.detail) for i in done])
        return
    receiver = bundle.manifest.receiver
    click.echo(
        f"{changed} of {len(done)} changed. Send exams to {receiver.ae_title} at port {receiver.port}; "
        f"open one at {server.rstrip('/')}/overread/open?study={bundle.manifest.id}&uid=<Study Instance UID>",
        err=True,
    )


def telling(work: Callable[[Callable[[Done], None]], tuple[Done, ...]], *, as_json: bool) -> tuple[Done, ...]:
    """Do what tells of each of its steps; when it stops half-way, say so and exit with 3."""
    told: list[Done] = []

    def tell(item: Done) -> None:
        told.append(item)
        if not as_json:
            line(item.outcome, item.name, item.detail)

    try:
        return work(tell)
    except OverreadError as error:
        if not any(item.outcome in {"created", "updated"} for item in told):
            raise
        click.echo(f"Error: {error}", err=True)
        click.echo("Some of it is done; mend this and run the same command again.", err=True)
        raise click.exceptions.Exit(PARTLY) from error


def line(outcome: str, name: str, detail: str) -> None:
    """Print a step."""
    click.echo(f"{outcome:<12} {name}{f'  ({detail})' if detail else ''}")


def dump(server: str, study: str, rows: list[tuple[str, str, str]]) -> None:
    """Print steps as JSON."""
    steps = [{"name": name, "outcome": outcome, "detail": detail} for name, outcome, detail in rows]
    click.echo(json.dumps({"server": server, "study": study, "steps": steps}, indent=1))
