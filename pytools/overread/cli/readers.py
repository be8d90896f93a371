"""``overread readers``: reader studies: who reads what, copies in each reader's own project, answers, progress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overread.errors import OverreadError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from overread.study.reading import Roster
    from overread.xnat.bundle import StudyBundle

_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_READERS = click.option(
    "--readers", "roster", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
    envvar="OVERREAD_READERS", help="YAML file of who the readers are: groups, logins.",
)  # fmt: skip
_SECRETS = click.option(
    "--secrets", type=click.Path(path_type=Path, file_okay=False), required=True, envvar="OVERREAD_SECRETS",
    help="The study's folder of secrets: salt, key, record.",
)  # fmt: skip
_SERVER = click.option(
    "--url", "--server", "server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org."
)
_USER = click.option(
    "--user", required=True, envvar="OVERREAD_USER", help="An administrator; the password is in OVERREAD_PASSWORD."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _with_study(work: Callable[..., Any]) -> Callable[..., Any]:
    return _FILE(_READERS(_SECRETS(_SERVER(_USER(work)))))


@click.group("readers")
def cli() -> None:
    """Reader studies: who reads what, copies in each reader's own project, answers, progress.

    FILE is the study's manifest, with a block 'reading:'.
    """


@cli.command("plan")
@_with_study
@_JSON
def plan(*, file: Path, roster: Path, secrets: Path, server: str, user: str, as_json: bool) -> None:
    """Say what `overread readers sync` would do, changing nothing."""
    from overread.xnat.reading.overview import plan_readers  # noqa: PLC0415 - `overread --help` stays light

    bundle, who = _read(file, roster)
    with _open(server, user) as archive:
        lines = plan_readers(archive, bundle, who, secrets, now=_now())
    if as_json:
        click.echo(json.dumps({"steps": lines}, indent=1))
    for line in lines if not as_json else ():
        click.echo(line)


@cli.command("sync")
@_with_study
@click.option("--every", "every_s", type=click.FloatRange(min=5), help="Again and again, after so many seconds.")
def sync(*, file: Path, roster: Path, secrets: Path, server: str, user: str, every_s: float | None) -> None:
    """Bring projects, copies, worklists and progress up to date.

    A second run changes nothing. With --every it runs until it is ended by a signal, and waits for a server that is
    away.
    """
    from overread.xnat.reading.sync import sync as sync_study  # noqa: PLC0415 - `overread --help` stays light

    def once() -> None:
        bundle, who = _read(file, roster)
        with _open(server, user) as archive:
            progress = sync_study(archive, bundle, who, secrets, now=_now(), tell=click.echo)
        for trouble in progress["troubles"]:
            click.echo(f"not given out: {trouble}", err=True)

    if every_s is None:
        once()
    else:
        _again(once, every_s)


@cli.command("status")
@_FILE
@_SERVER
@_USER
@_JSON
def status(*, file: Path, server: str, user: str, as_json: bool) -> None:
    """Say how far the study has come, as the last sync saw it."""
    from overread.study.manifest import load_manifest  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.reading.documents import PROGRESS, read_document  # noqa: PLC0415
    from overread.xnat.reading.overview import in_words  # noqa: PLC0415

    manifest = load_manifest(file.read_text("utf-8"), source=str(file))
    with _open(server, user) as archive:
        document = read_document(archive, manifest.project, PROGRESS)
    if not document:
        raise OverreadError(f"project {manifest.project} has no reader study yet: first overread readers sync {file}")
    if as_json:
        click.echo(json.dumps(document, indent=1))
    for line in in_words(document) if not as_json else ():
        click.echo(line)


@cli.command("answers")
@_FILE
@_SERVER
@_USER
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option(
    "--secrets", type=click.Path(path_type=Path, file_okay=False), envvar="OVERREAD_SECRETS",
    help="The folder of secrets: with --unblinded, for exam, source, arm, period and repeat.",
)  # fmt: skip
@click.option("--unblinded", is_flag=True, help="Also say what each code stands for; needs the key.")
def answers(*, file: Path, server: str, user: str, form: str, secrets: Path | None, unblinded: bool) -> None:
    """Print all answers of all readers.

    Every version, with times and edits. Without --unblinded a row has a code, and no column tells exam, source or arm.
    """
    from overread.xnat.reading.answers import as_csv  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.reading.overview import all_answers  # noqa: PLC0415

    if unblinded and secrets is None:
        raise click.UsageError("Say with --secrets where the key is.")
    from overread.xnat.bundle import load_bundle  # noqa: PLC0415

    bundle = load_bundle(file)
    with _open(server, user) as archive:
        rows = all_answers(archive, bundle, secrets if unblinded else None)
    click.echo(
        as_csv(rows, unblinded=unblinded) if form == "csv" else json.dumps({"answers": rows}, indent=1), nl=False
    )


def _read(file: Path, roster: Path) -> tuple[StudyBundle, Roster]:
    from overread.study.reading import Roster, read_roster  # noqa: PLC0415
    from overread.xnat.bundle import load_bundle  # noqa: PLC0415

    bundle = load_bundle(file)
    if bundle.manifest.reading is None:
        raise SpecError("the study has no block 'reading:'; add it", source=str(file))
    found = read_roster(roster.read_text("utf-8"), source=str(roster), reading=bundle.manifest.reading)
    if not isinstance(found, Roster):
        for problem in found[1:]:
            click.echo(str(problem), err=True)
        raise found[0].error()
    return bundle, found


def _open(server: str, user: str) -> Any:
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415

    return open_archive(server, user=user, password=find_password(server, user=user))


def _now() -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime.now(UTC)


def _again(once: Callable[[], None], every_s: float) -> None:
    """Do it again and again; what is wrong is told, and tried again later."""
    import signal  # noqa: PLC0415
    import threading  # noqa: PLC0415

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    faults = 0
    while True:
        try:
            once()
            faults = 0
        except OverreadError as error:
            faults += 1
            click.echo(f"Error: {error}", err=True)
        if ended.wait(every_s * 2 ** min(faults, 4)):
            return
