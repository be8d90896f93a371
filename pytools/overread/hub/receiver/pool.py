"""The receiving processes of one hub: started when there is something for them to do, replaced when they die."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from overread.hub.arrival.spool import Spool
from overread.hub.receiver.channel import Channel

log = logging.getLogger(__name__)

_STOP_TIMEOUT_S: Final = 5.0
_PACKAGE: Final = str(Path(__file__).resolve().parents[3])
"""The folder in which the package ``overread`` lies."""


class _Process:
    """One receiving process, as the hub sees it."""

    def __init__(self, spool: Spool, tls: dict[str, str] | None) -> None:
        self.name = secrets.token_hex(6)
        self.folder = spool.incoming / self.name
        self.folder.mkdir()
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(part for part in (_PACKAGE, os.environ.get("PYTHONPATH", "")) if part)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "overread.hub.receiver.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        self.channel = Channel(ours)
        self.open: set[int] = set()
        self.channel.send(
            "settings", spool=str(spool.root), folder=str(self.folder), reserve_bytes=spool.reserve_bytes, tls=tls
        )


class Pool:
    """Hands connections to receiving processes.

    Parameters
    ----------
    spool
        Where they put what they receive.
    processes
        How many there may be.
    tls
        Files of the TLS port (`overread.hub.receiver.tls`), None without one.
    on_kept
        Called when something new lies in the spool.
    on_reported
        Called with a storage commitment's key, and whether its report was taken.
    on_refused
        Called for each association that came to nothing: ``reason``, ``called``, ``calling``, ``address``, ``port``.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        processes: int,
        tls: dict[str, str] | None,
        on_kept: Callable[[], None],
        on_reported: Callable[[int, bool], None],
        on_refused: Callable[..., None],
    ) -> None:
        self._spool, self._limit, self._tls = spool, processes, tls
        self._on_kept, self._on_reported, self._on_refused = on_kept, on_reported, on_refused
        self._processes: list[_Process] = []
        self._readers: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._number = 0
        self._stopping = False

    def start(self) -> None:
        """Have one process ready: the first association need not wait for it."""
        with self._lock:
            self._stopping = False
            if not self._processes:
                self._add()

    def hand_over(
        self, connection: socket.socket, *, port: int, tls: bool, receivers: Sequence[dict[str, Any]]
    ) -> None:
        """Give a connection to the process that has the least to do; a new one if all are busy and there may be more.

        Raises
        ------
        OSError
            No process can be started.
        """
        with connection, self._lock:
            if self._stopping:
                return
            while True:
                process = min(self._processes, key=lambda one: len(one.open), default=None)
                if process is None or (process.open and len(self._processes) < self._limit):
                    process = self._add()
                self._number += 1
                try:
                    process.channel.send(
                        "connection",
                        connection=connection,
                        number=self._number,
                        port=port,
                        tls=tls,
                        receivers=receivers,
                    )
                except OSError:  # it has died, and its reader will say so: the next one
                    self._processes.remove(process)
                    continue
                process.open.add(self._number)
                return

    def report(self, pk: int, association: str, content: dict[str, Any]) -> bool:
        """Ask for a storage commitment to be reported on an association (``process/number``); False if it has ended.

        What became of it, `on_reported` tells.
        """
        name, _, number = association.partition("/")
        with self._lock:
            for process in self._processes:
                if process.name == name and int(number) in process.open:
                    try:
                        process.channel.send("report", pk=pk, number=int(number), report=content)
                    except OSError:
                        return False
                    return True
        return False

    @property
    def associations(self) -> int:
        """How many are open."""
        with self._lock:
            return sum(len(process.open) for process in self._processes)

    def stop(self) -> None:
        """End all processes, and with them the associations under way: what got no answer is sent again."""
        with self._lock:
            self._stopping = True
            processes, self._processes = self._processes, []
        for process in processes:
            try:
                process.channel.send("stop")
            except OSError:  # it has ended by itself
                continue
        for process in processes:
            try:
                process.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.process.kill()
                process.process.wait()
        for reader in self._readers:
            reader.join(timeout=_STOP_TIMEOUT_S)

    def _add(self) -> _Process:
        process = _Process(self._spool, self._tls)
        self._processes.append(process)
        self._readers = [one for one in self._readers if one.is_alive()]
        reader = threading.Thread(target=self._listen, args=(process,), name=f"dicom-{process.name}", daemon=True)
        self._readers.append(reader)
        reader.start()
        return process

    def _heed(self, process: _Process, message: dict[str, Any]) -> None:
        match message["kind"]:
            case "kept":
                self._on_kept()
            case "ended":
                with self._lock:
                    process.open.discard(message["number"])
            case "reported":
                self._on_reported(message["pk"], message["done"])
            case "refused":
                self._on_refused(**{name: value for name, value in message.items() if name != "kind"})
            case "log":
                logging.getLogger(message["name"]).log(message["level"], "%s", message["text"])

    def _listen(self, process: _Process) -> None:
        """Do what a process says until it has ended."""
        for message in process.channel.messages():
            try:
                self._heed(process, message)
            except Exception:  # such as a full disk: the process would block if nobody heard it any more
                log.exception("what a receiving process said (%s) could not be done", message["kind"])
        code = process.process.wait()
        with self._lock:
            if process in self._processes:
                self._processes.remove(process)
            stopping = self._stopping
        process.channel.close()
        self._spool.take_over(process.folder)
        if not stopping:
            log.error(
                "a receiving process ended by itself (code %d) with %d associations: their senders send again",
                code,
                len(process.open),
            )
            self._on_kept()  # it may have died between an answer and its word to us
