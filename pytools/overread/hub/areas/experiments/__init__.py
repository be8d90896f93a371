"""Experiments: list, make, change, rename, delete."""

from overread.hub.areas.experiments.routes import ROUTES

__all__ = ["ROUTES"]
