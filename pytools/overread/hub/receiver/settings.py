"""What ``/xapi/dicomscp`` says of a receiver."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival.assignment import Rules
from overread.hub.arrival.routing import parse_expressions
from overread.hub.config import HubConfig
from overread.hub.models import Receiver

_REPLY: Final = re.compile(r"(?P<title>[^@\\]{1,16})@(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


def receivers_of_port(db: Session, ports: Sequence[int]) -> list[dict[str, Any]]:
    """Return what decides about associations, for each enabled receiver of these ports (``port`` of their rows)."""
    rows = db.scalars(select(Receiver).where(Receiver.port.in_(ports), Receiver.enabled.is_(True)))
    return [
        {
            "aeTitle": row.ae_title,
            "whitelistEnabled": row.settings.get("whitelistEnabled", False),
            "whitelist": row.settings.get("whitelist") or [],
        }
        for row in rows
    ]


def find_receiver(db: Session, ae_title: str, ports: Sequence[int]) -> Receiver | None:
    """Return the receiver of an AE title on one of these ports, also one that was switched off a moment ago."""
    return db.scalar(
        select(Receiver)
        .where(Receiver.ae_title == ae_title.strip(), Receiver.port.in_(ports))
        .order_by(Receiver.enabled.desc(), Receiver.id)
        .limit(1)
    )


def rules_of(receiver: Receiver) -> Rules:
    """Return a receiver's routing expressions; none while they are switched off."""
    anonymises = receiver.settings.get("anonymizationEnabled", True) is True
    if not receiver.settings.get("routingExpressionsEnabled"):
        return Rules(anonymises=anonymises)
    return replace(rules_from(receiver.settings), anonymises=anonymises)


def rules_from(settings: Mapping[str, Any]) -> Rules:
    """Read routing expressions from a receiver's document.

    Raises
    ------
    HubError
        400, with the line that can't be read.
    """
    return Rules(
        project=parse_expressions(settings.get("projectRoutingExpression")),
        subject=parse_expressions(settings.get("subjectRoutingExpression")),
        session=parse_expressions(settings.get("sessionRoutingExpression")),
    )


def rows_of_port(config: HubConfig, port: int) -> tuple[int, ...]:
    """Return the ports that rows of receivers may name which can be reached by a port of the hub.

    A row with port 0 stands for the hub's own port. Its receivers can be reached by the TLS port as well.
    """
    own = (config.dicom_port, config.dicom_tls_port)
    return (0, *{one for one in own if one}) if port in own else (port,)


def reply_address(settings: Mapping[str, Any], title: str) -> tuple[str, int] | None:
    """Return host and port at which a sender listens for reports of storage commitment, None if it is not known."""
    for entry in settings.get("commitmentReplies") or ():
        found = _REPLY.fullmatch(entry.strip())
        if found and found["title"] == title:
            return found["host"].strip("[]"), int(found["port"])
    return None


def is_reply_entry(entry: str) -> bool:
    """Whether an entry of ``commitmentReplies`` is ``AE@host:port``."""
    return _REPLY.fullmatch(entry.strip()) is not None
