"""Receivers: their documents and what makes one valid."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.errors import bad_request, not_found
from overread.hub.models import Receiver
from overread.hub.receiver.admission import is_whitelist_entry
from overread.hub.receiver.settings import is_reply_entry, rules_from

if TYPE_CHECKING:
    from overread.hub.core import Hub

IDENTIFIERS: Final = {"dicomObjectIdentifier": "Default DICOM object identifier (ClassicDicomObjectIdentifier)"}

_TITLE: Final = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")
"""An AE title (PS3.5 Table 6.2-1): at most 16 characters, no backslash, no blanks at its ends."""
_MAX_PORT: Final = 65535
_DEFAULTS: Final[Mapping[str, Any]] = {
    "identifier": "dicomObjectIdentifier",
    "fileNamer": None,
    "customProcessing": False,
    "directArchive": False,
    "anonymizationEnabled": True,
    "whitelistEnabled": False,
    "whitelist": [],
    "commitmentReplies": [],
    "routingExpressionsEnabled": False,
    "projectRoutingExpression": None,
    "subjectRoutingExpression": None,
    "sessionRoutingExpression": None,
}
_FLAGS: Final = ("customProcessing", "directArchive", "anonymizationEnabled", "whitelistEnabled",
                 "routingExpressionsEnabled")  # fmt: skip
_EXPRESSIONS: Final = ("projectRoutingExpression", "subjectRoutingExpression", "sessionRoutingExpression")


def all_receivers(db: Session) -> Sequence[Receiver]:
    """Return all receivers, in the order in which they were made."""
    return db.scalars(select(Receiver).order_by(Receiver.id)).all()


def get(db: Session, receiver_id: str) -> Receiver:
    """Return a receiver by its id, or answer 404."""
    receiver = db.get(Receiver, int(receiver_id)) if receiver_id.isdecimal() else None
    if receiver is None:
        raise not_found(f"DICOM SCP receiver {receiver_id}")
    return receiver


def by_title(db: Session, hub: Hub, title: str, port: str) -> Receiver:
    """Return a receiver by AE title and port, or answer 404."""
    for receiver in all_receivers(db):
        if receiver.ae_title == title and str(hub.receivers.actual_port(receiver.port)) == port:
            return receiver
    raise not_found(f"DICOM SCP receiver {title}:{port}")


def document(hub: Hub, receiver: Receiver) -> dict[str, Any]:
    """Return a receiver as XNAT shows it."""
    port = hub.receivers.actual_port(receiver.port)
    created_ms = int(receiver.created.timestamp() * 1000)
    return {
        "id": receiver.id,
        "aeTitle": receiver.ae_title,
        "port": port,
        "enabled": receiver.enabled,
        **_DEFAULTS,
        **receiver.settings,
        "created": created_ms,
        "timestamp": created_ms,
        "disabled": 0,
        "label": f"{receiver.ae_title}:{port}",
    }


def save(db: Session, hub: Hub, receiver: Receiver | None, changes: Mapping[str, Any]) -> Receiver:
    """Make a receiver (`receiver` is None) or change one; keys that are left out stay as they are.

    Raises
    ------
    HubError
        400: something in it is wrong, or there is one of this title and port; 409: its port can't be opened.
    """
    before: Mapping[str, Any] = receiver.settings if receiver is not None else {}
    settings = {key: changes.get(key, before.get(key, default)) for key, default in _DEFAULTS.items()}
    _check_settings(settings)
    title = changes.get("aeTitle", receiver.ae_title if receiver is not None else None)
    port = changes.get("port", receiver.port if receiver is not None else 0)
    enabled = changes.get("enabled", receiver.enabled if receiver is not None else True)
    if not isinstance(title, str) or not _TITLE.fullmatch(title):
        raise bad_request(f"{title!r} is no AE title: 1 to 16 printable characters without backslash.")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= _MAX_PORT:
        raise bad_request(f"{port!r} is no port: a number from 1 to {_MAX_PORT}.")
    if not isinstance(enabled, bool):
        raise bad_request("enabled must be true or false.")
    actual = hub.receivers.actual_port
    for other in all_receivers(db):
        if other is not receiver and other.ae_title == title and actual(other.port) == actual(port):
            raise bad_request(f"There is a receiver {title} on port {actual(port)} already.")
    if enabled and actual(port):
        hub.receivers.ensure(actual(port))
    if receiver is None:
        receiver = Receiver(ae_title=title, port=port)
        db.add(receiver)
    receiver.ae_title, receiver.port, receiver.enabled, receiver.settings = title, port, enabled, settings
    db.flush()
    return receiver


def _check_settings(settings: Mapping[str, Any]) -> None:
    if settings["identifier"] not in IDENTIFIERS:
        raise bad_request(f"unknown DICOM Object Identifier {settings['identifier']!r}")
    for key in _FLAGS:
        if not isinstance(settings[key], bool):
            raise bad_request(f"{key} must be true or false.")
    for key in _EXPRESSIONS:
        if not isinstance(settings[key], str | None):
            raise bad_request(f"{key} must be text.")
    rules_from(settings)
    entries = settings["whitelist"]
    if not isinstance(entries, list) or not all(isinstance(e, str) and is_whitelist_entry(e) for e in entries):
        raise bad_request("whitelist must be a list of AE titles, addresses, networks or AE@address.")
    replies = settings["commitmentReplies"]
    if not isinstance(replies, list) or not all(isinstance(e, str) and is_reply_entry(e) for e in replies):
        raise bad_request("commitmentReplies must be a list of AE@host:port: where senders take storage commitments.")
