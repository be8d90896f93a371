"""DICOMweb below ``/xapi/dicomweb/projects/{project}``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from starlette.responses import FileResponse, JSONResponse, Response

from overread.errors import DataError
from overread.hub.access import Access
from overread.hub.areas.dicomweb import pixels, query, stow
from overread.hub.areas.dicomweb.accept import allows, require_json, wants_json, wishes
from overread.hub.areas.dicomweb.matching import Query, parse_query, tag_of
from overread.hub.areas.dicomweb.metadata import Json, joined
from overread.hub.areas.dicomweb.multipart import Part, file_pieces, read_content, read_parts, related
from overread.hub.areas.dicomweb.query import element
from overread.hub.areas.dicomweb.store import Root, StoredObject, objects
from overread.hub.errors import HubError, bad_request, not_found
from overread.hub.http import Call, Route

_ROOT: Final = "/xapi/dicomweb/projects/{project}"
_STUDY: Final = _ROOT + "/studies/{study}"
_SERIES: Final = _STUDY + "/series/{series}"
_INSTANCE: Final = _SERIES + "/instances/{instance}"
_DICOM, _OCTETS, _JSON = "application/dicom", "application/octet-stream", "application/dicom+json"
_MAX_FRAMES: Final = 10_000


# QIDO-RS


def search_studies(call: Call) -> Response:
    """List studies."""
    require_json(call.request)
    return _json(query.studies(call.db, _root(call), _query(call)))


def search_series(call: Call) -> Response:
    """List series, of a study or of all."""
    require_json(call.request)
    return _json(query.series(call.db, _root(call), _query(call), study=call.params.get("study")))


def search_instances(call: Call) -> Response:
    """List instances, of a series, of a study or of all."""
    require_json(call.request)
    params = call.params
    found = query.instances(call.db, _root(call), _query(call), study=params.get("study"), series=params.get("series"))
    return _json(found)


# WADO-RS


def metadata(call: Call) -> Response:
    """Tell all attributes of each instance; pixel data by its URI."""
    require_json(call.request)
    root = _root(call)
    body = joined(root.metadata(item) for item in _found(call))
    return Response(body, media_type=_JSON, headers={"cache-control": "private, no-cache"})


def retrieve(call: Call) -> Response:
    """Send whole instances as they lie in the archive."""
    items = _found(call)
    for wish in wishes(call.request):
        alone = wish.media == _DICOM and len(items) == 1 and "instance" in call.params
        if not alone and wish.media not in {"multipart/related", "*/*", "multipart/*"}:
            continue
        if not all(allows(wish, _DICOM, item.instance.transfer_syntax_uid) for item in items):
            continue
        if alone:
            return FileResponse(items[0].path, media_type=_DICOM)
        return related((_dicom_part(item) for item in items), media_type=_DICOM)
    raise _not_acceptable('multipart/related; type="application/dicom"; transfer-syntax=*', items)


def retrieve_frames(call: Call) -> Response:
    """Send frames as they lie in the file, without decoding them."""
    item = _found(call)[0]
    numbers = _numbers(call.params["frames"])
    try:
        opened = pixels.open_pixels(item.path)
        frames = list(pixels.read_frames(opened, numbers))
    except (DataError, ValueError) as problem:
        raise HubError(404, str(problem)) from problem
    for wish in wishes(call.request):
        for media_type in dict.fromkeys((_OCTETS, opened.media_type)):
            if not allows(wish, media_type, opened.frame_syntax):
                continue
            if wish.media in {"multipart/related", "*/*", "multipart/*"}:
                headers = {"Content-Type": f"{media_type}; transfer-syntax={opened.frame_syntax}"}
                return _for_a_while(related((Part(headers, [frame]) for frame in frames), media_type=media_type))
            if wish.media == media_type and len(frames) == 1:
                return _for_a_while(Response(frames[0], headers={"content-type": media_type}))
    raise _not_acceptable(f'multipart/related; type="{_OCTETS}"; transfer-syntax=*', [item])


def _for_a_while(response: Response) -> Response:
    """Let the caller's own browser keep frames, so that a case that was fetched ahead is there at once.

    Not longer than a sitting: pixels of an instance never change, but access to them may. The cookie is not named in
    `Vary`: it tells when the session ends, so it changes with every answer, and nothing would ever be found again. That
    nobody gets at what was kept for another login, logging in and out empties the cache (areas.pages).
    """
    response.headers["cache-control"] = "private, max-age=3600"
    response.headers["vary"] = "Accept, Authorization"
    return response


def retrieve_bulk(call: Call) -> Response:
    """Send the value of a binary attribute."""
    item = _found(call)[0]
    tag = tag_of(call.params["tag"])
    if tag is None:
        raise bad_request(f"{call.params['tag']!r} is no attribute: use a tag of eight hex digits.")
    try:
        pieces = pixels.bulk_value(item.path, int(tag, 16))
    except DataError as problem:
        raise HubError(404, str(problem)) from problem
    for wish in wishes(call.request):
        if wish.media in {"multipart/related", "*/*", "multipart/*"} and wish.type in {"", _OCTETS, "*/*"}:
            return related([Part({"Content-Type": _OCTETS}, pieces)], media_type=_OCTETS)
        if wish.media == _OCTETS:
            return Response(b"".join(pieces), media_type=_OCTETS)
    raise HubError(406, f'Bulk data is given as multipart/related; type="{_OCTETS}" or {_OCTETS}.')


# STOW-RS


def store(call: Call) -> Response:
    """Store instances. Nothing of a refused one is kept in use."""
    kind = call.request.headers.get("content-type", "")
    if not call.uploads or not kind.lower().startswith("multipart/related"):
        raise HubError(415, 'Send multipart/related; type="application/dicom"; boundary=...')
    body = call.uploads[0].path
    parts = read_parts(body, kind)
    if any(part.content_type != _DICOM for part in parts) or not parts:
        raise HubError(415, "Every part must be application/dicom.")
    sender = stow.Sender(call.caller.login, call.params["project"])
    outcomes = [
        stow.store_object(call.hub, sender, read_content(body, part), study=call.params.get("study")) for part in parts
    ]
    return _stored(call, outcomes)


def _stored(call: Call, outcomes: Sequence[stow.Outcome]) -> Response:
    """Answer a store request (PS3.18 10.5.3): 200, 202 when some were refused, 409 when all were."""
    root = _root(call)
    kept = [outcome for outcome in outcomes if outcome.failure is None]
    refused = [outcome for outcome in outcomes if outcome.failure is not None]
    reasons = " ".join(dict.fromkeys(outcome.reason for outcome in refused))
    if not kept and not _asks_for_json(call):
        raise HubError(409, reasons)
    document: Json = {}
    if kept:
        document["00081190"] = element("UR", f"{root.url}/studies/{kept[0].study_instance_uid}")
        document["00081199"] = {"vr": "SQ", "Value": [_reference(root, outcome) for outcome in kept]}
    if refused:
        document["00081198"] = {"vr": "SQ", "Value": [_failure(outcome) for outcome in refused]}
    headers = {"warning": f'299 overread "{_header_text(reasons)}"'} if refused else None
    status = 200 if not refused else 202 if kept else 409
    return JSONResponse(document, status_code=status, media_type=_JSON, headers=headers)


def _reference(root: Root, outcome: stow.Outcome) -> Json:
    url = (
        f"{root.url}/studies/{outcome.study_instance_uid}/series/{outcome.series_instance_uid}"
        f"/instances/{outcome.sop_instance_uid}"
    )
    return {
        "00081150": element("UI", outcome.sop_class_uid),
        "00081155": element("UI", outcome.sop_instance_uid),
        "00081190": element("UR", url),
    }


def _failure(outcome: stow.Outcome) -> Json:
    return {
        "00081150": element("UI", outcome.sop_class_uid),
        "00081155": element("UI", outcome.sop_instance_uid),
        "00081197": element("US", outcome.failure),
    }


# What they share


def _root(call: Call) -> Root:
    base = call.hub.config.site_url.rstrip("/") or str(call.request.base_url).rstrip("/")
    return Root(call.hub, call.params["project"], f"{base}/xapi/dicomweb/projects/{call.params['project']}")


def _query(call: Call) -> Query:
    return parse_query(call.request.query_params.multi_items())


def _found(call: Call) -> Sequence[StoredObject]:
    """Return the objects that the path names, or answer 404."""
    params = call.params
    found = objects(
        call.db,
        call.hub,
        params["project"],
        study=params["study"],
        series=params.get("series"),
        sop=params.get("instance"),
    )
    if not found:
        raise not_found("object " + "/".join(params[key] for key in ("study", "series", "instance") if key in params))
    return found


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) > _MAX_FRAMES or not all(part.isdecimal() and len(part) < 10 for part in parts):  # noqa: PLR2004
        raise bad_request(f"Frames must be numbers from 1, separated by commas: {text[:40]!r}.")
    return [int(part) for part in parts]


def _dicom_part(item: StoredObject) -> Part:
    syntax = item.instance.transfer_syntax_uid
    return Part({"Content-Type": f"{_DICOM}; transfer-syntax={syntax}"}, _lazy(item))


def _lazy(item: StoredObject) -> Iterator[bytes]:
    yield from file_pieces(item.path)


def _not_acceptable(wanted: str, items: Sequence[StoredObject]) -> HubError:
    syntaxes = ", ".join(sorted({item.instance.transfer_syntax_uid for item in items}))
    return HubError(406, f"The hub converts nothing: ask for {wanted} (here {syntaxes}).")


def _asks_for_json(call: Call) -> bool:
    """Whether the sender of a refused object wants the reason as DICOM JSON; who takes anything gets it in words."""
    return wants_json(call.request) and not any(wish.media == "*/*" for wish in wishes(call.request))


def _header_text(text: str) -> str:
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)[:500]


def _json(records: Sequence[Any]) -> Response:
    body = json.dumps(list(records), separators=(",", ":"), ensure_ascii=False)
    return Response(body, media_type=_JSON, headers={"cache-control": "private, no-cache"})


ROUTES = [
    Route("GET", _ROOT + "/studies", search_studies, Access.READ),
    Route("GET", _ROOT + "/series", search_series, Access.READ),
    Route("GET", _ROOT + "/instances", search_instances, Access.READ),
    Route("GET", _STUDY + "/series", search_series, Access.READ),
    Route("GET", _STUDY + "/instances", search_instances, Access.READ),
    Route("GET", _SERIES + "/instances", search_instances, Access.READ),
    Route("GET", _STUDY + "/metadata", metadata, Access.READ),
    Route("GET", _SERIES + "/metadata", metadata, Access.READ),
    Route("GET", _INSTANCE + "/metadata", metadata, Access.READ),
    Route("GET", _INSTANCE + "/frames/{frames}", retrieve_frames, Access.READ),
    Route("GET", _INSTANCE + "/bulkdata/{tag}", retrieve_bulk, Access.READ),
    Route("GET", _STUDY, retrieve, Access.READ),
    Route("GET", _SERIES, retrieve, Access.READ),
    Route("GET", _INSTANCE, retrieve, Access.READ),
    # Each object is stored in transactions of its own, so these only read.
    Route("POST", _ROOT + "/studies", store, Access.EDIT, writes=False),
    Route("POST", _STUDY, store, Access.EDIT, writes=False),
]
