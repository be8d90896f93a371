"""What a home gets before the hub serves from it: the shipped plugins and the first administrator."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from sqlalchemy import select

from overread.hub.access import ADMINISTRATOR
from overread.hub.models import User
from overread.hub.schemas.jars import PluginJar, read_jar, version_key

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
    _take_plugins(hub)
    hub.schemas.plugins()  # read now: a faulty plugin is told when the hub starts, not at the first request
    return _first_administrator(hub)


def _take_plugins(hub: Hub) -> None:
    """Copy shipped plugins into the home; a newer one replaces the older one of the same id.

    A jar that an administrator put there stays unless the shipped one is newer.
    """
    shipped = hub.config.plugins
    if shipped is None or not shipped.is_dir():
        return
    here = {plugin.id: plugin for plugin in map(read_jar, sorted(hub.layout.plugins.glob("*.jar"))) if plugin}
    changed = False
    for jar in sorted(shipped.glob("*.jar")):
        plugin = read_jar(jar)
        if plugin is None:
            continue
        old = here.get(plugin.id)
        if old is not None and not _replaces(plugin, old):
            continue
        temporary = hub.layout.tmp / jar.name
        shutil.copyfile(jar, temporary)
        temporary.replace(hub.layout.plugins / jar.name)
        if old is not None and old.jar.name != jar.name:
            old.jar.unlink()
        here[plugin.id] = plugin
        changed = True
        log.info("plugin %s %s taken from %s", plugin.id, plugin.version, jar.name)
    if changed:
        hub.schemas.reload()


def _replaces(new: PluginJar, old: PluginJar) -> bool:
    if version_key(new.version) != version_key(old.version):
        return version_key(new.version) > version_key(old.version)
    # Built again with the same version, as while it is being developed.
    return new.jar.read_bytes() != old.jar.read_bytes()


def _first_administrator(hub: Hub) -> str | None:
    given = os.environ.get(PASSWORD_VARIABLE, "")
    password = given or secrets.token_urlsafe(12)
    with hub.database.write() as db:
        if db.scalar(select(User.pk).limit(1)) is not None:
            return None
        db.add(
            User(
                login="admin",
                password_hash=hub.logins.hash_password(password),
                first_name="Site",
                last_name="Administrator",
                roles=[ADMINISTRATOR],
            )
        )
    return None if given else password
