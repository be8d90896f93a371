"""``overread hub``: the embedded hub, a small server that answers as XNAT does."""

from __future__ import annotations

import fcntl
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overread.cli.hub_upkeep import backup, check, database_option, restore, upgrade
from overread.errors import OverreadError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from overread.hub.config import HubConfig

_BACKLOG = 128
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_GRACE_S = 5


@click.group("hub")
def cli() -> None:
    """Serve the embedded hub, a small server that answers as XNAT does."""


@cli.command("serve")
@click.option("--home", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of all it keeps.")
@database_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve HTTP at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port of HTTP.")
@click.option(
    "--dicom-port", type=click.IntRange(0, 65535), default=8104, show_default=True, help="Port of DICOM; 0: none."
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    help="Folder of image folders; may be given several times. In a checkout: its containers/.",
)
@click.option(
    "--ohif",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of the prepared viewer. In a checkout: build/ohif.",
)
@click.option(
    "--plugins",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of plugin jars that a fresh home gets. In a checkout: build/plugins.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Container runs at a time.")
@click.option(
    "--gpu",
    "gpus",
    multiple=True,
    metavar="ID",
    help="A GPU, by the engine's name for it; may be given several times. Runs that want a GPU wait for one of these.",
)
@click.option(
    "--run-timeout-s", type=click.FloatRange(min=1), default=3600.0, show_default=True, help="Longest container run."
)
@click.option(
    "--runner",
    type=click.Choice(["process", "docker", "swarm"]),
    help="What carries runs out. Otherwise what /xapi/docker/server was told; process on a fresh home.",
)
@click.option(
    "--docker-host", default="", help="The engine of --runner docker or swarm, such as unix:///run/docker.sock."
)
@click.option("--site-url", default="", help="URL by which browsers reach the hub, if not by --host and --port.")
@click.option(
    "--metrics-token",
    envvar="OVERREAD_METRICS_TOKEN",
    default="",
    help="Bearer token by which Prometheus reads /metrics (or OVERREAD_METRICS_TOKEN, which hides it from the list of "
    "processes). Without one: administrators, and this machine.",
)
@click.option("--verbose", is_flag=True, help="Log more.")
def serve(
    *,
    home: Path,
    database: str,
    host: str,
    port: int,
    dicom_port: int,
    images: tuple[Path, ...],
    ohif: Path | None,
    plugins: Path | None,
    workers: int,
    runner: str | None,
    docker_host: str,
    gpus: tuple[str, ...],
    run_timeout_s: float,
    site_url: str,
    metrics_token: str,
    verbose: bool,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    A fresh home gets the plugins and the account ``admin``, whose password is that of OVERREAD_ADMIN_PASSWORD, else a
    random one, printed once.
    """
    from overread.hub.config import HubConfig  # noqa: PLC0415 - `overread --help` stays light

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    checkout = _checkout()
    config = HubConfig(
        home=home,
        database=database,
        host=host,
        port=port,
        dicom_port=dicom_port,
        images=images or _existing(checkout, "containers"),
        ohif=ohif or next(iter(_existing(checkout, "build/ohif")), None),
        plugins=plugins or next(iter(_existing(checkout, "build/plugins")), None),
        workers=workers,
        runner=runner or "",
        docker_host=docker_host,
        gpus=gpus,
        run_timeout_s=run_timeout_s,
        site_url=site_url.rstrip("/"),
        metrics_token=metrics_token,
    )
    with alone_in(home), listening(host, port) as listener:
        if dicom_port:
            _check_free(host, dicom_port, "--dicom-port")
        _serve(config, listener)


def _serve(config: HubConfig, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415

    from overread.hub.frontdoor import FrontDoor  # noqa: PLC0415

    def end() -> None:
        server.should_exit = True

    door = FrontDoor(lambda: _load(config), on_failure=end)
    settings = uvicorn.Config(
        door,
        log_config=None,
        access_log=False,  # URLs hold UIDs, and the PACS button's an accession number
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(settings)
    # uvicorn ends cleanly at a signal, then raises it again: being asked to end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    server.run(sockets=[listener])
    if door.failure is not None:
        raise door.failure
    if not server.started:
        raise OverreadError("The hub could not start; the lines above say why.")


def _load(config: HubConfig) -> tuple[Starlette, AbstractAsyncContextManager[Any]]:
    """Make the hub ready to serve. All that takes long to import is imported here, when the port is open already."""
    from overread.hub import bootstrap  # noqa: PLC0415
    from overread.hub.app import assemble, create_app  # noqa: PLC0415
    from overread.hub.core import Hub  # noqa: PLC0415
    from overread.hub.upkeep.upgrade import upgrade as bring_up_to_date  # noqa: PLC0415

    try:
        # Postgres' administrator makes the backup, so the hub only says what to do.
        copy = bring_up_to_date(config) if not config.database and config.home.joinpath("hub.sqlite").exists() else None
        hub = assemble(Hub(config))
    except OSError as problem:
        raise OverreadError(f"The home {config.home} can't be used: {problem}. Choose another --home.") from problem
    if copy is not None:
        click.echo(f"The database was brought up to date; as it was before, it is in {copy}")
    password = bootstrap.prepare(hub)
    if password is not None:
        click.echo(f"Password of admin, shown only this once: {password}")
    url = config.site_url or f"http://{config.host}:{config.port}"
    dicom = f"; DICOM at port {config.dicom_port}" if config.dicom_port else ""
    click.echo(f"Overread hub at {url}/{dicom}")
    if config.host not in _LOOPBACK:
        click.echo("This is HTTP without TLS: put a proxy with TLS before it.", err=True)
    app = create_app(hub)
    gc.freeze()  # what is loaded stays: looking through all of it again would hold up a request for a tenth of a second
    return app, app.router.lifespan_context(app)


for _command in (backup, restore, upgrade, check):
    cli.add_command(_command)


@contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """Hold the home's lock: two hubs on one home would run everything twice."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = (home / "hub.lock").open("a")
    except OSError as problem:
        raise OverreadError(
            f"The home {home} can't be written: {problem.strerror}. Choose another --home."
        ) from problem
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            raise OverreadError(f"Another hub serves from {home}. End it, or choose another --home.") from problem
        yield


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the port of HTTP; who connects before the hub is ready waits."""
    with ExitStack() as stack:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            # Only where the protocol is said does asyncio send at once; else each answer waits 40 ms for the client's
            # delayed acknowledgement.
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError as problem:
            raise OverreadError(
                f"Can't serve at {host}:{port}: {problem.strerror}. Choose another --port or --host."
            ) from problem
        yield listener


def _check_free(host: str, port: int, option: str) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as problem:
        raise OverreadError(f"Port {port} can't be used: {problem.strerror}. Choose another {option}.") from problem


def _checkout() -> Path | None:
    """Return the root of the checkout that holds this file, if it lies in one."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").exists() and (root / "containers").is_dir() else None


def _existing(checkout: Path | None, folder: str) -> tuple[Path, ...]:
    found = checkout / folder if checkout is not None else None
    return (found,) if found is not None and found.is_dir() else ()
