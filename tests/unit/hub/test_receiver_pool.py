"""The hub's side of its receiving processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from overread.hub.arrival.spool import Spool
from overread.hub.receiver.pool import Pool


def test_a_process_is_heard_on_although_something_it_said_could_not_be_done(tmp_path: Path) -> None:
    """Nobody would read its channel any more, it would block on it, and all its associations would hang."""
    spool = Spool(tmp_path / "spool", 0)
    spool.make()
    heard: list[str] = []

    def report(_pk: int, _done: bool) -> None:
        raise OSError("the disk is full")

    def messages() -> Iterator[dict[str, Any]]:
        yield {"kind": "reported", "pk": 1, "done": True}
        yield {"kind": "ended", "number": 7}
        yield {"kind": "kept"}

    pool = Pool(
        spool,
        processes=1,
        tls=None,
        on_kept=lambda: heard.append("kept"),
        on_reported=report,
        on_refused=lambda **_: None,
    )
    folder = spool.incoming / "gone"
    folder.mkdir()
    process: Any = SimpleNamespace(
        channel=SimpleNamespace(messages=messages, close=lambda: heard.append("closed")),
        process=SimpleNamespace(wait=lambda: 0),
        folder=folder,
        open={7, 8},
    )
    pool._listen(process)
    assert process.open == {8}
    assert heard == ["kept", "closed", "kept"]
    assert not folder.exists()
