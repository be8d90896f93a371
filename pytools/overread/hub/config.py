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
        Folder of everything the hub keeps: archive, prearchive, database, plugins, environments.
    host, port
        Where HTTP is served. Loopback unless told otherwise.
    dicom_port
        Port of receivers that name none; 0 starts no receiver.
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
        How many container runs go on at the same time.
    environments
        Folder of the Python environments of images, None for the home's own. ``OVERREAD_ENVIRONMENTS`` goes before.
    tick_s
        How often background services look for work.
    max_upload_bytes
        Largest request body.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 8080
    dicom_port: int = 8104
    images: tuple[Path, ...] = ()
    ohif: Path | None = None
    plugins: Path | None = None
    site_id: str = "XNAT"
    site_url: str = ""
    quiet_default_s: float = 300.0
    run_timeout_s: float = 3600.0
    workers: int = 1
    environments: Path | None = None
    tick_s: float = 0.5
    session_timeout_s: float = 900.0
    max_upload_bytes: int = 8 * 1024**3
    require_login: bool = True
