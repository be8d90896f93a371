"""All areas as one ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.routing import Route as StarletteRoute

from overread.hub.areas import (
    assessors,
    auth,
    commands,
    config,
    containers,
    customfields,
    customforms,
    dicomscp,
    dicomweb,
    docker,
    events,
    experiments,
    importer,
    pages,
    prearchive,
    projects,
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
    workflows,
)
from overread.hub.core import Hub
from overread.hub.http import Route, endpoint

AREAS = (
    auth,
    prearchive,
    dicomscp,
    importer,
    dicomweb,
    roi,
    viewer,
    commands,
    containers,
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
    sharing,
    users,
    schemas,
    tokens,
    config,
    site,
    search,
    pages,
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

    return Starlette(
        routes=list(_expand(hub, (route for area in AREAS for route in area.ROUTES))),
        middleware=[Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5, exclude_content_types=UNCOMPRESSED)],
        lifespan=lifespan,
    )


def _expand(hub: Hub, routes: Iterable[Route]) -> Iterator[StarletteRoute]:
    for route in routes:
        for path in aliases(route.path):
            yield StarletteRoute(path, endpoint(hub, route), methods=route.methods.split())


def aliases(path: str) -> tuple[str, ...]:
    """Return all paths at which XNAT serves `path`: ``/data/x`` also as ``/data/archive/x`` and ``/REST/x``."""
    if not path.startswith("/data/"):
        return (path,)
    tail = path.removeprefix("/data/")
    return (path, f"/data/archive/{tail}", f"/REST/{tail}", f"/REST/archive/{tail}")
