"""``overread hub serve`` as a process: it says where it is, ends when told, and names what stands in its way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from helpers.ports import free_port
from overread.cli.hub import listening
from overread.cli.main import main


@contextmanager
def serving(home: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "overread", "hub", "serve", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(
        [*words, "--dicom-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_it_answers(port: int) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/data/auth", timeout=30)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.slow
def test_it_serves_tells_the_password_once_and_ends_at_sigterm(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for start in (1, 2):
        port = free_port()
        with serving(home, port, OVERREAD_ADMIN_PASSWORD="") as process:
            assert wait_until_it_answers(port).status_code == 401
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert f"http://127.0.0.1:{port}/" in out
        assert ("shown only this once" in out) is (start == 1)
    assert home.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_the_first_password_may_be_given(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port, OVERREAD_ADMIN_PASSWORD="hunter2") as process:
        wait_until_it_answers(port)
        answer = httpx.get(f"http://127.0.0.1:{port}/data/auth", auth=("admin", "hunter2"), timeout=30)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert answer.text == "User 'admin' is logged in"
    assert "hunter2" not in out + err


@pytest.mark.slow
def test_one_home_serves_one_hub(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port):
        wait_until_it_answers(port)
        done = CliRunner().invoke(main, ["hub", "serve", "--home", str(tmp_path), "--port", str(free_port())])
    assert done.exit_code == 1
    assert "Another hub serves from" in done.stderr


@pytest.mark.parametrize("option", ["--port", "--dicom-port"])
def test_a_port_in_use_is_named(tmp_path: Path, option: str) -> None:
    ports = {"--port": free_port(), "--dicom-port": free_port()}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[option]))
        taken.listen()
        words = [word for name, port in ports.items() for word in (name, str(port))]
        done = CliRunner().invoke(main, ["hub", "serve", "--home", str(tmp_path), *words])
    assert done.exit_code == 1
    assert str(ports[option]) in done.stderr
    assert f"Choose another {option}" in done.stderr


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    home = tmp_path / "below" / "home"
    (tmp_path / "below").write_text("a file")
    done = CliRunner().invoke(main, ["hub", "serve", "--home", str(home)])
    assert done.exit_code == 1
    assert "can't be written" in done.stderr


def test_no_answer_waits_for_an_acknowledgement() -> None:
    with listening("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio looks at before it sets TCP_NODELAY
