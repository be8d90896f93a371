"""What a home gets before the hub serves from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from overread.errors import SpecError
from overread.hub import bootstrap
from overread.hub.config import HubConfig
from overread.hub.core import Hub
from plugin_jar import make_plugin_jar


def start(tmp_path: Path) -> tuple[Hub, str | None]:
    hub = Hub(HubConfig(home=tmp_path / "home", plugins=tmp_path / "shipped", dicom_port=0))
    try:
        return hub, bootstrap.prepare(hub)
    finally:
        hub.database.close()


def jars(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "home/plugins").iterdir())


@pytest.fixture(autouse=True)
def _no_given_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(bootstrap.PASSWORD_VARIABLE, raising=False)


def test_the_first_password_is_told_once(tmp_path: Path) -> None:
    hub, password = start(tmp_path)
    assert password is not None
    assert hub.logins.check("admin", password) == "admin"
    again, nothing = start(tmp_path)
    assert nothing is None
    assert again.logins.check("admin", password) == "admin"


def test_a_given_password_is_used_and_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bootstrap.PASSWORD_VARIABLE, "from-outside")
    hub, password = start(tmp_path)
    assert password is None
    assert hub.logins.check("admin", "from-outside") == "admin"


def test_newer_shipped_plugins_replace_older_ones_and_never_the_other_way(tmp_path: Path) -> None:
    make_plugin_jar(tmp_path / "shipped", version="1.0.0")
    hub, _ = start(tmp_path)
    assert jars(tmp_path) == ["hand-made-1.0.0.jar"]
    assert hub.schemas.type("braintumor:resultData") is not None
    (tmp_path / "shipped/hand-made-1.0.0.jar").unlink()
    make_plugin_jar(tmp_path / "shipped", version="1.10.0")
    start(tmp_path)
    assert jars(tmp_path) == ["hand-made-1.10.0.jar"]
    (tmp_path / "shipped/hand-made-1.10.0.jar").unlink()
    make_plugin_jar(tmp_path / "shipped", version="1.9.0")
    hub, _ = start(tmp_path)
    assert jars(tmp_path) == ["hand-made-1.10.0.jar"]
    assert hub.schemas.plugins()[0].version == "1.10.0"


def test_a_plugin_built_again_replaces_the_same_version(tmp_path: Path) -> None:
    make_plugin_jar(tmp_path / "shipped")
    start(tmp_path)
    make_plugin_jar(tmp_path / "shipped", files={"META-INF/resources/overread/new.txt": "new"})
    hub, _ = start(tmp_path)
    assert hub.schemas.static("overread/new.txt") == (b"new", "text/plain")


def test_a_faulty_plugin_is_told_at_the_start(tmp_path: Path) -> None:
    make_plugin_jar(tmp_path / "shipped", files={"schemas/other/other.xsd": "<xs:schema>"})
    with pytest.raises(SpecError, match=r"hand-made-1\.0\.0\.jar: schemas/other/other\.xsd"):
        start(tmp_path)
