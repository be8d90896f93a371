"""What a home gets before the hub serves from it: the shipped plugins and the first administrator."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from overread.hub.access import ADMINISTRATOR
from overread.hub.models import User
from overread.hub.schemas.jars import read_jar, version_key

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
    if hub.config.plugins is not None:
        _install_plugins(hub.config.plugins, hub.layout.plugins)
        hub.schemas.reload()
    return _first_administrator(hub)


def _install_plugins(shipped: Path, installed: Path) -> None:
    """Copy shipped jars that the home lacks, and those newer than the home's own of the same plugin id.

    A jar of the same version but other content replaces the old one too: that is a developer's build.
    """
    present = {plugin.id: plugin for path in sorted(installed.glob("*.jar")) if (plugin := read_jar(path)) is not None}
    for path in sorted(shipped.glob("*.jar")):
        plugin = read_jar(path)
        if plugin is None:
            log.warning("%s is no plugin jar; it is left out", path.name)
            continue
        old = present.get(plugin.id)
        if old is not None and version_key(old.version) > version_key(plugin.version):
            continue
        target = installed / path.name
        partial = target.with_suffix(".part")
        shutil.copyfile(path, partial)
        partial.replace(target)
        if old is not None and old.jar != target:
            old.jar.unlink()
        log.info("plugin %s %s", plugin.id, plugin.version)


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
