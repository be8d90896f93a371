"""DICOM objects and geometry, pure on pydicom datasets (edition: DICOM 2026b)."""
