"""``overread doctor``: go the whole way of an exam on a live server, and say what to do where it ends."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from overread.xnat.doctor import Check


@click.command("doctor")
@click.argument("study", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org.")
@click.option("--user", required=True, envvar="OVERREAD_USER", help="An administrator of the server.")
@click.option("--dicom-host", help="Where the receiver listens, if not where the server does.")
@click.option("--dicom-port", type=click.IntRange(1, 65535), help="Port of the receiver, instead of the manifest's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cli(*, study: Path, server: str, user: str, dicom_host: str | None, dicom_port: int | None, as_json: bool) -> None:
    """Examine the study of the manifest STUDY on a server: login, roles, versions, all that apply sets up, container
    backend, GPU, ROI plugin, receiver (C-ECHO, and C-STORE of one made-up image that is removed again), runs, results,
    review page.

    Exit code 0 when nothing fails, 1 when something does.
    """  # noqa: D205 - one sentence
    from overread.xnat.bundle import load_bundle  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.doctor import examine  # noqa: PLC0415
    from overread.xnat.phantom import Address  # noqa: PLC0415

    bundle = load_bundle(study)
    if dicom_port is not None:
        bundle = bundle.at_port(dicom_port)
    receiver = bundle.manifest.receiver
    address = Address(dicom_host or urlsplit(server).hostname or "localhost", receiver.port, receiver.ae_title)
    password = find_password(server, user=user)

    def tell(check: Check) -> None:
        if not as_json:
            click.echo(f"{check.state:<5}{check.name}{f': {check.detail}' if check.detail else ''}")
            if check.todo:
                click.echo(f"     -> {check.todo}")

    with open_archive(server, user=user, password=password) as archive:
        checks = examine(bundle, archive, user=user, address=address, tell=tell)
    if as_json:
        rows = [asdict(check) for check in checks]
        click.echo(json.dumps({"server": server, "study": bundle.manifest.id, "checks": rows}, indent=1))
    failed = sum(check.state == "fail" for check in checks)
    if not as_json:
        warned = sum(check.state == "warn" for check in checks)
        click.echo(f"{len(checks)} checks: {failed} fail, {warned} to look at", err=True)
    if failed:
        raise click.exceptions.Exit(1)
