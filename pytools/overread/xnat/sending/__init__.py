"""Reports sent to DICOM nodes: C-STORE, storage commitment, and their state kept in XNAT."""
