"""``overread watch``: archive exams as soon as their study's rules say that they are whole, on a stock XNAT."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from overread.xnat.connection import Archive
    from overread.xnat.watch import Told


@click.command("watch")
@click.argument("studies", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="[STUDY]...")
@click.option("--server", required=True, envvar="OVERREAD_SERVER", help="Such as https://xnat.example.org.")
@click.option("--user", required=True, envvar="OVERREAD_USER", help="Who may archive in the studies' projects.")
@click.option("--every", "every_s", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Seconds.")
def cli(*, studies: tuple[Path, ...], server: str, user: str, every_s: float) -> None:
    """Follow arriving exams of each manifest STUDY, or of all studies on the server, and archive each at once.

    XNAT itself waits five to six minutes after the last image. Give this a service of its own (systemd, a container):
    it may be restarted at any time, and runs on through faults of the network. Sessions of other projects, and those
    that a person must decide about, are left alone. Ends on SIGTERM or Ctrl-C.
    """
    from overread.study.manifest import load_manifest  # noqa: PLC0415 - `overread --help` stays light
    from overread.xnat.connection import find_password, open_archive  # noqa: PLC0415
    from overread.xnat.watch import Watcher, watch  # noqa: PLC0415

    manifests = [load_manifest(path.read_text("utf-8"), source=str(path)) for path in studies]
    password = find_password(server, user=user)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())

    def connect(work: Callable[[Archive], None]) -> None:
        with open_archive(server, user=user, password=password) as archive:
            work(archive)

    def tell(item: Told | str) -> None:
        if isinstance(item, str):
            click.echo(item, err=True)
        else:
            click.echo(f"{item.what:<9}{item.session}: {item.reason}")

    watch(connect, Watcher(manifests or None), every_s=every_s, tell=tell, stopped=ended.wait)
