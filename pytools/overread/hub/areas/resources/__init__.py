"""Resources and files of projects, subjects, experiments, scans and assessors."""

from overread.hub.areas.resources.routes import ROUTES

__all__ = ["ROUTES"]
