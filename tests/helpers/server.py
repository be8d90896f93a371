"""The server that the portable part of tests/contract speaks to: a hub of its own, or any XNAT (``--xnat-url``).

A test is portable when it uses the fixture `server` (or `root`, `project`, `exam`, which do) and nothing else: it
makes what it needs below a project with a name of chance, and the fixtures take that away again. Tests marked `inside`
assert what only the embedded hub does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

PASSWORD = "Contract-2-tests"


@dataclass
class Server:
    """XNAT's REST at `url`, with an administrator's credentials; `embedded` is true for the hub of this process."""

    url: str
    login: str
    password: str
    embedded: bool
    made_users: list[str] = field(default_factory=list)

    def client(self, login: str | None = "", password: str = PASSWORD, **options: Any) -> httpx.Client:
        """Return a client: the administrator's without `login`, one without credentials when that is None."""
        if login is not None:
            options["auth"] = (login, password) if login else (self.login, self.password)
        return httpx.Client(base_url=self.url, timeout=60.0, **options)

    def new_user(self, project: str = "", role: str = "") -> str:
        """Make an account with `PASSWORD`, and give it a role in a project; return its login."""
        login = f"contract{secrets.token_hex(4)}"
        account = {
            "username": login, "password": PASSWORD, "firstName": "Contract", "lastName": "Test", "enabled": True,
            "email": f"{login}@example.org", "verified": True,
        }  # fmt: skip
        with self.client() as client:
            answer = client.post("/xapi/users", json=account)
            assert answer.status_code == 201, answer.text
            self.made_users.append(login)
            if role:
                answer = client.put(f"/data/projects/{project}/users/{role}/{login}")
                assert answer.status_code == 200, answer.text
        return login

    def leave(self) -> None:
        """Switch the accounts off that were made: XNAT deletes none."""
        with self.client() as client:
            for login in self.made_users:
                client.put(f"/xapi/users/{login}/enabled/false")
        self.made_users.clear()


@contextmanager
def fresh_project(server: Server) -> Iterator[str]:
    """Make a project whose ID nobody had before; delete it, its files and what waits for it in the prearchive."""
    project = f"CT{secrets.token_hex(5).upper()}"
    with server.client() as client:
        answer = client.put(
            f"/data/projects/{project}",
            params={"xnat:projectData/secondary_ID": project, "xnat:projectData/name": f"contract tests {project}"},
        )
        assert (answer.status_code, answer.text.strip()) == (200, project)
    yield project
    with server.client() as client:
        waiting = client.get(f"/data/prearchive/projects/{project}?format=json")
        if waiting.status_code == 200:
            for row in waiting.json()["ResultSet"]["Result"]:
                client.delete(f"/data{row['url']}")
        assert client.delete(f"/data/projects/{project}?removeFiles=true").status_code == 200


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    """Return a table's rows."""
    assert answer.status_code == 200, answer.text
    found: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
    return found


def item(answer: httpx.Response) -> dict[str, Any]:
    """Return an item's own fields."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["items"][0]["data_fields"]
    return found
