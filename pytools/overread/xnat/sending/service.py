"""Sends the reports of live studies to their nodes, and keeps in XNAT how far each is. Over REST alone.

It keeps nothing of its own: the state of a report stands in custom fields of its session (``report:<scan>``), so it may
be ended and started at any time. What a node says is kept in XNAT before the node is thanked.
"""

from __future__ import annotations

import datetime as dt
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from overread.errors import ArchiveError, Denied, NotFound, Unavailable
from overread.study.manifest import SendTo, StoredStudy, StudyManifest
from overread.study.sending import (
    Delivery,
    answered,
    asked,
    held,
    next_step,
    not_stored,
    read_delivery,
    stored,
)
from overread.xnat.connection import FileArchive, Request
from overread.xnat.sending.dimse import Commitment, Inbox, Peer, Refused, ask, new_transaction, store
from overread.xnat.sending.nodes import Nodes
from overread.xnat.watch import site_studies

FIELD: Final = "report:"
"""Custom field of the session, followed by the scan's ID."""
SCAN_TYPE: Final = "AI report"
_RESOURCES: Final = {"capture": "DICOM", "pdf": "PDF", "sr": "SR"}
_SAME_ASSOCIATION_S: Final = 2.0
_END: Final = ("committed", "refused", "held")


@dataclass(frozen=True)
class Sent:
    """What has become of a report at a node: session and scan by their IDs, no name of a patient."""

    session: str
    scan: str
    node: str
    state: str
    reason: str


@dataclass(frozen=True)
class _Report:
    project: str
    session: str
    scan: str

    @property
    def key(self) -> str:
        return f"{FIELD}{self.scan}"

    @property
    def fields(self) -> str:
        return f"/xapi/custom-fields/projects/{quote(self.project)}/experiments/{quote(self.session)}/fields"


@dataclass
class Sender:
    """Looks for reports that are to be sent, again and again.

    Parameters
    ----------
    nodes
        The site's file.
    tell
        Is called with each thing that is new.
    clock
        The time.
    """

    nodes: Nodes
    tell: Callable[[Sent | str], None]
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    inbox: Inbox = field(default_factory=queue.Queue)
    _known: dict[_Report, dict[str, Delivery]] = field(default_factory=dict)
    _listed: dict[tuple[str, str], int] = field(default_factory=dict)
    _open: dict[str, tuple[_Report, str]] = field(default_factory=dict)
    _missing: set[str] = field(default_factory=set)

    def look(self, archive: FileArchive, studies: Sequence[StudyManifest] | None = None) -> None:
        """Look once at all studies of the server, or those named, and do what is due.

        Raises
        ------
        ArchiveError
            The server went away, or does not show what is needed.
        """
        named = None if studies is None else {study.id for study in studies}
        for study in site_studies(archive):
            if (named is None or study.id in named) and study.report is not None and study.report.send_to:
                for report in self._reports(archive, study):
                    try:
                        self._advance(archive, study, report)
                    except NotFound:  # its session was deleted or moved just now
                        self._forget(report)
                        self.tell(f"{report.session} {report.scan} is not there any more")

    def listen(self, archive: FileArchive, *, until: float) -> None:
        """Keep what nodes report, till a moment of the monotonic clock."""
        while (left := until - time.monotonic()) > 0:
            try:
                told = self.inbox.get(timeout=left)
            except queue.Empty:
                return
            self._told(archive, told)

    def _told(self, archive: FileArchive, told: Commitment) -> None:
        try:
            report, node = self._open.get(told.transaction, (None, ""))
            if report is None:
                self.tell(f"a node reports transaction {told.transaction[:64]}, which nobody waits for")
                return
            self._keep(archive, report, node, answered(self._known[report][node], told.failed, now=self.clock()))
            told.kept = True
        except NotFound:  # its session was deleted or moved while the node was about it
            self.tell(f"a node reports transaction {told.transaction[:64]}, whose report is not there any more")
            self._open.pop(told.transaction, None)
        finally:
            told.done.set()

    def _forget(self, report: _Report) -> None:
        del self._known[report]
        self._open = {transaction: one for transaction, one in self._open.items() if one[0] != report}

    def _reports(self, archive: FileArchive, study: StudyManifest) -> Iterator[_Report]:
        """Yield the project's reports: those known that are not at their end, and those that are new."""
        assert isinstance(study, StoredStudy)  # noqa: S101 - as `site_studies` yields them
        rows = _rows(
            archive, f"/data/services/workflows/{quote(study.report_wrapper_name)}", {"project": study.project}
        )
        finished: dict[str, int] = {}
        for row in rows:
            if (
                str(row.get("status")).startswith("Complete")
                and str(row.get("ExternalID") or study.project) == study.project
            ):
                session = str(row.get("id") or row.get("experiment") or "")
                finished[session] = finished.get(session, 0) + 1
        for session, count in finished.items():
            if self._listed.get((study.project, session)) != count:
                for report in self._scans(archive, study.project, session):
                    self._read(archive, report)
                self._listed[study.project, session] = count
        yield from [report for report in self._known if report.project == study.project]

    def _scans(self, archive: FileArchive, project: str, session: str) -> list[_Report]:
        rows = _rows(archive, f"/data/experiments/{quote(session)}/scans", {"columns": "ID,type"})
        return [_Report(project, session, str(row["ID"])) for row in rows if row.get("type") == SCAN_TYPE]

    def _read(self, archive: FileArchive, report: _Report) -> None:
        answer = archive.get(report.fields)
        document = answer.value() if answer else {}
        entry = document.get(report.key) if isinstance(document, dict) else None
        kept = entry.get("nodes") if isinstance(entry, dict) else None
        known = {str(name): read_delivery(one) for name, one in kept.items()} if isinstance(kept, dict) else {}
        self._known[report] = known
        for name, one in known.items():
            if one.transaction:
                self._open[one.transaction] = (report, name)

    def _advance(self, archive: FileArchive, study: StudyManifest, report: _Report) -> None:
        assert study.report is not None  # noqa: S101 - as `look` has seen
        for to in study.report.send_to:
            now = self.clock()
            delivery = self._known[report].get(to.ae_title)
            if delivery is None and study.mode != "live":
                self._keep(archive, report, to.ae_title, held(study.mode, now=now))
                continue
            step = next_step(delivery or Delivery(), commitment=to.storage_commitment, now=now)
            if step is None or study.mode != "live":
                continue
            node = self.nodes.nodes.get(to.ae_title)
            if node is None:
                if to.ae_title not in self._missing:
                    self._missing.add(to.ae_title)
                    self.tell(f"study {study.id} sends to {to.ae_title}, which the file of nodes does not have; add it")
                continue
            peer = Peer(to.ae_title, node.host, node.port, self.nodes.ae_title)
            if step == "store":
                self._store(archive, report, to, peer, delivery or Delivery())
            else:
                self._ask(archive, report, peer, delivery or Delivery())

    def _store(self, archive: FileArchive, report: _Report, to: SendTo, peer: Peer, delivery: Delivery) -> None:
        try:
            objects = store(peer, _objects(archive, report, to), self.inbox)
        except (Unavailable, Refused) as error:
            changed = not_stored(delivery, str(error), for_good=isinstance(error, Refused), now=self.clock())
        else:
            changed = stored(delivery, objects, now=self.clock())
        self._keep(archive, report, to.ae_title, changed)
        if changed.state == "sent" and to.storage_commitment:
            self._ask(archive, report, peer, changed)

    def _ask(self, archive: FileArchive, report: _Report, peer: Peer, delivery: Delivery) -> None:
        # The transaction is kept before it is used: its report may come at once, or after a restart.
        before, transaction = delivery, new_transaction()
        self._keep(archive, report, peer.ae_title, asked(before, transaction, "", now=self.clock()))

        def wait() -> None:
            until = time.monotonic() + _SAME_ASSOCIATION_S
            while self._known[report][peer.ae_title].transaction == transaction and time.monotonic() < until:
                self.listen(archive, until=min(until, time.monotonic() + 0.05))
                if self._known[report][peer.ae_title].state in _END:
                    return

        try:
            ask(peer, before.objects, self.inbox, transaction=transaction, wait=wait)
        except Unavailable as error:
            self._keep(archive, report, peer.ae_title, asked(before, "", str(error), now=self.clock()))

    def _keep(self, archive: FileArchive, report: _Report, node: str, delivery: Delivery) -> None:
        known = {**self._known[report], node: delivery}
        document = {"nodes": {name: one.as_document() for name, one in known.items()}}
        archive.send(Request("PUT", report.fields, json={report.key: document}))
        before = self._known[report].get(node)
        self._known[report] = known
        if delivery.transaction:
            self._open[delivery.transaction] = (report, node)
        if before is None or (before.state, before.reason) != (delivery.state, delivery.reason):
            self.tell(Sent(report.session, report.scan, node, delivery.state, delivery.reason))


def _objects(archive: FileArchive, report: _Report, to: SendTo) -> list[Dataset]:
    """Return what a node gets of a report; not all reports have all kinds."""
    found: list[Dataset] = []
    with TemporaryDirectory(prefix="overread-report-") as folder:
        for kind in to.objects:
            base = f"/data/experiments/{quote(report.session)}/scans/{quote(report.scan)}/resources/{_RESOURCES[kind]}"
            for row in _rows(archive, f"{base}/files"):
                path = Path(folder) / "object.dcm"
                archive.download(f"{base}/files/{quote(str(row['Name']))}", path)
                try:
                    found.append(dcmread(BytesIO(path.read_bytes())))
                except InvalidDicomError:
                    raise Refused(f"file {kind} of the report is no DICOM object") from None
    if not found:
        raise Refused("the report has no objects any more")
    return found


def send(
    connect: Callable[[Callable[[FileArchive], None]], None],
    sender: Sender,
    *,
    studies: Sequence[StudyManifest] | None,
    every_s: float,
    stopped: Callable[[float], bool],
) -> None:
    """Look until it is stopped; a server that is away for a while is waited for.

    Parameters
    ----------
    connect
        Opens a connection and calls what it is given with it.
    sender
        Who looks.
    studies
        Those named; None: all of the server.
    every_s
        Seconds between two looks; after a fault up to sixteen times as long.
    stopped
        Waits so many seconds, and returns True when it is time to end.

    Raises
    ------
    Denied
        The login is refused at the first time.
    """
    faults, once_in = 0, False

    def looking(archive: FileArchive) -> None:
        nonlocal faults, once_in
        once_in = True
        while True:
            sender.look(archive, studies)
            faults = 0
            until = time.monotonic() + every_s
            while time.monotonic() < until:
                sender.listen(archive, until=min(until, time.monotonic() + 1.0))
                if stopped(0.0):
                    return

    while True:
        try:
            connect(looking)
        except ArchiveError as error:
            if isinstance(error, Denied) and not once_in:
                raise
            sender.tell(str(error))
        else:
            return
        faults += 1
        if stopped(every_s * 2 ** min(faults, 4)):
            return


def _rows(archive: FileArchive, path: str, query: Mapping[str, str] | None = None) -> list[Mapping[str, Any]]:
    answer = archive.get(path, {"format": "json", **(query or {})})
    document = answer.value() if answer else {}
    rows = document.get("ResultSet", {}).get("Result", []) if isinstance(document, dict) else []
    return [row for row in rows if isinstance(row, Mapping)]
