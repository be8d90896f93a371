"""What the hub is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HubConfig:
    """Settings of one hub.

    Parameters
    ----------
    home
        Folder of everything the hub keeps: archive, prearchive, database (unless `database`), plugins, environments.
    database
        URL of the database, such as ``postgresql+psycopg://overread@/overread``; "" is SQLite's file in the home.
    host, port
        Where HTTP is served. Loopback unless told otherwise.
    dicom_port
        Port of receivers that name none; 0 starts no receiver.
    dicom_tls_port
        Port by which the receivers of `dicom_port` can be reached over TLS; 0 opens none.
    dicom_tls_certificate, dicom_tls_key
        PEM files of the TLS port.
    dicom_tls_client_ca
        PEM file of the authorities one of which must have signed a sender's certificate; None asks for none.
    dicom_processes
        How many processes receive at most, one more as soon as all are busy.
    disk_reserve_bytes
        So much room must stay free for objects to be taken: a full disk would stop the database, too.
    images
        Folders that hold image folders (each with a ``Dockerfile`` and a ``command.json``).
    ohif
        Folder of the prepared OHIF viewer, or None to serve no viewer.
    plugins
        Folder of plugin jars that a fresh home gets.
    site_id
        Prefix of accession IDs (``XNAT_E00001``).
    quiet_default_s
        Quiet time after which a session of a project without manifest is archived (XNAT: 5 minutes).
    run_timeout_s
        Wall-clock limit of one container run.
    workers
        How many container runs go on at the same time; with `gpus`, of those that want no GPU.
    gpus
        GPUs by the engine's names for them, such as ``0``; each takes one run at a time that wants a GPU. One that is
        named twice takes two.
    run_attempts
        How often a run is begun, at most, when it fails for a reason that may pass.
    retry_delay_s
        How long it waits before the second attempt; three times as long before each further one.
    runner
        ``process``, ``docker`` or ``swarm``; "" for what ``/xapi/docker/server`` was told, else ``process``.
    docker_host
        Address of the container engine; "" for that of ``/xapi/docker/server``, else ``DOCKER_HOST``.
    environments
        Folder of the Python environments of images, None for the home's own. ``OVERREAD_ENVIRONMENTS`` goes before.
    tick_s
        How often background services look for work.
    max_upload_bytes
        Largest request body.
    metrics_token
        Bearer token that ``/metrics`` takes; "" lets this machine ask without one.
    """

    home: Path
    database: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    dicom_port: int = 8104
    dicom_tls_port: int = 0
    dicom_tls_certificate: Path | None = None
    dicom_tls_key: Path | None = None
    dicom_tls_client_ca: Path | None = None
    dicom_processes: int = 2
    disk_reserve_bytes: int = 256 * 2**20
    images: tuple[Path, ...] = ()
    ohif: Path | None = None
    plugins: Path | None = None
    site_id: str = "XNAT"
    site_url: str = ""
    quiet_default_s: float = 300.0
    run_timeout_s: float = 3600.0
    workers: int = 1
    gpus: tuple[str, ...] = ()
    run_attempts: int = 5
    retry_delay_s: float = 10.0
    runner: str = ""
    docker_host: str = ""
    environments: Path | None = None
    tick_s: float = 0.5
    max_upload_bytes: int = 8 * 1024**3
    metrics_token: str = ""
    require_login: bool = True
