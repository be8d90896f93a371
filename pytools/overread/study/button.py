"""The PACS button's address, signed with a secret that PACS and server share, or unsigned.

Signed is the text ``study|uid|VALUE|expires`` (or ``study|accession|VALUE|expires``), by HMAC-SHA256 in hex;
``expires`` counts seconds since 1970, UTC. The core plugin's Java checks the same (``xnat-plugins/core/java``).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from overread.errors import SpecError

Key = Literal["uid", "accession"]
MIN_SECRET: Final = 20
MAX_SECRET: Final = 256
_SECRET: Final = re.compile(r"[!-~]+")
_EXPIRES: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Address:
    """What a button's address says.

    Parameters
    ----------
    study
        The study's id.
    key, value
        By what the exam is named, and its value.
    expires
        Seconds since 1970 as a text; empty where the address is not signed.
    signature
        Hex; empty where the address is not signed.
    """

    study: str
    key: Key
    value: str
    expires: str = ""
    signature: str = ""


def check_secret(secret: str) -> str:
    """Return a button's secret.

    Raises
    ------
    SpecError
        It is too short, too long, or has signs that a PACS could write in another way.
    """
    if not MIN_SECRET <= len(secret) <= MAX_SECRET or not _SECRET.fullmatch(secret):
        raise SpecError(f"a button's secret has {MIN_SECRET} to {MAX_SECRET} letters, digits and signs, without blanks")
    return secret


def fingerprint(secret: str) -> str:
    """Return eight hex digits by which people can tell whether two places have the same secret."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def sign(study: str, key: Key, value: str, expires_s: int, secret: str) -> Address:
    """Sign an address; it is good until `expires_s` (seconds since 1970)."""
    address = Address(study, key, value, str(expires_s))
    return Address(study, key, value, str(expires_s), _signature(address, secret))


def refusal(address: Address, secret: str, now_s: float) -> str:
    """Say why an address is refused: ``unsigned``, ``wrong`` or ``expired``; an empty text if it is good."""
    if not address.signature or not address.expires:
        return "unsigned"
    same = hmac.compare_digest(_signature(address, secret).encode(), address.signature.lower().encode())
    if not same or not _EXPIRES.fullmatch(address.expires):
        return "wrong"
    return "expired" if int(address.expires) < now_s else ""


def url(server: str, address: Address) -> str:
    """Write an address as the button opens it; ``{...}`` in its values stays, for the PACS to replace."""
    values = {"study": address.study, address.key: address.value}
    if address.signature:
        values |= {"expires": address.expires, "signature": address.signature}
    query = "&".join(f"{name}={quote(value, safe='{}.')}" for name, value in values.items())
    return f"{server.rstrip('/')}/overread/open?{query}"


def _signature(address: Address, secret: str) -> str:
    text = f"{address.study}|{address.key}|{address.value}|{address.expires}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
