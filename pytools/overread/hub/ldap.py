"""Directories that know users (LDAP, Active Directory), as XNAT's LDAP plugin has them.

Each is a file ``HOME/auth/<name>-provider.properties`` with the plugin's words::

    name=Our hospital
    provider.id=ldap1
    auth.method=ldap
    address=ldaps://directory.example.org/dc=example,dc=org
    userdn=cn=overread,ou=services,dc=example,dc=org
    password=...
    search.base=ou=people
    search.filter=(uid={0})
    auto.enabled=true
    auto.verified=true

and, not the plugin's, ``tls.start=true`` (StartTLS), ``tls.ca=/path/to/authorities.pem``, ``tls.required=false``
(passwords may travel in clear; on this machine they may in any case) and ``timeout.s``.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from overread.errors import OverreadError
from overread.hub.errors import HubError

log = logging.getLogger(__name__)

_FILES: Final = "*-provider.properties"
_KNOWN: Final = frozenset(
    {"name", "provider.id", "auth.method", "address", "userdn", "password", "search.base", "search.filter", "visible",
     "auto.enabled", "auto.verified", "tls.start", "tls.ca", "tls.required", "timeout.s"}
)  # fmt: skip
_PORTS: Final = {"ldap": 389, "ldaps": 636}
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NAMING: Final = re.compile(r"\(([A-Za-z][A-Za-z0-9-]*)=\{0\}\)")
_ATTRIBUTES: Final = {"first_name": "givenName", "last_name": "sn", "email": "mail"}
_INVALID_CREDENTIALS: Final = 49


@dataclass(frozen=True)
class Person:
    """Somebody whom a directory knows, by the name as the directory writes it."""

    login: str
    first_name: str
    last_name: str
    email: str


@dataclass(frozen=True)
class Directory:
    """One directory: see the module for what its settings mean."""

    id: str
    name: str
    host: str
    port: int
    is_ldaps: bool
    starts_tls: bool
    authorities: str | None
    user_dn: str
    password: str
    base: str
    filter: str
    enables: bool
    verifies: bool
    timeout_s: int

    def find(self, login: str, password: str) -> Person | None:
        """Return the person behind a name and password; None if there is none, or several, or the password is wrong.

        Raises
        ------
        HubError
            503: the directory can't be asked.
        """
        from ldap3.core.exceptions import LDAPException  # noqa: PLC0415 - comes with an extra

        if not password or "\0" in password:  # a name without a password binds as nobody, which always works
            return None
        try:
            found = self._search(login)
            if found is None:
                return None
            dn, person = found
            return person if self._binds(dn, password) else None
        except (LDAPException, OSError) as problem:
            log.error("The directory %s can't be asked: %s", self.id, _short(problem))  # noqa: TRY400 - said in a line
            raise HubError(
                503, f"{self.name} can't be asked for passwords now. Try again later; accounts of the hub's own work."
            ) from problem

    def _search(self, login: str) -> tuple[str, Person] | None:
        from ldap3 import SUBTREE  # noqa: PLC0415
        from ldap3.core.exceptions import LDAPSizeLimitExceededResult  # noqa: PLC0415
        from ldap3.utils.conv import escape_filter_chars  # noqa: PLC0415

        naming = _NAMING.search(self.filter)
        attributes = [*_ATTRIBUTES.values(), *([naming[1]] if naming is not None else [])]
        connection = self._connect(self.user_dn or None, self.password or None)
        try:
            connection.bind()
            text = self.filter.replace("{0}", escape_filter_chars(login))
            connection.search(self.base, text, SUBTREE, attributes=attributes, size_limit=2)
            entries = [one for one in connection.response if one["type"] == "searchResEntry"]
        except LDAPSizeLimitExceededResult:  # the filter fits many: nobody in particular
            return None
        finally:
            connection.unbind()
        if len(entries) != 1:
            return None
        values = entries[0]["attributes"]
        called = _first(values, naming[1]) if naming is not None else login
        if called.lower() != login.lower():  # the filter looks at something else as well, such as the address
            called = login
        told = {ours: _first(values, theirs) for ours, theirs in _ATTRIBUTES.items()}
        return entries[0]["dn"], Person(called, **told)

    def _binds(self, dn: str, password: str) -> bool:
        from ldap3.core.exceptions import LDAPOperationResult  # noqa: PLC0415

        connection = self._connect(dn, password)
        try:
            return bool(connection.bind())
        except LDAPOperationResult as refusal:
            if refusal.result == _INVALID_CREDENTIALS:
                return False
            log.info("The directory %s refuses a login: %s", self.id, refusal.description)  # locked, expired, ...
            return False
        finally:
            connection.unbind()

    def _connect(self, user: str | None, password: str | None) -> Any:
        """Open a connection, over TLS if it is to be; nobody has bound yet."""
        from ldap3 import NONE, Connection, Server, Tls  # noqa: PLC0415

        tls = Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=self.authorities)
        server = Server(
            self.host, self.port, use_ssl=self.is_ldaps, tls=tls, get_info=NONE, connect_timeout=self.timeout_s
        )
        connection = Connection(
            server, user, password, raise_exceptions=True, auto_referrals=False, receive_timeout=self.timeout_s,
            read_only=True,
        )  # fmt: skip
        try:
            connection.open()
            if self.starts_tls:
                connection.start_tls()
        except BaseException:
            if connection.socket is not None:  # ldap3 leaves it open
                connection.socket.close()
            raise
        return connection


def read_directories(folder: Path) -> list[Directory]:
    """Return the directories that files in `folder` tell of.

    Raises
    ------
    OverreadError
        A file can't be used.
    """
    found: dict[str, Directory] = {}
    for path in sorted(folder.glob(_FILES)):
        given = _properties(path)
        if given.get("auth.method", "ldap") != "ldap":
            log.info("%s tells of no LDAP directory and is left out", path.name)
            continue
        directory = _directory(path, given)
        if directory.id in found:
            raise OverreadError(f"{path}: another file has the provider.id {directory.id} already.")
        found[directory.id] = directory
    return list(found.values())


def _directory(path: Path, given: Mapping[str, str]) -> Directory:
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        raise OverreadError(f"{path}: {unknown[0]} is unknown; known are {', '.join(sorted(_KNOWN))}.")
    for name in ("provider.id", "address", "search.filter"):
        if not given.get(name):
            raise OverreadError(f"{path}: {name} is missing.")
    if not _ID.fullmatch(given["provider.id"]):
        raise OverreadError(f"{path}: provider.id must be of letters, digits, '.', '_' and '-'.")
    if "{0}" not in given["search.filter"]:
        raise OverreadError(f"{path}: search.filter must hold {{0}} where the user name goes, as in (uid={{0}}).")
    try:
        address = urlsplit(given["address"])
        port = address.port or _PORTS[address.scheme]
        timeout_s = int(given.get("timeout.s") or 5)
    except (ValueError, KeyError):
        raise OverreadError(f"{path}: address must be like ldaps://host:636 and timeout.s a whole number.") from None
    is_ldaps, starts_tls = address.scheme == "ldaps", _flag(path, given, "tls.start", default=False)
    host = address.hostname or ""
    if not (is_ldaps or starts_tls or _is_here(host)) and _flag(path, given, "tls.required", default=True):
        raise OverreadError(
            f"{path}: passwords would travel in clear. Use ldaps://, or tls.start=true, or say tls.required=false."
        )
    base = ",".join(part for part in (given.get("search.base", ""), unquote(address.path.lstrip("/"))) if part)
    return Directory(
        id=given["provider.id"],
        name=given.get("name") or given["provider.id"],
        host=host,
        port=port,
        is_ldaps=is_ldaps,
        starts_tls=starts_tls,
        authorities=given.get("tls.ca") or None,
        user_dn=given.get("userdn", ""),
        password=given.get("password", ""),
        base=base,
        filter=given["search.filter"],
        enables=_flag(path, given, "auto.enabled", default=False),
        verifies=_flag(path, given, "auto.verified", default=False),
        timeout_s=timeout_s,
    )


def _properties(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise OverreadError(f"{path} can't be read: {problem}") from problem
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith(("#", "!")))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _flag(path: Path, given: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = given.get(name, str(default)).lower()
    if value not in {"true", "false"}:
        raise OverreadError(f"{path}: {name} must be true or false.")
    return value == "true"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _first(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name) or ""
    return str(value[0] if isinstance(value, list) else value)


def _short(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200]
