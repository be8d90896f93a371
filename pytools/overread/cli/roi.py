"""``overread roi``: check, upload and fetch ROI collections (SEG, RTSTRUCT), and compare what came back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVER = click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org.")
_USER = click.option("--user", required=True, envvar="OVERREAD_USER", help="A member of the project.")
_PROJECT = click.option("--project", required=True, help="Project ID.")
_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_SESSION = click.option("--session", required=True, help="Label or ID of the session.")
_LABEL = click.option("--label", required=True, help="Label of the collection.")
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace the session's collection of that label.")


@click.group("roi")
def cli() -> None:
    """Check, upload and fetch ROI collections (SEG, RTSTRUCT), and compare what came back."""


def _at_server(work: Callable[..., Any]) -> Callable[..., Any]:
    for option in (_PROJECT, _USER, _SERVER):
        work = option(work)
    return work


@cli.command("check")
@_FILE
@_at_server
@_SESSION
@_LABEL
@_OVERWRITE
def check(*, file: Path, server: str, user: str, project: str, session: str, label: str, overwrite: bool) -> None:
    """Say why the ROI service would refuse FILE; send nothing.

    And what to do about it. Exit code 1 when it would.
    """
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.roi import check as check_object  # noqa: PLC0415
    from overread.xnat.roi import read_object, type_of  # noqa: PLC0415

    found = read_object(file)
    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        problems = check_object(archive, found, project=project, session=session, label=label, overwrite=overwrite)
    for problem in problems:
        click.echo(str(problem))
    if problems:
        raise click.exceptions.Exit(1)
    click.echo(f"{file}: this {type_of(found)} would be taken as {label} on {session}", err=True)


@cli.command("put")
@_FILE
@_at_server
@_SESSION
@_LABEL
@_OVERWRITE
def put(*, file: Path, server: str, user: str, project: str, session: str, label: str, overwrite: bool) -> None:
    """Check FILE, upload it as a ROI collection, and compare.

    It is read back: voxels or contours, names and places.
    """
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.roi import put as put_object  # noqa: PLC0415

    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        made, different = put_object(archive, file, project=project, session=session, label=label, overwrite=overwrite)
    for line in different:
        click.echo(f"came back otherwise: {line}")
    if different:
        raise click.exceptions.Exit(1)
    click.echo(made)


@cli.command("get")
@click.argument("label")
@_at_server
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@click.option("--compare", "other", type=click.Path(path_type=Path, exists=True), help="Say how it differs from this.")
def get(*, label: str, server: str, user: str, project: str, out: Path, other: Path | None) -> None:
    """Write the object of a ROI collection to a file.

    LABEL is label or ID of a reader's, from OHIF, or of a model's. With --compare, exit code 1 when the two differ.
    """
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.roi import compare, read_object  # noqa: PLC0415
    from overread.xnat.roi import get as get_object  # noqa: PLC0415

    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        get_object(archive, project=project, label=label, target=out)
    different = compare(read_object(other), read_object(out)) if other else ()
    for line in different:
        click.echo(line)
    if different:
        raise click.exceptions.Exit(1)
    click.echo(str(out), err=True)
