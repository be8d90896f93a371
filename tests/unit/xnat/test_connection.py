from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from overread.errors import ArchiveError, Conflict, Denied, NotFound, OverreadError, Unavailable
from overread.xnat.connection import Request, find_password, open_archive

Reply = tuple[int, str]
Serve = Callable[[dict[str, Reply]], str]
LOGIN: dict[str, Reply] = {
    "GET /": (200, "XNAT"),
    "PUT /data/services/auth": (200, "A" * 32),
    "GET /data/auth": (200, "User 'alice' is logged in"),
    "GET /data/JSESSION": (200, "A" * 32),
    "DELETE /data/JSESSION": (200, ""),
    "GET /data/version": (200, "1.9.3"),
}


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server on a free port that gives canned replies, 404 to all else."""
    servers: list[HTTPServer] = []

    def start(replies: dict[str, Reply]) -> str:
        class Canned(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, body = replies.get(f"{self.command} {self.path.partition('?')[0]}", (404, "no such thing"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Set-Cookie", f"JSESSIONID={'A' * 32}; Path=/")
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_PUT = do_POST = do_DELETE = _reply  # noqa: N815 - names of http.server

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Canned)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_get_gives_value_or_none(serve: Serve) -> None:
    url = serve({**LOGIN, "GET /xapi/commands": (200, '[{"id": 1}]'), "GET /data/config/x": (204, "")})
    with open_archive(url, user="alice", password="pw") as archive:
        answer = archive.get("/xapi/commands")
        assert answer is not None
        assert answer.value() == [{"id": 1}]
        assert archive.get("/xapi/nothing") is None
        assert archive.get("/data/config/x") is None


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        ((403, ""), Denied, "POST /xapi/commands: 403; alice may not do this, ask an administrator of the server"),
        ((404, "gone"), NotFound, "POST /xapi/commands: 404 gone; does the server have the plugin"),
        ((409, "exists"), Conflict, "POST /xapi/commands: 409 exists"),
        ((503, ""), Unavailable, "POST /xapi/commands: 503; try again in a while"),
        ((400, "Command name cannot\nbe blank."), ArchiveError, "400 Command name cannot be blank."),
        ((500, "<html><h3>No such wrapper</h3></html>"), ArchiveError, "500 No such wrapper"),
        ((500, "x" * 5000), ArchiveError, "x..."),
        ((200, "<!DOCTYPE html><p>Login"), ArchiveError, "a web page came back instead of data"),
    ],
)
def test_refusal_is_an_error_of_ours_in_one_line(
    serve: Serve, reply: Reply, error: type[OverreadError], says: str
) -> None:
    url = serve({**LOGIN, "POST /xapi/commands": reply})
    with open_archive(url, user="alice", password="pw") as archive, pytest.raises(error) as raised:
        archive.send(Request("POST", "/xapi/commands", json={"name": ""}))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_wrong_password_is_told_without_it(serve: Serve) -> None:
    url = serve({**LOGIN, "PUT /data/services/auth": (401, "<html><h3>Login attempt failed.</h3></html>")})
    with pytest.raises(Denied) as raised, open_archive(url, user="alice", password="s3cret"):
        pytest.fail("logged in with a wrong password")
    assert str(raised.value) == f"{url} refuses the login of alice; check name and password"


def test_server_that_is_no_xnat_is_told(serve: Serve) -> None:
    url = serve({"GET /": (200, "a printer"), "PUT /data/services/auth": (200, "hello")})
    with (
        pytest.raises(ArchiveError, match=r"does not answer as XNAT does .* check the address"),
        open_archive(url, user="alice", password="pw"),
    ):
        pytest.fail("took a printer for XNAT")


def test_nobody_there_is_told() -> None:
    with (
        pytest.raises(Unavailable, match=r"nothing answers at http://127\.0\.0\.1:1;"),
        open_archive("http://127.0.0.1:1", user="alice", password="pw"),
    ):
        pytest.fail("connected to nobody")


@pytest.mark.parametrize("address", ["xnat.example.org", "ftp://xnat.example.org", "http://", "http:///x"])
def test_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(ArchiveError), open_archive(address, user="alice", password="pw"):
        pytest.fail("connected to an address that is none")


def netrc(folder: Path, text: str) -> dict[str, str]:
    path = folder / "netrc"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return {"NETRC": str(path)}


def test_password_comes_from_the_environment_first(tmp_path: Path) -> None:
    environment = {**netrc(tmp_path, "machine x.org login alice password b"), "OVERREAD_PASSWORD": "a"}
    assert find_password("https://x.org", user="alice", environment=environment) == "a"


def test_password_comes_from_netrc_for_the_same_user(tmp_path: Path) -> None:
    environment = netrc(tmp_path, "machine x.org login alice password b\nmachine localhost:8080 login bob password c")
    assert find_password("https://x.org/xnat", user="alice", environment=environment) == "b"
    assert find_password("http://localhost:8080", user="bob", environment=environment) == "c"
    with pytest.raises(OverreadError, match="no password for bob at"):
        find_password("https://x.org", user="bob", environment=environment)


def test_broken_netrc_is_told(tmp_path: Path) -> None:
    with pytest.raises(OverreadError, match="netrc can't be read: bad toplevel token"):
        find_password("https://x.org", user="alice", environment=netrc(tmp_path, "nonsense"))
