"""Files with bytes changed, lost and doubled, to each way in: taken or refused with a reason, and the hub works on."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.arrivals import file_bytes
from helpers.asgi import Direct
from helpers.dicomweb import stow_body
from hub_fixture import RunningHub, start_hub
from overread.hub.app import create_app
from overread.synthetic.phantoms import make_case

FEW = settings(max_examples=40, suppress_health_check=list(HealthCheck))
EXAM = [file_bytes(image) for image in make_case((2, 16, 20), seed=1).datasets]
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?><xnat:MRSession xmlns:xnat="http://nrg.wustl.edu/xnat" '
    b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" label="E"><xnat:date>2026-05-04</xnat:date>'
    b'<xnat:scans><xnat:scan ID="1" type="T1" xsi:type="xnat:mrScanData"><xnat:note>n</xnat:note></xnat:scan>'
    b"</xnat:scans></xnat:MRSession>"
)
HOSTILE_XML = (
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;">]><a>&d;</a>',
    b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
    b"<a>" * 20_000 + b"</a>" * 20_000,
    b'<?xml version="1.0" encoding="utf-7"?><a/>',
    b'<?xml version="1.0" encoding="no-such"?><a/>',
    b"\xff\xfe<\x00a\x00/\x00>\x00",
)


def changed(content: bytes) -> st.SearchStrategy[bytes]:
    """Draw `content` with a few places overwritten, doubled or cut out, and perhaps its end lost."""
    place = st.integers(0, len(content) - 1)
    piece = st.binary(min_size=1, max_size=8) | st.sampled_from(
        [b"\xff" * 8, b"\0" * 8, b"\xff\xff\xff\x7f", b"UN\0\0"]
    )
    change = st.tuples(place, piece, st.sampled_from(["over", "in", "out"]))

    def apply(changes: list[tuple[int, bytes, str]], end: int) -> bytes:
        data = bytearray(content)
        for at, what, how in changes:
            data[at : at + (0 if how == "in" else len(what))] = b"" if how == "out" else what
        return bytes(data[: end or len(data)])

    return st.builds(apply, st.lists(change, min_size=1, max_size=6), st.just(0) | place)


def archive(*members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for number, member in enumerate(members):
            target.writestr(f"exam/{number}.dcm", member)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("fuzz"), tick_s=3600)
    with running.client() as admin:
        for path in ("P", "P/subjects/S", "P/resources/R"):
            assert admin.put(f"/data/projects/{path}").status_code in {200, 201}
    yield running
    running.stop()


class Sender:
    """Sends content by one way, and looks at the answer."""

    def __init__(self, hub: RunningHub, direct: Direct) -> None:
        self._hub, self._direct = hub, direct

    def send(self, method: str, path: str, content: bytes, kind: str, **query: str) -> int:
        answer = self._direct.request(
            method,
            path,
            query=query,
            content=content,
            headers={"content-type": kind},
            login=("admin", self._hub.password),
        )
        assert answer.status_code < 500, f"{answer.status_code} {answer.text[:300]}"
        assert "Traceback" not in answer.text
        return answer.status_code


@pytest.fixture(scope="module")
def sender(shared: RunningHub) -> Iterator[Sender]:
    with Direct(create_app(shared.hub)) as direct:
        yield Sender(shared, direct)


@pytest.mark.slow
def test_changed_objects(shared: RunningHub, sender: Sender) -> None:
    stow = 'multipart/related; type="application/dicom"; boundary="----boundary-of-the-test"'

    @FEW
    @given(changed(EXAM[0]))
    def check(content: bytes) -> None:
        sender.send("POST", "/xapi/dicomweb/projects/P/studies", stow_body([content]), stow)
        sender.send("POST", "/data/services/import", content, "application/dicom",
                    **{"import-handler": "gradual-DICOM", "PROJECT_ID": "P"})  # fmt: skip

    check()
    shared.hub.intake.file_all()
    good = sender.send("POST", "/xapi/dicomweb/projects/P/studies", stow_body(EXAM), stow)
    assert good in {200, 202, 409}  # the changed ones may be there under its UIDs


@pytest.mark.slow
def test_changed_archives(sender: Sender) -> None:
    @FEW
    @given(changed(archive(*EXAM)))
    def check(content: bytes) -> None:
        sender.send("POST", "/data/services/import", content, "application/zip", dest="/prearchive/projects/P")
        sender.send("PUT", "/data/projects/P/resources/R/files/a.zip", content, "application/octet-stream",
                    inbody="true", extract="true", overwrite="true")  # fmt: skip

    check()


@pytest.mark.slow
def test_changed_and_hostile_documents(sender: Sender) -> None:
    @FEW
    @given(changed(XML) | st.sampled_from(HOSTILE_XML))
    def check(content: bytes) -> None:
        sender.send("PUT", "/data/projects/P/subjects/S/experiments/E", content, "text/xml", inbody="true")
        sender.send("POST", "/data/search", content, "text/xml")
        sender.send("PUT", "/data/search/saved/one", content, "text/xml")

    check()
    for content in HOSTILE_XML:
        assert (
            sender.send("PUT", "/data/projects/P/subjects/S/experiments/H", content, "text/xml", inbody="true") >= 400
        )
        assert sender.send("POST", "/data/search", content, "text/xml") >= 400
