"""What ``/xapi/dicomscp`` says of a receiver, and who may send to it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from overread.hub.arrival.assignment import Rules
from overread.hub.arrival.routing import parse_expressions
from overread.hub.models import Receiver


@dataclass(frozen=True)
class Admission:
    """Whether an association is let in.

    Parameters
    ----------
    title_known
        There is an enabled receiver of the called AE title on this port.
    sender_welcome
        Its whitelist, if it has one, names the sender.
    """

    title_known: bool
    sender_welcome: bool = True


def find_receiver(db: Session, ae_title: str, port: int, *, own_port: int) -> Receiver | None:
    """Return the enabled receiver of an AE title on a port; a row with port 0 stands for the hub's `own_port`."""
    ports = (port, 0) if port == own_port else (port,)
    return db.scalar(
        select(Receiver).where(
            Receiver.ae_title == ae_title.strip(), Receiver.port.in_(ports), Receiver.enabled.is_(True)
        )
    )


def admit(receiver: Receiver | None, *, calling: str, address: str) -> Admission:
    """Decide whether a sender may open an association with a receiver."""
    if receiver is None:
        return Admission(title_known=False)
    if not receiver.settings.get("whitelistEnabled"):
        return Admission(title_known=True)
    listed: Sequence[str] = receiver.settings.get("whitelist") or ()
    return Admission(title_known=True, sender_welcome=any(_fits(entry, calling.strip(), address) for entry in listed))


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


def is_whitelist_entry(entry: str) -> bool:
    """Whether an entry is an AE title, an IP address or network, or ``AE@address``."""
    title, separator, network = entry.strip().rpartition("@")
    if separator:
        return bool(title) and _network(network) is not None
    return bool(entry.strip()) and ("/" not in entry or _network(entry) is not None)


def _fits(entry: str, calling: str, address: str) -> bool:
    title, separator, place = entry.strip().rpartition("@")
    network = _network(place)
    if separator:
        return title == calling and network is not None and ipaddress.ip_address(address) in network
    if network is not None:
        return ipaddress.ip_address(address) in network
    return entry.strip() == calling


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
