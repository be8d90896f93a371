"""``overread study button``: the address of a study's PACS button, unsigned and signed."""

from __future__ import annotations

from pathlib import Path

import click

from overread.cli.study_options import FILE

_DAY_S = 86400


@click.command("button")
@FILE
@click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org.")
@click.option("--user", envvar="OVERREAD_USER", help="An administrator of the server; needed by --store and --remove.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the secret that PACS and server share: an example is signed with it.",
)
@click.option("--store", is_flag=True, help="Tell the server the secret; from then on it opens signed addresses only.")
@click.option("--remove", is_flag=True, help="Let the server forget the secret: it opens unsigned addresses again.")
@click.option("--uid", default="1.2.840.113619.2.1", show_default=True, help="Study Instance UID of the example.")
@click.option("--accession", default="", help="Sign an example with this accession number instead.")
@click.option("--valid-s", type=click.IntRange(1, 366 * _DAY_S), default=300, show_default=True, help="Of the example.")
def button(
    *,
    file: Path,
    server: str,
    user: str | None,
    secret_file: Path | None,
    store: bool,
    remove: bool,
    uid: str,
    accession: str,
    valid_s: int,
) -> None:
    """Print the address of the PACS' button, and a signed example.

    The secret is read from a file, and neither printed nor put on a command line.
    """
    import time  # noqa: PLC0415 - `overread --help` stays light

    from overread.study.button import Address, check_secret, fingerprint, sign, url  # noqa: PLC0415
    from overread.study.manifest import load_manifest  # noqa: PLC0415

    if store and remove:
        raise click.UsageError("Say --store or --remove, not both.")
    if store and secret_file is None:
        raise click.UsageError("--store wants --secret-file: the file that holds the secret.")
    study = load_manifest(file.read_text("utf-8"), source=str(file))
    secret = check_secret(secret_file.read_text("utf-8").strip()) if secret_file is not None else ""
    if store or remove:
        _tell_server(server, user, study.project, secret if store else "")
    click.echo(url(server, Address(study.id, "uid", "{StudyInstanceUID}")))
    click.echo(url(server, Address(study.id, "accession", "{AccessionNumber}")))
    if not secret:
        return
    template = Address(study.id, "uid", "{StudyInstanceUID}", "{expires}", "{signature}")
    click.echo(url(server, template))
    expires_s = int(time.time()) + valid_s
    example = sign(study.id, "accession" if accession else "uid", accession or uid, expires_s, secret)
    text = f"{example.study}|{example.key}|{example.value}|{example.expires}"
    click.echo(f"signed, good for {valid_s} s; the secret's fingerprint is {fingerprint(secret)}; signed text: {text}")
    click.echo(url(server, example))


def _tell_server(server: str, user: str | None, project: str, secret: str) -> None:
    """Store the secret, or make the server forget it."""
    from overread.xnat.connection import Request, find_password, open_archive  # noqa: PLC0415

    if not user:
        raise click.UsageError("--user is missing: an administrator of the server (or OVERREAD_USER).")
    path = f"/xapi/overread/projects/{project}/button"
    request = Request("PUT", path, json={"secret": secret}) if secret else Request("DELETE", path)
    with open_archive(server, user=user, password=find_password(server, user=user)) as archive:
        archive.send(request)
    said = "signed addresses only are opened from now on" if secret else "unsigned addresses are opened again"
    click.echo(f"{project}: {said}", err=True)
