"""``overread report``: send the reports of live studies to DICOM nodes."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from overread.xnat.connection import FileArchive
    from overread.xnat.sending.service import Sent


@click.group("report")
def cli() -> None:
    """Send the reports of live studies to DICOM nodes."""


@cli.command("send")
@click.argument("studies", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="[STUDY]...")
@click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org.")
@click.option("--user", required=True, envvar="OVERREAD_USER", help="A member of the studies' projects.")
@click.option(
    "--nodes", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True, envvar="OVERREAD_NODES",
    help="YAML file of the site's DICOM nodes.",
)  # fmt: skip
@click.option("--every", "every_s", type=click.FloatRange(1, 3600), default=10.0, show_default=True, help="Seconds.")
@click.option("--once", is_flag=True, help="Look once, and end.")
def send(*, studies: tuple[Path, ...], server: str, user: str, nodes: Path, every_s: float, once: bool) -> None:
    """Send new reports to the nodes that their study names.

    It follows the manifests STUDY, or all studies on the server.
    Only studies in mode live send; a report that was made before stays. A node that is away is tried again, and asked
    to answer for what it took (storage commitment) where the study says so. The state is kept in XNAT and told on the
    review page. Give this a service of its own (systemd, a container): it may be restarted at any time.
    """
    from overread.study.manifest import load_manifest  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.sending.dimse import listening  # noqa: PLC0415
    from overread.xnat.sending.nodes import read_nodes  # noqa: PLC0415
    from overread.xnat.sending.service import Sender  # noqa: PLC0415
    from overread.xnat.sending.service import send as send_reports  # noqa: PLC0415

    manifests = [load_manifest(path.read_text("utf-8"), source=str(path)) for path in studies]
    site = read_nodes(nodes.read_text("utf-8"), source=str(nodes))
    password = find_password(server, user=user)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    def connect(work: Callable[[FileArchive], None]) -> None:
        with open_archive(server, user=user, password=password) as archive:
            work(archive)

    sender = Sender(site, _tell)
    with listening(site.ae_title, site.port, sender.inbox):
        if once:
            connect(lambda archive: sender.look(archive, manifests or None))
        else:
            send_reports(connect, sender, studies=manifests or None, every_s=every_s, stopped=ended.wait)


def _tell(item: Sent | str) -> None:
    if isinstance(item, str):
        click.echo(item, err=True)
    else:
        why = f": {item.reason}" if item.reason else ""
        click.echo(f"{item.state:<10}{item.session} {item.scan} {item.node}{why}")
