"""Bodies that are too large, lie about themselves, or are broken: refused, and nothing of them stays."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from hub_fixture import RunningHub, start_hub

LIMIT = 200_000
FILE = "/data/projects/P/resources/R/files/a.bin"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("uploads"), tick_s=3600, max_upload_bytes=LIMIT)
    with running.client() as admin:
        assert admin.put("/data/projects/P").status_code == 200
        assert admin.put("/data/projects/P/resources/R").status_code == 200
    yield running
    running.stop()


@pytest.fixture
def admin(shared: RunningHub) -> Iterator[httpx.Client]:
    with shared.client() as client:
        yield client
        listed = client.get("/data/projects/P/resources/R/files?format=json").json()["ResultSet"]["Result"]
        assert [row for row in listed if int(row["Size"]) > LIMIT] == []
        assert list(shared.hub.layout.tmp.iterdir()) == [], "something of it stayed"


def pieces(size: int) -> Iterator[bytes]:
    """Bytes of no declared length: they travel in chunks."""
    for _ in range(size // 10_000):
        yield b"x" * 10_000


def form_pieces(size: int) -> Iterator[bytes]:
    yield b'--B\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n\r\n'
    yield from pieces(size)
    yield b"\r\n--B--\r\n"


@pytest.mark.parametrize("way", ["declared", "chunked", "form", "chunked form"])
def test_a_body_may_be_so_large_and_no_larger(admin: httpx.Client, way: str) -> None:
    for size, status in ((LIMIT - 20_000, 200), (LIMIT + 20_000, 413)):
        if way == "declared":
            answer = admin.put(FILE, params={"inbody": "true", "overwrite": "true"}, content=b"x" * size)
        elif way == "chunked":
            answer = admin.put(FILE, params={"inbody": "true", "overwrite": "true"}, content=pieces(size))
        elif way == "form":
            answer = admin.put(FILE, params={"overwrite": "true"}, files={"f": ("a.bin", b"x" * size)})
        else:
            headers = {"content-type": "multipart/form-data; boundary=B"}
            answer = admin.put(FILE, params={"overwrite": "true"}, content=form_pieces(size), headers=headers)
        assert answer.status_code == status, answer.text


def test_who_lies_about_the_length_is_believed_in_nothing(shared: RunningHub, admin: httpx.Client) -> None:
    address = urlsplit(shared.url)
    for length in ("-1", "1e3", "9" * 30, "\xb2"):
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as raw:
            request = f"PUT {FILE} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nxxxx"
            raw.sendall(request.encode("latin-1"))
            raw.shutdown(socket.SHUT_WR)
            status = raw.recv(65536).split(b" ")[1:2]
        assert status in ([b"400"], [b"401"], [b"413"], []), length


def test_nobody_can_fill_the_disk_without_a_login(shared: RunningHub, admin: httpx.Client) -> None:
    with shared.client(None) as nobody:
        for path in ("/data/services/auth", "/app/template/Login.vm"):
            answer = nobody.post(path, data={"username": "admin", "password": "x" * 70_000})
            assert answer.status_code == 413, path
            files = {"username": ("a.bin", b"x" * 70_000)}
            assert nobody.post(path, files=files).status_code == 413, path


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=B", b"--B\r\nnonsense"),
        ("multipart/form-data; boundary=B", b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--\r\n"),
        (
            "multipart/form-data; boundary=B; charset=none-such",
            b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--B--\r\n',
        ),
        ("multipart/form-data; boundary=" + "B" * 5000, b"x"),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(2000))),
        ("application/x-www-form-urlencoded", b"%ff%fe=%zz&\xff"),
        ("multipart/form-data; boundary=B", b"".join(
            b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' for _ in range(1500))),
    ],
)  # fmt: skip
def test_a_broken_form_is_the_senders_fault(admin: httpx.Client, kind: str, content: bytes) -> None:
    for method, path in (("PUT", FILE), ("POST", "/data/services/import"), ("POST", "/app/template/Login.vm")):
        answer = admin.request(method, path, content=content, headers={"content-type": kind})
        assert answer.status_code < 500, f"{method} {path}: {answer.text}"
        assert "Traceback" not in answer.text


def test_a_document_is_read_into_memory_only_if_it_is_small(
    shared: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overread.hub.http._LARGEST_DOCUMENT", 1000)
    with shared.client() as admin:
        large = b'{"a": "' + b"x" * 2000 + b'"}'
        for method, path in (("POST", "/xapi/siteConfig"), ("POST", "/xapi/users"), ("POST", "/data/search")):
            answer = admin.request(method, path, content=large, headers={"content-type": "application/json"})
            assert answer.status_code == 413, path


def test_a_sender_that_stops_in_the_middle_leaves_nothing(shared: RunningHub, admin: httpx.Client) -> None:
    address = urlsplit(shared.url)

    async def stop_in_the_middle() -> None:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        login = httpx.BasicAuth("admin", shared.password)._auth_header
        head = f"PUT {FILE}?inbody=true HTTP/1.1\r\nHost: x\r\nAuthorization: {login}\r\nContent-Length: 1000\r\n\r\n"
        writer.write(head.encode() + b"x" * 10)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    asyncio.run(stop_in_the_middle())
    for _ in range(100):
        if not list(shared.hub.layout.tmp.iterdir()):
            break
        asyncio.run(asyncio.sleep(0.05))
