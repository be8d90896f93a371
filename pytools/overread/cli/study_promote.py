"""``overread study export | promote``: from the server on which a study was tested to the clinic's, unchanged."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import click

from overread.cli.study_options import FILE, JSON, PORT, READERS, SERVER, USER, report_applied, telling
from overread.errors import ArchiveError


@click.command("export")
@FILE
@SERVER
@USER
@PORT
@click.option("--signed-by", required=True, help="Who answers for the test: a name and a role.")
@click.option(
    "--plugins",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the tested jars, such as build/plugins: they go along.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Such as knee-1.2.0.zip.")
def export(
    file: Path, server: str, user: str, *, dicom_port: int | None, signed_by: str, plugins: Path | None, out: Path
) -> None:
    """Write the study of FILE, as tested on a server, to one file.

    It is signed. Refuses while the server differs from the study's files in anything. `overread study promote` takes
    the file.
    """
    from overread.xnat.bundle import load_bundle  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.plan import plan  # noqa: PLC0415
    from overread.xnat.signed import export as write  # noqa: PLC0415
    from overread.xnat.state import read_state  # noqa: PLC0415

    bundle = load_bundle(file)
    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        here = bundle.at_port(dicom_port) if dicom_port is not None else bundle
        state = read_state(archive, here)
    steps = plan(here, state)
    jars = {path.name: path for path in sorted(plugins.glob("overread-*.jar"))} if plugins else {}
    own = (f"overread-{bundle.manifest.id}-", "overread-core-")
    jars = {name: path for name, path in jars.items() if name.startswith(own)}
    signed = write(bundle, state, steps, out, server=server, signed_by=signed_by, jars=jars)
    click.echo(
        f"{out}: {signed.study} {signed.version}, {len(signed.files)} files and {len(signed.images)} images, "
        f"as tested on {server}, signed off by {signed_by}"
    )
    click.echo(f"Bring it over: overread study promote {out} --server URL --user NAME", err=True)


@click.command("promote")
@click.argument("source", metavar="ARCHIVE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@SERVER
@USER
@PORT
@READERS
@JSON
def promote(
    source: Path, server: str, user: str, dicom_port: int | None, readers: Path | None, *, as_json: bool
) -> None:
    """Set up on a server exactly what was tested elsewhere.

    ARCHIVE is from `overread study export`. Changes nothing when a file is not as it was signed, or when an image, the
    datatype or a plugin of the server has another digest or version than the tested one.
    """
    from overread.xnat.apply import apply as apply_study  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.plan_people import read_readers  # noqa: PLC0415
    from overread.xnat.signed import at, unlike, unpack  # noqa: PLC0415
    from overread.xnat.state import read_state  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="overread-promote-") as scratch:
        signed, bundle = unpack(source, Path(scratch))
        bundle = at(bundle, source)
        if dicom_port is not None:
            bundle = bundle.at_port(dicom_port)
        if readers:
            bundle = replace(bundle, readers=read_readers(readers, bundle.manifest))
        with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
            found = list(unlike(signed, read_state(archive, bundle), archive=source))
            for line in found:
                click.echo(f"differs      {line}", err=True)
            if found:
                raise ArchiveError(f"{server} has not what was tested on {signed.tested_on}; nothing was changed")
            done = telling(lambda tell: apply_study(bundle, archive, tell=tell), as_json=as_json)
    report_applied(bundle, done, server=server, as_json=as_json)
    if not as_json:
        click.echo(
            f"As tested on {signed.tested_on}, signed off by {signed.signed_by} at {signed.signed_at}.", err=True
        )
