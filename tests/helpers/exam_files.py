"""Writes phantoms into folders, plain or as XNAT keeps a session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import Dataset


def write_series(folder: Path, datasets: Sequence[Dataset]) -> Path:
    """Write one file per dataset; names say nothing of the order."""
    folder.mkdir(parents=True, exist_ok=True)
    for ds in datasets:
        ds.save_as(folder / f"{str(ds.SOPInstanceUID)[-12:]}.dcm", enforce_file_format=True)
    return folder


def write_session(folder: Path, datasets: Sequence[Dataset], *, scan: str = "1") -> Path:
    """Write a scan of a session as it lies in XNAT's archive, catalog included."""
    dicom = write_series(folder / "SCANS" / scan / "DICOM", datasets)
    (dicom / f"scan_{scan}_catalog.xml").write_text("<cat:Catalog/>", "utf-8")
    return folder
