"""Originals as they come from a server, before copies are made of them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from overread.errors import DataError
from overread.xnat.reading import copies
from overread.xnat.reading.cases import Exam
from overread.xnat.reading.copies import Originals

EXAM = Exam("XNAT_E1", "E1", "S1")


class Server:
    """Gives one packed file."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def download(self, _path: str, target: Path) -> None:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("1/scans/1/DICOM/1.dcm", self.content)


def unpacked(folder: Path, content: bytes) -> list[Path]:
    server: Any = Server(content)
    manifest: Any = None
    return list(Originals(server, manifest, folder)._download(EXAM, "1", 0))


def test_a_slice_of_nothing_but_zeros_is_an_image_like_any_other(tmp_path: Path) -> None:
    empty_slice = b"\0" * (512 * 512 * 2)
    (path,) = unpacked(tmp_path, empty_slice)
    assert path.read_bytes() == empty_slice


def test_what_grows_beyond_any_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_SMALL_BYTES", 1000)
    with pytest.raises(DataError, match="grows more than"):
        unpacked(tmp_path, b"\0" * (512 * 512 * 2))
