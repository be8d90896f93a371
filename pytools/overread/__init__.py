"""Overread: deploy machine-learning models in radiology and validate them on live exams, with XNAT as the hub."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("overread")
except PackageNotFoundError:  # an image carries the package's files without its metadata
    __version__ = "0+unpackaged"
