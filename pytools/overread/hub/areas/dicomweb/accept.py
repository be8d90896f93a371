"""What a client wants, by its Accept header (RFC 9110 12.5.1, PS3.18 8.7.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from overread.hub.errors import HubError

EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
NATIVE: Final = frozenset({"1.2.840.10008.1.2", EXPLICIT_LITTLE, "1.2.840.10008.1.2.1.99"})
"""Transfer syntaxes in which pixels lie as plain little-endian numbers."""
_JSON: Final = frozenset({"application/dicom+json", "application/json", "application/*", "*/*"})


@dataclass(frozen=True)
class Wish:
    """One media range.

    Parameters
    ----------
    media
        Such as ``multipart/related`` or ``*/*``.
    type
        With multipart: media type of the parts; "" for any.
    transfer_syntax
        The transfer syntax asked for; "" if none is named, ``*`` for that of the file.
    """

    media: str
    type: str = ""
    transfer_syntax: str = ""


def wishes(request: Request) -> Sequence[Wish]:
    """Return what the client wants, the best first; the query parameter ``accept`` counts before the header."""
    text = request.query_params.get("accept") or request.headers.get("accept") or "*/*"
    found: list[tuple[float, Wish]] = []
    for entry in _split(text, ","):
        media, *parameters = (part.strip() for part in _split(entry, ";"))
        values = dict(_parameter(part) for part in parameters)
        try:
            quality = float(values.get("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0 and media:
            wish = Wish(media.lower(), values.get("type", "").lower(), values.get("transfer-syntax", ""))
            found.append((quality, wish))
    return [wish for _, wish in sorted(found, key=lambda pair: -pair[0])]


def wants_json(request: Request) -> bool:
    """Whether DICOM JSON is welcome. Everyone who does not ask for something else gets it."""
    return any(wish.media in _JSON for wish in wishes(request))


def require_json(request: Request) -> None:
    """Refuse with 406 what wants metadata in another form."""
    if not wants_json(request):
        raise HubError(406, "Metadata is given as application/dicom+json.")


def allows(wish: Wish, media_type: str, transfer_syntax_uid: str) -> bool:
    """Whether a part of this type and transfer syntax fulfils a wish; it is never changed into another."""
    if wish.type and wish.type not in {media_type, "*/*"}:
        return False
    asked = wish.transfer_syntax
    if asked in {"", "*", transfer_syntax_uid}:
        return True
    return media_type == "application/octet-stream" and asked in NATIVE and transfer_syntax_uid in NATIVE


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at separators outside quotation marks."""
    part, quoted = "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            yield part.strip()
            part = ""
        else:
            part += character
    yield part.strip()
