"""The Container Service's engine, images and hubs: ``/xapi/docker``."""

from overread.hub.areas.docker.routes import ROUTES

__all__ = ["ROUTES"]
