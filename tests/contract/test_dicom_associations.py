"""Associations that come to nothing: refused with DICOM's reason, and listed for the administrator. DICOM over TLS."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from helpers import arrivals
from helpers.archive import add_user
from helpers.arrivals import ledger, receiving_hub, wait_until
from helpers.pdus import ABORT, ACCEPT, DATA, REJECT, Peer, associate_request, pdu, store_request
from helpers.ports import free_port
from hub_fixture import RunningHub
from overread.hub.models import RefusedAssociation
from overread.hub.receiver import refusals
from overread.synthetic.phantoms import make_mr_series

MOST = 100
"""So many associations a receiving process serves at once."""
JPIP = "1.2.840.10008.1.2.4.94"


@dataclass(frozen=True)
class Site:
    """A hub with a receiver on two ports, one of them over TLS, which wants certificates of `authority`."""

    hub: RunningHub
    port: int
    tls_port: int
    authority: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("associations")
    certificate, key = folder / "server.pem", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    plain, tls = free_port(), free_port()
    running, port = receiving_hub(
        folder,
        quiet_default_s=600.0,
        dicom_processes=1,
        dicom_port=plain,
        dicom_tls_port=tls,
        dicom_tls_certificate=certificate,
        dicom_tls_key=key,
        dicom_tls_client_ca=certificate,
    )
    yield Site(running, port, tls, certificate)
    running.stop()


def listed(site: Site, **query: str) -> list[dict[str, Any]]:
    site.hub.hub.refusals.write()
    with site.hub.client() as client:
        answer = client.get("/xapi/overread/associations", params=query)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def the_one(site: Site, calling: str) -> dict[str, Any]:
    (row,) = wait_until(lambda: listed(site, search=calling))
    return dict(row)


def asked(port: int, request: bytes) -> tuple[int, bytes]:
    with Peer(port) as peer:
        peer.send(request)
        return peer.receive()


def test_an_unknown_title_is_listed_once_however_often_it_is_tried(site: Site) -> None:
    for _ in range(3):
        kind, body = asked(site.port, associate_request(called=b"NOBODY", calling=b"LOST"))
        assert (kind, body[1:4]) == (REJECT, b"\x01\x01\x07")
    row = wait_until(lambda: [one for one in listed(site, search="LOST") if one["times"] == 3])[0]
    assert (row["called"], row["calling"], row["address"], row["port"]) == ("NOBODY", "LOST", "127.0.0.1", site.port)
    assert row["reason"] == "no receiver of this AE title listens on this port"
    assert row["first"] < row["last"]


def test_a_sender_that_no_whitelist_names_is_listed(site: Site) -> None:
    with site.hub.client() as client:
        club = {"aeTitle": "CLUB", "port": site.port, "whitelistEnabled": True, "whitelist": ["PACS1"]}
        assert client.post("/xapi/dicomscp", json=club).status_code == 200
    kind, body = asked(site.port, associate_request(called=b"CLUB", calling=b"PACS2"))
    assert (kind, body[1:4]) == (REJECT, b"\x01\x01\x03")
    assert the_one(site, "PACS2")["reason"] == "the sender is not on this receiver's whitelist"


def test_one_too_many_is_told_that_it_may_come_again(site: Site) -> None:
    with ExitStack() as stack:
        for _ in range(MOST):
            peer = stack.enter_context(Peer(site.port))
            peer.send(associate_request())
            assert peer.receive()[0] == ACCEPT
        kind, body = asked(site.port, associate_request(calling=b"CROWD"))
        assert (kind, body[1:4]) == (REJECT, b"\x02\x03\x02"), "transient, local limit exceeded"
        assert the_one(site, "CROWD")["reason"] == f"too many associations at once ({MOST})"
    wait_until(lambda: site.hub.hub.receivers.pool.associations == 0)
    assert asked(site.port, associate_request())[0] == ACCEPT


@pytest.mark.parametrize(
    ("abstract", "syntax", "words"),
    [
        (arrivals.MR_IMAGE, JPIP, "MR Image Storage in JPIP Referenced"),
        ("1.2.840.10008.5.1.4.31", arrivals.EXPLICIT, "Modality Worklist Information Model - FIND"),
    ],
    ids=["syntax", "service"],
)
def test_what_a_sender_offers_in_vain_is_listed(site: Site, abstract: str, syntax: str, words: str) -> None:
    calling = f"VAIN{abstract[-2:]}".encode()
    kind, _ = asked(site.port, associate_request(calling=calling, abstract=abstract, syntax=syntax))
    assert kind == ACCEPT, "the association is let in, its contexts are not"
    assert words in the_one(site, calling.decode())["reason"]


def test_an_object_that_breaks_off_is_listed_and_not_kept(site: Site) -> None:
    dataset = make_mr_series((2, 16, 20))[0]
    with Peer(site.port) as peer:
        peer.send(associate_request(calling=b"TORN"))
        assert peer.receive()[0] == ACCEPT
        peer.send(store_request(arrivals.dataset_bytes(dataset), instance=dataset.SOPInstanceUID, whole=False))
        peer.end()
        assert peer.receive()[0] == 0
    assert the_one(site, "TORN")["reason"] == "an object broke off before its end: nothing of it is kept"
    assert ledger(site.hub) == []


def test_who_breaks_the_protocol_is_listed(site: Site) -> None:
    with Peer(site.port) as peer:
        peer.send(associate_request(calling=b"RUDE"))
        assert peer.receive()[0] == ACCEPT
        peer.send(pdu(DATA, b"\0\0\xff\xff\1\3"))
        assert peer.receive()[0] == ABORT
    reason = the_one(site, "RUDE")["reason"]
    assert reason == "the sender breaks the protocol: a presentation data value has a wrong length"


def test_texts_of_a_sender_are_cut_and_made_printable(site: Site) -> None:
    site.hub.hub.refusals.note(reason="x" * 5000, called="\x1b[31mRED", calling="\u202eLTR", address="::1", port=1)
    (row,) = listed(site, search="[31mRED")
    assert (row["called"], row["calling"], len(row["reason"])) == ("?[31mRED", "?LTR", 300)


def test_nobody_fills_the_database_by_knocking(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST_KEPT", 20)
    for number in range(50):
        site.hub.hub.refusals.note(reason="r", called="C", calling=f"FLOOD{number}", address="10.0.0.1", port=1)
        if number == 24:
            site.hub.hub.refusals.write()
    site.hub.hub.refusals.write()
    with site.hub.hub.database.read() as db:
        assert db.scalar(select(func.count()).select_from(RefusedAssociation)) == 20
    assert listed(site, search="FLOOD49")
    assert not listed(site, search="FLOOD1 ")


def test_administrators_alone_see_them(site: Site) -> None:
    add_user(site.hub.hub, "mary")
    with site.hub.client("mary", "secret") as client:
        assert client.get("/xapi/overread/associations").status_code == 403


# DICOM over TLS


def tls(site: Site, *, certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(site.authority))
    if certificate:
        context.load_cert_chain(site.authority, site.authority.with_suffix(".key"))
    return context


def hub_port_receiver(site: Site) -> None:
    """Make the receiver that both of the hub's own ports share, if it isn't there."""
    with site.hub.client() as client:
        answer = client.post("/xapi/dicomscp", json={"aeTitle": "BTS", "port": 0, **arrivals.ROUTING})
        assert answer.status_code in {200, 400}, answer.text


def test_objects_come_in_over_tls(site: Site) -> None:
    hub_port_receiver(site)
    dataset = make_mr_series((2, 16, 20), seed=4)[0]
    with Peer(site.tls_port, tls=tls(site, certificate=True)) as peer:
        peer.send(associate_request(calling=b"SECURE"))
        assert peer.receive()[0] == ACCEPT
        peer.send(store_request(arrivals.dataset_bytes(dataset), instance=dataset.SOPInstanceUID))
        _, body = peer.receive()
        assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" in body, "status 0"
    assert [line.source for line in ledger(site.hub, "received")] == [f"BTS:{site.tls_port} from SECURE"]


def test_who_speaks_no_tls_or_has_no_certificate_is_listed(site: Site) -> None:
    hub_port_receiver(site)
    assert asked(site.tls_port, associate_request())[0] != ACCEPT
    reasons = wait_until(lambda: [row["reason"] for row in listed(site, search="TLS failed")])
    assert len(reasons) == 1
    with contextlib.suppress(ssl.SSLError), Peer(site.tls_port, tls=tls(site, certificate=False)) as peer:
        peer.send(associate_request())
        assert peer.receive()[0] == 0
    row = wait_until(lambda: listed(site, search="peer did not return a certificate"))[0]
    assert (row["reason"], row["port"]) == ("TLS failed: peer did not return a certificate", site.tls_port)
