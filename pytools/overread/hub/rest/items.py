"""Answering one item, in the format asked for, and what saving one answers."""

from __future__ import annotations

from starlette.responses import Response

from overread.hub import answers
from overread.hub.access import readable_projects
from overread.hub.http import Call
from overread.hub.items.tree import Item
from overread.hub.items.xml import to_xml
from overread.hub.rest.itemjson import item_json
from overread.hub.rest.report import report


def answer_item(call: Call, item: Item) -> Response:
    """Answer `item` as JSON, XML, or a page for people: as in XNAT the page is what comes when nothing is asked for."""
    readable = readable_projects(call.db, call.caller)
    if call.format == "json":
        return answers.items(item_json(call.db, call.hub, item, readable=readable))
    if call.format == "xml":
        return Response(to_xml(call.db, call.hub, item, readable=readable), media_type="text/xml")
    return report(call, item, readable)


def saved(item_id: str, *, created: bool) -> Response:
    """Answer a PUT that made or changed an item: its ID, with 201 or 200."""
    return answers.text(item_id, status=201 if created else 200)


def posted(call: Call, path: str) -> Response:
    """Answer a POST that made an item: its absolute URL, in the body and as ``Location``."""
    base = call.hub.config.site_url.rstrip("/") or str(call.request.base_url).rstrip("/")
    url = base + path
    return answers.text(url, headers={"location": url})
