"""XNAT's API, one folder per area: ``routes.py`` answers, ``store.py`` decides and keeps."""
