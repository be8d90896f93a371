"""What a home gets before the hub serves from it: the shipped plugins and the first administrator."""

from __future__ import annotations

import logging
import os
import secrets
from typing import TYPE_CHECKING

from sqlalchemy import select

from overread.hub.access import ADMINISTRATOR
from overread.hub.models import User

if TYPE_CHECKING:
    from overread.hub.core import Hub

log = logging.getLogger(__name__)

PASSWORD_VARIABLE = "OVERREAD_ADMIN_PASSWORD"  # noqa: S105 - the name of a variable
"""Environment variable with the first administrator's password."""


def prepare(hub: Hub) -> str | None:
    """Make `hub` ready to serve.

    Parameters
    ----------
    hub
        The assembled hub.

    Returns
    -------
    str or None
        The password of ``admin`` if it was made up just now, to be shown once; None when the account was there
        already or its password came from `PASSWORD_VARIABLE`.
    """
    return _first_administrator(hub)


def _first_administrator(hub: Hub) -> str | None:
    given = os.environ.get(PASSWORD_VARIABLE, "")
    password = given or secrets.token_urlsafe(12)
    with hub.database.write() as db:
        if db.scalar(select(User.pk).limit(1)) is not None:
            return None
        db.add(
            User(
                login="admin",
                password_hash=hub.sessions.hash_password(password),
                first_name="Site",
                last_name="Administrator",
                roles=[ADMINISTRATOR],
            )
        )
    return None if given else password
