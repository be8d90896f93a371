"""Issuing, checking and ending alias tokens. Of the secret only a digest is kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete
from sqlalchemy.orm import Session

from overread.hub.models import AliasToken
from overread.hub.models.base import utc_now

if TYPE_CHECKING:
    from overread.hub.core import Hub

_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 64


def issue_token(db: Session, hub: Hub, login: str) -> tuple[AliasToken, str]:
    """Make a token for an account; return it and its secret, which can't be read again."""
    life = timedelta(seconds=hub.policies.now().alias_token_s)
    db.execute(delete(AliasToken).where(AliasToken.expires <= utc_now()))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    token = AliasToken(
        alias=str(uuid.uuid4()), secret_hash=_digest(secret), login=login, created=utc_now(), expires=utc_now() + life
    )
    db.add(token)
    db.flush()
    return token, secret


def valid_login(db: Session, alias: str, secret: str) -> str | None:
    """Return whose token it is, None if alias or secret are wrong or the time is over."""
    token = db.get(AliasToken, alias)
    if token is None or token.expires <= utc_now():
        return None
    return token.login if hmac.compare_digest(token.secret_hash, _digest(secret)) else None


def invalidate_token(db: Session, alias: str) -> bool:
    """End a token; say whether there was one."""
    token = db.get(AliasToken, alias)
    if token is None:
        return False
    db.delete(token)
    db.flush()
    return True


def _digest(secret: str) -> str:
    # A random secret of this length needs no slow hash.
    return hashlib.sha256(secret.encode()).hexdigest()
