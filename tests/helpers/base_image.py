"""The base image for an engine that can pull nothing, and wheels for what is built on it.

The stand-in is a minimal Debian with the same Python, imported under the name that the Dockerfiles start from. Only the
base differs from what people get elsewhere: the Dockerfiles are built as they are.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers.docker_engine import Engine, build

BASE_IMAGE = "python:3.11-slim"
"""The base image of every Dockerfile in ``containers/``; the one name a stand-in is made for."""

_DEBIAN_RELEASE = "bookworm"  # its python3 is 3.11
_DEBIAN_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_APT = Path("/etc/apt")
_CERTIFICATES = Path("/etc/ssl/certs")
_CERTIFICATE_BUNDLE = _CERTIFICATES / "ca-certificates.crt"
_COMMAND_TIMEOUT_S = 1800


def import_stand_in(engine: Engine, *, cache: Path, find_links: str) -> None:
    """Give an engine that cannot pull an image of the name :data:`BASE_IMAGE`.

    Parameters
    ----------
    engine
        An engine with ``pulls`` false.
    cache
        Folder that keeps the Debian tree between runs (about 300 MB).
    find_links
        Address of a page of wheels that pip looks at beside its index, see :func:`wheelhouse`.
    """
    tree = _debian_tree(cache)
    raw = f"{BASE_IMAGE}-tree"
    repository, tag = raw.split(":")
    changes = ["ENV PATH /usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["python3"]']
    engine.client.api.import_image_from_file(str(tree), repository=repository, tag=tag, changes=changes)
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        shutil.copytree(_CERTIFICATES, context / "certs", ignore_dangling_symlinks=True)  # links are followed
        (context / "pip.conf").write_text(_pip_configuration(find_links))
        # packages come from where this machine gets its own
        shutil.copytree(_APT, context / "apt", ignore=shutil.ignore_patterns("*.dpkg-*"), ignore_dangling_symlinks=True)
        (context / "Dockerfile").write_text(
            f"FROM {raw}\nCOPY certs {_CERTIFICATES}\nCOPY apt {_APT}\nCOPY pip.conf /etc/pip.conf\n"
        )
        build(engine, context, dockerfile="Dockerfile", tag=BASE_IMAGE)
        engine.client.images.get(BASE_IMAGE).tag(f"{BASE_IMAGE}-{_DEBIAN_RELEASE}")


@contextlib.contextmanager
def wheelhouse(folder: Path, *, requirements: Sequence[str]) -> Iterator[str]:
    """Download `requirements` (without what they depend on) and serve them to builds by HTTP on the loopback.

    A machine may have some wheels on its disk only, where a build cannot see them: whatever this interpreter's pip can
    get, a build then gets too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *requirements]
    subprocess.run(command, check=True, timeout=_COMMAND_TIMEOUT_S)
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


def _debian_tree(cache: Path) -> Path:
    """Make the tar file of a minimal Debian with Python, unless `cache` has it."""
    tree = cache / f"debian-{_DEBIAN_RELEASE}-python.tar"
    if tree.exists():
        return tree
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ow-debian-", dir="/tmp") as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={_DEBIAN_PACKAGES}", _DEBIAN_RELEASE, str(root)]
        made = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False)
        if made.returncode != 0:
            raise RuntimeError(f"debootstrap failed:\n{made.stdout[-4000:]}{made.stderr[-2000:]}")
        _make_like_the_real_image(root)
        unfinished = tree.with_suffix(".part")
        subprocess.run(["tar", "-C", str(root), "-cf", str(unfinished), "."], check=True)
        unfinished.replace(tree)
    return tree


def _make_like_the_real_image(root: Path) -> None:
    """Offer ``python`` beside ``python3`` and let pip install: what the real image does and Debian does not."""
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for archive in root.glob("var/cache/apt/archives/*.deb"):
        archive.unlink()


def _pip_configuration(find_links: str) -> str:
    """Write a pip.conf for builds: this machine's index and certificates, and the wheels served beside it."""
    configuration = ConfigParser(interpolation=None)
    configuration["global"] = {"cert": str(_CERTIFICATE_BUNDLE), "find-links": find_links}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        address = value.strip("'\"")
        if key.rpartition(".")[2] == "index-url" and urlsplit(address).scheme in {"http", "https"}:
            configuration["global"]["index-url"] = address
    text = io.StringIO()
    configuration.write(text)
    return text.getvalue()
