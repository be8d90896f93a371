"""Changed bytes straight into DICOM's upper layer: the receiver answers or hangs up, and goes on.

What is changed is drawn from a fixed seed, so that each run sends the same.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.arrivals import MR_IMAGE, dataset_bytes, ledger, receiving_hub, send, wait_until
from helpers.pdus import ACCEPT, Peer, associate_request, pdu, store_request
from hub_fixture import RunningHub
from overread.hub.upkeep.check import check
from overread.synthetic.phantoms import make_mr_series

TRIES = 100
KEPT_MIB = 24
"""What a process may grow by over a round: none of it belongs to one association."""
EXAM = make_mr_series((4, 16, 20), seed=8)
INTERESTING = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0",
    b"\xff\xff",
    b"\1",
    b"\x80",
    b"SQ",
    b"UN",
)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, int]]:
    running, port = receiving_hub(tmp_path_factory.mktemp("fuzz"), quiet_default_s=600.0, dicom_processes=1)
    yield running, port
    running.stop()


def changed(content: bytes, draw: random.Random) -> bytes:
    """Return `content` with a few places overwritten, doubled or cut out, and perhaps its end lost."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(4):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                piece = draw.choice(INTERESTING)
                data[at : at + len(piece)] = piece
            case 2:
                data[at:at] = data[at : at + draw.randint(1, 40)]
            case 3:
                del data[at : at + draw.randint(1, 40)]
    if draw.random() < 0.2:
        del data[draw.randrange(len(data) + 1) :]
    return bytes(data)


def resident_mib(hub: RunningHub) -> float:
    (process,) = hub.hub.receivers.pool._processes
    return int(Path(f"/proc/{process.process.pid}/statm").read_text().split()[1]) * 4096 / 2**20


def works_on(hub: RunningHub, port: int, process: int) -> None:
    """It is the same process still, nobody is left hanging in it, and it takes an exam."""
    wait_until(lambda: hub.hub.receivers.pool.associations == 0)
    (one,) = hub.hub.receivers.pool._processes
    assert one.process.pid == process, "the receiving process died and was replaced"
    assert list(one.folder.iterdir()) == [], "half an object was left"
    assert set(send(port, EXAM)) == {0x0000}
    lines = ledger(hub)
    for line in lines:
        assert line.state in {"received", "refused", "duplicate"}
        assert not line.path or (hub.hub.layout.home / line.path).is_file()
    assert hub.hub.intake.spool.entries() == []
    assert check(hub.hub, digests=True) == []


def pid(hub: RunningHub) -> int:
    (process,) = hub.hub.receivers.pool._processes
    return process.process.pid


def round_of(hub: RunningHub, port: int, conversation: Iterator[list[bytes]]) -> None:
    """Have conversations with the receiver: each piece is sent, and what comes back is read."""
    for pieces in conversation:
        with Peer(port) as peer:
            for piece in pieces:
                peer.send(piece)
                if piece is not pieces[-1] and peer.receive()[0] != ACCEPT:
                    break
            peer.end()
            while peer.receive()[0]:
                continue
    assert hub.thread.is_alive()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Unknown encoding:UserWarning")  # pydicom's, of a damaged (0008,0005)
@pytest.mark.parametrize("kind", ["requests", "messages", "datasets"])
def test_changed_bytes_harm_nobody(receiver: tuple[RunningHub, int], kind: str) -> None:
    hub, port = receiver
    assert set(send(port, EXAM)) == {0x0000}
    process = pid(hub)

    def conversations(tries: int, seed: int) -> Iterator[list[bytes]]:
        draw = random.Random(seed)
        whole = dataset_bytes(EXAM[0])
        for number in range(tries):
            uid = f"1.2.3.{seed}.{number}"
            if kind == "requests":
                yield [changed(associate_request(), draw)]
            elif kind == "messages":
                yield [associate_request(), changed(store_request(whole, instance=uid), draw)]
            else:
                damaged = changed(whole, draw)
                yield [associate_request(), store_request(damaged, instance=str(EXAM[0].SOPInstanceUID))]

    round_of(hub, port, conversations(40, seed=1))  # what is imported and cached once is there after it
    before = resident_mib(hub)
    round_of(hub, port, conversations(TRIES, seed=2))
    gc.collect()
    assert resident_mib(hub) - before < KEPT_MIB
    works_on(hub, port, process)


@pytest.mark.slow
def test_lengths_that_lie_fill_no_memory(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    process = pid(hub)
    before = resident_mib(hub)
    huge = b"\4\0" + b"\xff\xff\xff\xff"
    flood = pdu(4, b"\0\0\x7f\xfa\1\1" + bytes(0x7FF8)) * 40  # a command set that never ends
    for pieces in ([huge], [associate_request(), huge + bytes(2**20)], [associate_request(), flood]):
        round_of(hub, port, iter([pieces]))
    assert resident_mib(hub) - before < KEPT_MIB
    works_on(hub, port, process)


def test_an_object_of_another_kind_than_agreed_is_refused(receiver: tuple[RunningHub, int]) -> None:
    hub, port = receiver
    content = dataset_bytes(EXAM[0])
    ct_image = MR_IMAGE[:-1] + "2"
    round_of(hub, port, iter([[associate_request(), store_request(content, instance=EXAM[0].SOPInstanceUID,
                                                                  sop_class=ct_image)]]))  # fmt: skip
    line = ledger(hub)[-1]
    assert (line.state, line.reason) == ("refused", "SOP Class UID differs between command and dataset")
