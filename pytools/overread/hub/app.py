"""All areas as one ASGI application."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from overread.hub.areas import (
    admin,
    anonymize,
    assessors,
    audit,
    auth,
    button,
    catalogs,
    commands,
    config,
    containers,
    customfields,
    customforms,
    dicomscp,
    dicomweb,
    docker,
    downloads,
    events,
    experiments,
    headers,
    health,
    history,
    importer,
    missing,
    orchestrations,
    pages,
    prearchive,
    projects,
    reading,
    resources,
    roi,
    scans,
    schemas,
    search,
    sharing,
    site,
    subjects,
    tokens,
    users,
    viewer,
    vocabulary,
    workflows,
)
from overread.hub.core import Hub
from overread.hub.http import endpoint
from overread.hub.metrics import Measured
from overread.hub.recording import VARIABLE, Recorded

AREAS = (
    auth,
    prearchive,
    dicomscp,
    anonymize,
    importer,
    dicomweb,
    roi,
    viewer,
    commands,
    containers,
    orchestrations,
    customfields,
    customforms,
    docker,
    events,
    workflows,
    projects,
    subjects,
    experiments,
    scans,
    assessors,
    resources,
    catalogs,
    downloads,
    headers,
    vocabulary,
    sharing,
    history,
    users,
    schemas,
    tokens,
    config,
    site,
    search,
    audit,
    pages,
    button,
    admin,
    reading,
    health,
    missing,  # last: it answers only what no other area does
)
"""Modules (or packages) with a list ``ROUTES``, and optionally ``assemble(hub)``. The first match answers."""

UNCOMPRESSED = (
    *DEFAULT_EXCLUDED_CONTENT_TYPES, "multipart/related", "application/dicom", "application/octet-stream",
)  # fmt: skip
"""Content types that are sent as they are: compressing pixels costs more time than it saves."""


def assemble(hub: Hub) -> Hub:
    """Let every area add its parts to `hub`."""
    for area in AREAS:
        prepare = getattr(area, "assemble", None)
        if prepare is not None:
            prepare(hub)
    return hub


def create_app(hub: Hub) -> Starlette:
    """Return the application that serves `hub`. Its background services start and stop with it."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        hub.start()
        try:
            yield
        finally:
            hub.stop()

    routes = [
        StarletteRoute(route.path, endpoint(hub, route), methods=route.methods.split())
        for area in AREAS
        for route in area.ROUTES
    ]
    recording = os.environ.get(VARIABLE)
    return Starlette(
        routes=routes,
        middleware=[
            *([Middleware(Recorded, folder=Path(recording))] if recording else []),
            Middleware(OnePath),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1, exclude_content_types=UNCOMPRESSED),
            Middleware(Measured, metrics=hub.metrics, templates={route.endpoint: route.path for route in routes}),
        ],
        lifespan=lifespan,
    )


class OnePath:
    """Serves ``/data/x`` also as ``/data/archive/x`` and ``/REST/x``, as XNAT does, with one route for all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on under its one path."""
        if scope["type"] == "http":
            scope = {**scope, "path": one_path(scope["path"])}
        await self._app(scope, receive, send)


def one_path(path: str) -> str:
    """Return the path under which the route table has `path`."""
    for prefix in ("/data/archive/", "/REST/archive/", "/REST/"):
        if path.startswith(prefix):
            return "/data/" + path.removeprefix(prefix)
    return path
