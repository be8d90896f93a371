"""Which of XNAT's routes the hub serves: ``docs/reference/hub-coverage.md``, computed from the two route tables.

python tests/helpers/route_coverage.py
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from starlette.routing import compile_path

from overread.hub.app import AREAS
from overread.hub.areas import missing
from overread.hub.areas.missing.table import XnatRoute, xnat_routes
from overread.hub.http import Route

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/reference/hub-coverage.md"
_HEAD = """# Which of XNAT's routes the hub serves

Computed by `python tests/helpers/route_coverage.py`; a test fails when this page is not what that writes.

XNAT's routes are those of `pytools/overread/hub/areas/missing/xnat_routes.tsv`: verb, path, query parameters, and for
each where it was read and how surely. `tests/contract/routes/extract.py` extracts them from the sources of XNAT (the
development line that became 1.9) and of the Container Service (3.7.3); what no script can read stands in `by_hand.tsv`
beside it. "noted" are routes of which no source was at hand. Paths below `/data` are served below `/data/archive` and
`/REST` as well.

*Served* says that the hub has a handler for the verb and path, not that it knows every parameter of XNAT's. Known
routes that the hub lacks answer **501** and name themselves.
"""
_SURE = {"read": "", "hand": "", "noted": " (noted)"}


def document() -> str:
    """Return the page as it must be now."""
    groups = grouped()
    served = {route for route in xnat_routes() if is_served(route)}
    lines = [_HEAD, "## How many", "", "| part | served | of |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {sum(one in served for one in group)} | {len(group)} |" for name, group in sorted(groups.items())
    ]
    lines += [f"| all | {len(served)} | {len(xnat_routes())} |", "", "## Which", ""]
    for name in sorted(groups):
        lines += [f"### {name}", "", "| path | served | 501 | source |", "|---|---|---|---|"]
        lines += _rows(groups[name], served)
        lines.append("")
    lines += [
        "## The hub's own",
        "",
        "Routes that XNAT and these plugins do not have.",
        "",
        "| path | verbs |",
        "|---|---|",
    ]
    lines += [f"| `{path}` | {' '.join(verbs)} |" for path, verbs in sorted(_own_routes().items())]
    return "\n".join(lines) + "\n"


def grouped() -> dict[str, list[XnatRoute]]:
    """Return XNAT's routes by the part of its interface that they belong to."""
    groups: dict[str, list[XnatRoute]] = defaultdict(list)
    for route in xnat_routes():
        groups[_group(route)].append(route)
    return groups


def _group(route: XnatRoute) -> str:
    parts = route.path.split("/")
    inner = next((part for part in reversed(parts) if part in {"resources", "files"}), None)
    if parts[1] == "data" and parts[2] in {"projects", "subjects", "experiments"} and inner is not None:
        return "/data … resources and files"
    if parts[1] == "data" and parts[2] in {"projects", "subjects", "experiments"}:
        return "/data items"
    if parts[1] == "xapi" and parts[2] == "projects":
        return f"/xapi/projects/…/{parts[4]}"
    return "/".join(parts[: 4 if parts[2] == "services" else 3]) if len(parts) > 3 else route.path


def _rows(routes: list[XnatRoute], served: set[XnatRoute]) -> list[str]:
    paths: dict[str, list[XnatRoute]] = defaultdict(list)
    for route in routes:
        paths[route.path].append(route)
    rows = []
    for path in sorted(paths):
        yes = " ".join(route.verb for route in paths[path] if route in served)
        no = " ".join(route.verb for route in paths[path] if route not in served)
        first = paths[path][0]
        rows.append(f"| `{path}` | {yes} | {no} | {first.source}{_SURE[first.sure]} |")
    return rows


def _handlers() -> list[tuple[Route, re.Pattern[str]]]:
    return [(route, compile_path(route.path)[0]) for area in AREAS if area is not missing for route in area.ROUTES]


_HUB = _handlers()


def _example(path: str) -> str:
    return re.sub(r"\{\w+(:\w+)?\}", "1", path)


def is_served(route: XnatRoute) -> bool:
    """Whether the hub has a handler for `route`."""
    return any(route.verb in own.methods.split() and pattern.match(_example(route.path)) for own, pattern in _HUB)


def _own_routes() -> dict[str, list[str]]:
    known = [(route.verb, route) for route in xnat_routes()]
    found: dict[str, list[str]] = defaultdict(list)
    for own, pattern in _HUB:
        segments = _example(own.path).split("/")
        for verb in own.methods.split():
            theirs = any(
                verb == other and (route.matches(segments) or pattern.match(_example(route.path)))
                for other, route in known
            )
            if not theirs and verb not in found[own.path]:
                found[own.path].append(verb)
    return {path: verbs for path, verbs in found.items() if verbs}


def main() -> None:
    """Write the page."""
    DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
