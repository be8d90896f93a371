"""An image of two megabytes, a static busybox and nothing else: made in a second, where debootstrap takes a minute."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from docker import APIClient

BUSYBOX = Path("/bin/busybox")
TINY = "overread-test/tiny:1.0.0"
_PROGRAMS = ("sh", "cat", "dd", "echo", "id", "sleep", "test", "touch", "true", "yes")


def import_tiny(api: APIClient) -> str:
    """Give an engine the image :data:`TINY`; return its digest."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for folder in ("bin", "tmp", "input", "output"):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(made)
        archive.add(BUSYBOX, "bin/busybox")
        for program in _PROGRAMS:
            link = tarfile.TarInfo(f"bin/{program}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    repository, tag = TINY.split(":")
    api.import_image_from_data(content.getvalue(), repository=repository, tag=tag)
    return str(api.inspect_image(TINY)["Id"])


def copy_tiny(source: APIClient, target: APIClient) -> None:
    """Give a second engine the very image that the first one has."""
    target.load_image(b"".join(source.get_image(TINY)))
