"""Debian's slapd as a directory of made-up people, on ports of its own, not as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from helpers.ports import free_port

BASE = "dc=example,dc=org"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "directory-secret"
_PROGRAM = "/usr/sbin/slapd"
_ACCOUNT = "nobody"
_START_TIMEOUT_S = 30.0
_CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {password}
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{admin}" write by users read by * none
"""
PEOPLE = {"ada": "ada-password", "bob": "bob-password", "admin": "not-the-hubs", "twin1": "t-password", "x*y": "star"}


def why_no_slapd() -> str | None:
    """Say why no directory can be started here; None if one can."""
    if not Path(_PROGRAM).exists() or shutil.which("ldapadd") is None:
        return "no directory server is installed: install Debian's slapd and ldap-utils"
    return None


class Slapd:
    """A running directory. ``ldap_port`` speaks LDAP (with StartTLS), ``ldaps_port`` LDAP over TLS, as localhost.

    Parameters
    ----------
    address
        An address of this machine by which it is reached as well; its certificate is for that too.
    """

    def __init__(self, address: str = "") -> None:
        self._address = address
        self.folder = Path(tempfile.mkdtemp(prefix="overread-slapd-"))
        self.authority = self.folder / "server.pem"
        self.ldap_port, self.ldaps_port = free_port(), free_port()
        self._user: dict[str, Any] = {"user": _ACCOUNT, "group": "nogroup", "extra_groups": []}
        (self.folder / "data").mkdir()
        settings = {"folder": self.folder, "base": BASE, "admin": ADMIN, "password": ADMIN_PASSWORD}
        (self.folder / "slapd.conf").write_text(_CONF.format_map(settings))
        names = "DNS:localhost" + (f",IP:{address}" if address else "")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", f"subjectAltName={names}", "-keyout", self.folder / "server.key", "-out", self.authority],
            check=True, capture_output=True,
        )  # fmt: skip
        if os.geteuid() == 0:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, _ACCOUNT, "nogroup")
        else:
            self._user = {}
        self.start()
        self._fill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        urls = f"ldap://127.0.0.1:{self.ldap_port} ldaps://localhost:{self.ldaps_port}"
        urls += f" ldaps://{self._address}:{self.ldaps_port}" if self._address else ""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_PROGRAM, "-f", self.folder / "slapd.conf", "-h", urls, "-d", "0"],
                stdout=log, stderr=log, cwd="/", **self._user,
            )  # fmt: skip
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.ldap_port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, "slapd did not start"
                time.sleep(0.05)
            else:
                return

    def end(self) -> None:
        """End it; what it knows stays."""
        self._process.terminate()
        self._process.wait(timeout=30)

    def stop(self) -> None:
        """End it and take its files away."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def settings(self, **more: str) -> dict[str, str]:
        """Return the properties by which a hub asks this directory."""
        given = {
            "name": "Test directory", "provider.id": "ldap1", "auth.method": "ldap",
            "address": f"ldap://127.0.0.1:{self.ldap_port}/{BASE}", "userdn": ADMIN, "password": ADMIN_PASSWORD,
            "search.base": "ou=people", "search.filter": "(uid={0})", "auto.enabled": "true", "auto.verified": "true",
        }  # fmt: skip
        return given | {name.replace("_", "."): value for name, value in more.items()}

    def change_password(self, uid: str, password: str) -> None:
        """Give somebody another password."""
        self._run("ldapmodify", f"dn: uid={uid},ou=people,{BASE}\nreplace: userPassword\nuserPassword: {password}\n")

    def _fill(self) -> None:
        lines = [f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n"]
        lines.append(f"dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n")
        lines += [
            f"dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: Last-{uid}\n"
            f"givenName: First\nmail: {uid.replace('*', '-')}@example.org\nuserPassword: {password}\n"
            for uid, password in PEOPLE.items()
        ]
        # Two entries of one name, in different places.
        lines += [
            f"dn: cn=twin-{place},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: twin\ncn: twin-{place}\nsn: Twin\n"
            "userPassword: twin-password\n"
            for place in ("a", "b", "c")
        ]
        self._run("ldapadd", "\n".join(lines))

    def _run(self, program: str, text: str) -> None:
        arguments = ["-x", "-H", f"ldap://127.0.0.1:{self.ldap_port}", "-D", ADMIN, "-w", ADMIN_PASSWORD]
        subprocess.run([program, *arguments], input=text.encode(), check=True, capture_output=True)


def write_properties(folder: Path, name: str, settings: dict[str, str]) -> Path:
    """Write a provider's file and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-provider.properties"
    path.write_text("# made by a test\n" + "".join(f"{key}={value}\n" for key, value in settings.items()))
    return path
