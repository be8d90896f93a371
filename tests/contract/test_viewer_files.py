"""The viewer's files as a browser asks for them, on a folder of four small ones."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub_fixture import RunningHub, start_hub

CONFIG = b"window.config = {};"
BROTLI = b"\x8b\x02\x80run();\x03"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    folder: Path = tmp_path_factory.mktemp("viewer")
    ohif = folder / "ohif"
    (ohif / "assets").mkdir(parents=True)
    (ohif / "index.html").write_text("<html>the viewer</html>")
    (ohif / "app.bundle.0ddf166f7a343eda.js").write_text("run();")
    (ohif / "app.bundle.0ddf166f7a343eda.js.gz").write_bytes(gzip.compress(b"run();"))
    (ohif / "app.bundle.0ddf166f7a343eda.js.br").write_bytes(BROTLI)
    (ohif / "1a2b3c4d5e6f7a8b.wasm").write_bytes(b"\0asm")
    (ohif / "app-config.js").write_text("window.config = 'of the package';")
    plugins = folder / "home" / "plugins"
    plugins.mkdir(parents=True)
    with zipfile.ZipFile(plugins / "overread-core-1.0.0.jar", "w") as jar:
        jar.writestr("META-INF/xnat/overreadCore-plugin.properties", "id=overreadCore\nname=Core\nclass=C\n")
        jar.writestr("META-INF/resources/overread/viewer/app-config.js", CONFIG)
        jar.writestr("META-INF/resources/overread/assets/review-12345678.js", "run();")
        jar.writestr("META-INF/resources/overread/assets/review-12345678.js.br", BROTLI)
        jar.writestr("META-INF/resources/overread/review/index.html", "<html>review</html>")
        jar.writestr("META-INF/resources/overread/review/index.html.gz", gzip.compress(b"<html>review</html>"))
    running = start_hub(folder, ohif=ohif)
    yield running
    running.stop()


@pytest.fixture
def browser(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.client(headers={"user-agent": "Mozilla/5.0", "accept-encoding": "gzip"}) as client:
        yield client


def test_pages_of_the_application_are_its_one_page(browser: httpx.Client) -> None:
    for path in ("/viewer/", "/viewer/segmentation?StudyInstanceUIDs=1.2", "/viewer/a/b"):
        answer = browser.get(path)
        assert answer.text == "<html>the viewer</html>"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
    assert browser.get("/viewer").headers["location"] == "/viewer/"


def test_a_file_comes_packed_where_the_browser_takes_it(browser: httpx.Client) -> None:
    path = "/viewer/app.bundle.0ddf166f7a343eda.js"
    answer = browser.get(path)
    assert (answer.headers["content-encoding"], answer.text) == ("gzip", "run();")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]
    plain = browser.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == "run();"
    assert browser.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/viewer/app.bundle.0ddf166f7a343eda.js", "/overread/assets/review-12345678.js"])
def test_brotli_is_sent_to_whoever_takes_it(browser: httpx.Client, path: str) -> None:
    with browser.stream("GET", path, headers={"accept-encoding": "gzip, deflate, br"}) as answer:
        assert (answer.headers["content-encoding"], b"".join(answer.iter_raw())) == ("br", BROTLI)
        assert answer.headers["vary"] == "Accept-Encoding"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"].startswith("text/javascript")
    assert browser.get(path, headers={"accept-encoding": "gzip;q=0, br;q=0"}).text == "run();"


def test_a_page_of_the_app_comes_packed_too(browser: httpx.Client) -> None:
    answer = browser.get("/overread/review", headers={"accept-encoding": "gzip, br"})
    assert (answer.headers["content-encoding"], answer.text) == ("gzip", "<html>review</html>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


def test_codecs_have_the_type_that_browsers_insist_on(browser: httpx.Client) -> None:
    assert browser.get("/viewer/1a2b3c4d5e6f7a8b.wasm").headers["content-type"] == "application/wasm"


def test_the_configuration_is_that_of_the_plugin_and_asked_for_each_time(browser: httpx.Client) -> None:
    answer = browser.get("/viewer/app-config.js")
    assert answer.content == CONFIG
    assert answer.headers["cache-control"] == "no-cache"
    assert browser.get("/viewer/app-config.js", headers={"if-none-match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/viewer/segmentation", "/viewer/app-config.js", "/overread/review"])
def test_what_a_page_may_run_stands_also_in_the_answer_that_it_has_not_changed(
    browser: httpx.Client, path: str
) -> None:
    first = browser.get(path)
    again = browser.get(path, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["none.js", "..%2f..%2fhub.sqlite", "%2e%2e/hub.sqlite", "assets"])
def test_nothing_else_is_given(browser: httpx.Client, path: str) -> None:
    answer = browser.get(f"/viewer/{path}")
    assert b"SQLite" not in answer.content
    assert answer.status_code in {400, 404} or answer.text == "<html>the viewer</html>"


def test_who_has_not_logged_in_is_asked_to(hub: RunningHub) -> None:
    with hub.client(None, headers={"user-agent": "Mozilla/5.0", "accept-encoding": "gzip"}) as client:
        answer = client.get("/viewer/segmentation?StudyInstanceUIDs=1.2")
        assert answer.status_code == 302
        assert answer.headers["location"] == (
            "/app/template/Login.vm?next=%2Fviewer%2Fsegmentation%3FStudyInstanceUIDs%3D1.2"
        )
        assert client.get("/viewer/1a2b3c4d5e6f7a8b.wasm").status_code == 200, "the program itself is open"


def test_a_hub_without_viewer_says_how_to_get_one(tmp_path: Path) -> None:
    running = start_hub(tmp_path)
    try:
        with running.client() as client:
            answer = client.get("/viewer/")
            assert answer.status_code == 404
            assert "overread.hub.viewer prepare" in answer.text
            assert "core plugin" in client.get("/viewer/app-config.js").text
    finally:
        running.stop()
