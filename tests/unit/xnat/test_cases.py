"""Bundles of cases: hostile ones are refused, secrets and names are taken out, differences are told."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from overread.commands.masking import Mask, is_secret
from overread.errors import DataError
from overread.xnat.cases.bundle import DOCUMENT, FORMAT, Packed, open_bundle, write_bundle
from overread.xnat.cases.compare import differences

CONTENT = b"image"


def document(**changes: Any) -> dict[str, Any]:
    file = {"path": "a/b.dcm", "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "entry": "inputs/in/a/b.dcm", "source": "/data/x"}  # fmt: skip
    return {"format": FORMAT, "format-version": 1, "outputs": [],
            "inputs": [{"mount": "in", "files": [file | changes]}]}  # fmt: skip


def made(path: Path, whole: dict[str, Any], entries: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(DOCUMENT, json.dumps(whole))
        for name, content in ({"inputs/in/a/b.dcm": CONTENT} if entries is None else entries).items():
            archive.writestr(name, content)
    return path


def link(path: Path) -> Path:
    entry = zipfile.ZipInfo("inputs/in/a/b.dcm")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(made(path, document(), {}), "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    write_bundle(tmp_path / "case.zip", document(), [Packed("inputs/in/a/b.dcm", source)])
    with open_bundle(tmp_path / "case.zip") as case:
        assert case.unpack(case.inputs["in"], tmp_path / "out") == []
        assert case.log("log/stdout.log") == ""
    assert (tmp_path / "out" / "a" / "b.dcm").read_bytes() == CONTENT
    assert [one.name for one in tmp_path.glob(".*")] == []


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda p: made(p, document(path="../../evil")), "leaves the folder"),
        (lambda p: made(p, document(path="/etc/evil")), "leaves the folder"),
        (lambda p: made(p, document(path="C:/evil")), "leaves the folder"),
        (lambda p: made(p, document(path="a\\..\\evil")), "leaves the folder"),
        (lambda p: made(p, document(), {"../evil": b"x"}), "leaves the folder"),
        (lambda p: made(p, document(), {"inputs/in/a/b.dcm": CONTENT, "more": b"x"}), "does not name"),
        (lambda p: made(p, document(), {}), "is not there"),
        (lambda p: made(p, document(bytes=4)), "another size"),
        (lambda p: made(p, document(sha256="0" * 64)), "its SHA-256 is"),
        (lambda p: made(p, document(sha256="x")), "no SHA-256"),
        (lambda p: made(p, document(), {"inputs/in/a/b.dcm": bytes(32 * 1024**2)}), "would unpack to"),
        (lambda p: made(p, document() | {"format-version": 2}), "reads 1"),
        (lambda p: made(p, {"format": "other"}), "does not say"),
        (lambda p: made(p, document() | {"inputs": "all"}), "no list of objects"),
        (link, "is a link"),
    ],
)
def test_hostile_bundles_are_refused_in_one_line(tmp_path: Path, make: Callable[[Path], Path], why: str) -> None:
    path = make(tmp_path / "case.zip")
    with pytest.raises(DataError, match=why) as refused, open_bundle(path) as case:
        case.unpack(case.inputs["in"], tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "evil").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "case.zip").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(DataError, match="can't be read as a bundle"), open_bundle(tmp_path / "case.zip"):
        pass


@pytest.mark.parametrize("name", ["XNAT_USER", "XNAT_PASS", "DB_PASSWORD", "api_key", "authToken", "MY_SECRET"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["OVERREAD_SERIES_RULES", "keyword", "author", "XNAT_HOST", "monkey"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_secrets_and_words_of_the_patient_are_taken_out() -> None:
    mask = Mask(["s3cr3t-token"], ["DOE^Jane^", "1970-01-31", "20260504"])
    for text, becomes in (
        ("curl -u x:s3cr3t-token", "curl -u x:[secret]"),
        ("password=hunter22 next", "password=[secret] next"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
        ("https://me:pw@host/x", "https://[secret]@host/x"),
        ("exam of doe, jane.", "exam of [patient], [patient]."),
        ("born 19700131 or 31.01.1970", "born [patient] or [patient]"),
        ("accession 20260504", "accession [patient]"),
        ("uid 1.2.20260504.3", "uid 1.2.20260504.3"),
        ("Doering", "Doering"),
    ):
        assert mask.text(text) == becomes
    kept = {"sha256": "20260504", "path": "DOE/x", "list": ["Jane"]}
    assert mask.all(kept) == {"sha256": "20260504", "path": "[patient]/x", "list": ["[patient]"]}


def test_differences_are_told_where_they_are() -> None:
    recorded = {"status": "ok", "measurements": [{"name": "v", "value": 1.0}], "timings": {"a": 1}, "old": 1}
    new = {"status": "ok", "measurements": [{"name": "v", "value": 1.1}, {}], "timings": {"a": 9}, "new": True}
    assert differences(recorded, recorded, tolerance=0) == []
    assert differences(recorded, new, tolerance=0.01) == [
        "measurements: 1 entries, now 2",
        "measurements[0].value: 1.0, now 1.1",
        "old: 1, now missing",
        "new: not recorded, now True",
    ]
    assert differences(recorded, None, tolerance=0) != []
