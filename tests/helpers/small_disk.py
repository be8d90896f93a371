"""A real file system that is full when a test wants it: a tmpfs of a few megabytes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system.

    Parameters
    ----------
    root
        Where it is mounted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self) -> None:
        """Leave no byte of it."""
        with self._filler.open("ab", buffering=0) as sink:
            for piece in (2**20, 4096, 1):
                try:
                    while True:
                        sink.write(bytes(piece))
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(root: Path, *, mebibytes: int) -> Iterator[SmallDisk]:
    """Mount one at `root`; skips the test where that is not allowed, but in CI."""
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", root], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        if os.environ.get("CI"):
            pytest.fail(f"no file system can be mounted here: {mounted.stderr}")
        pytest.skip("only root may mount a file system")
    try:
        yield SmallDisk(root)
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)
