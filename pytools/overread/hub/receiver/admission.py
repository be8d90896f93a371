"""Who may open an association with which receiver."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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


def admit(receivers: Iterable[Mapping[str, Any]], *, called: str, calling: str, address: str) -> Admission:
    """Decide whether a sender may open an association.

    Parameters
    ----------
    receivers
        The enabled receivers of the port: ``aeTitle``, ``whitelistEnabled`` and ``whitelist`` of each.
    called, calling
        AE titles.
    address
        The sender's IP address.
    """
    receiver = next((one for one in receivers if one["aeTitle"] == called.strip()), None)
    if receiver is None:
        return Admission(title_known=False)
    if not receiver.get("whitelistEnabled"):
        return Admission(title_known=True)
    listed: Sequence[str] = receiver.get("whitelist") or ()
    return Admission(title_known=True, sender_welcome=any(_fits(entry, calling.strip(), address) for entry in listed))


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
        return title == calling and network is not None and _address(address) in network
    if network is not None:
        return _address(address) in network
    return entry.strip() == calling


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address; IPv4 through an IPv6 socket is IPv4."""
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
