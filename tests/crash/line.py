"""A hub that is killed and started again while modalities and users send to it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import select

from crash.hub_process import config_of
from helpers.arrivals import ROUTING, associate
from helpers.ports import free_port
from helpers.runs import install
from overread.hub.app import assemble
from overread.hub.core import Hub
from overread.hub.database import Database
from overread.hub.models import ReceivedObject
from overread.synthetic.phantoms import make_mr_series

PASSWORD = "for-this-test-alone"
PROGRAM = Path(__file__).with_name("hub_process.py")
START_TIMEOUT_S = 60.0
SESSION_EVENT = "org.nrg.xnat.eventservice.events.SessionEvent"


class Line:
    """A home, and the hub process that serves from it from time to time."""

    def __init__(self, folder: Path, *, database: str, seed: int) -> None:
        self.folder, self.rng = folder, Random(seed)
        self.port, self.dicom_port = free_port(), free_port()
        self.settings: dict[str, Any] = {
            "home": str(folder / "home"),
            "database": database,
            "port": self.port,
            "dicom_port": self.dicom_port,
            "images": [str(folder / "images")],
            "quiet_default_s": 0.4,
            "tick_s": 0.05,
            "workers": 2,
            "run_attempts": 1000,
            "retry_delay_s": 0.1,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def home(self) -> Path:
        return Path(self.settings["home"])

    @property
    def log(self) -> Path:
        return self.folder / "hub.log"

    def start(self, *, die: str = "") -> None:
        """Start the hub; it need not answer yet. It kills itself where `die` says (`crash.hub_process`)."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(self.settings | {"die": die})],
                stdout=log,
                stderr=log,
                env={**os.environ, "OVERREAD_ADMIN_PASSWORD": PASSWORD},
                start_new_session=True,
            )

    def kill(self, *, whole_group: bool) -> None:
        """End the hub with SIGKILL: it alone, or all its processes with it, as a power cut would."""
        assert self.process is not None
        assert self.process.poll() is None, f"the hub ended by itself: {self.tail()}"
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()

    def wait_until_it_died(self, timeout_s: float) -> None:
        """Wait until the hub has killed itself."""
        assert self.process is not None
        try:
            assert self.process.wait(timeout_s) == -signal.SIGKILL, self.tail()
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the hub never came to where it was to die: {self.tail()}") from None

    def stop(self) -> None:
        """End the hub as its administrator does."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text("utf-8", "replace")[-3000:]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", auth=("admin", PASSWORD), timeout=30)

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        with self.client() as client:
            while True:
                assert self.process is not None
                assert self.process.poll() is None, f"the hub ended while starting: {self.tail()}"
                try:
                    if client.get("/data/auth").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                assert time.monotonic() < deadline, self.tail()
                time.sleep(0.05)

    def prepare(self) -> None:
        """Make project, receiver, command and the subscription that runs it on every new session."""
        with self.client() as client:
            assert client.put("/data/projects/BTS").status_code == 200
            answer = client.post("/xapi/dicomscp", json={"aeTitle": "BTS", "port": self.dicom_port, **ROUTING})
            assert answer.status_code == 200, answer.text
            wrapper = install(client, self.folder / "images", project="BTS")
            subscription = {
                "name": "on session",
                "active": True,
                "action-key": f"org.nrg.containers.services.CommandActionProvider:{wrapper}",
                "attributes": {},
                "event-filter": {"event-type": SESSION_EVENT, "status": "CREATED", "project-ids": ["BTS"]},
                "act-as-event-user": False,
            }
            answer = client.post("/xapi/events/subscription", json=subscription)
            assert answer.status_code == 201, answer.text
            answer = client.put("/data/projects/BTS/resources/NOTES")
            assert answer.status_code in {200, 201}, answer.text

    def resting(self) -> Hub:
        """Return the hub of this home, not running."""
        return assemble(Hub(config_of(self.settings)))


@dataclass
class Sent:
    """What was acknowledged, by whom it came."""

    objects: dict[str, bytes] = field(default_factory=dict)  # MD5 of the pixels by SOP Instance UID
    studies: dict[str, set[str]] = field(default_factory=dict)  # SOP Instance UIDs by study
    files: dict[str, bytes] = field(default_factory=dict)  # content by path
    begun: int = 0  # exams
    exams: int = 0  # those that were sent to their end


class Modality(threading.Thread):
    """Sends one exam after the other, each object until it is acknowledged, as a modality does."""

    def __init__(self, line: Line, sent: Sent, *, end: threading.Event, most: int) -> None:
        super().__init__(name="modality", daemon=True)
        self._line, self._sent, self._over, self._most = line, sent, end, most
        self._rng = Random(line.rng.random())

    def run(self) -> None:
        for _ in range(self._most):
            if self._over.is_set():
                return
            self._sent.begun += 1
            self._send_exam(make_mr_series((4, 16, 20), seed=self._sent.begun))
            self._sent.exams += 1
            time.sleep(self._rng.uniform(0.05, 0.5))

    def _send_exam(self, images: list[Dataset]) -> None:
        left = list(images)
        while left:
            association, connection = None, None
            try:
                association = associate(self._line.dicom_port)
                connection = association.dul.socket and association.dul.socket.socket
                while left and association.is_established:
                    status = association.send_c_store(left[0])
                    if getattr(status, "Status", None) != 0:
                        break
                    self._acknowledged(left.pop(0))
            except (RuntimeError, ValueError, OSError):  # the association ended under our hands
                pass
            finally:
                if association is not None and association.is_established:
                    association.abort() if left else association.release()
                if connection is not None:
                    connection.close()  # pynetdicom forgets it when the other side dies
            if left:
                time.sleep(0.1)

    def _acknowledged(self, image: Dataset) -> None:
        uid = str(image.SOPInstanceUID)
        self._sent.studies.setdefault(str(image.StudyInstanceUID), set()).add(uid)
        self._sent.objects[uid] = pixels(image)


class Person(threading.Thread):
    """Uploads one file after the other, some of them again with other content."""

    def __init__(self, line: Line, sent: Sent, *, end: threading.Event) -> None:
        super().__init__(name="person", daemon=True)
        self._line, self._sent, self._over = line, sent, end
        self._rng = Random(line.rng.random())

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            name = f"{self._rng.randrange(12)}.txt"
            content = f"{number}\n".encode() * self._rng.randrange(1, 20_000)
            with self._line.client() as client:
                while not self._upload(client, name, content):
                    time.sleep(0.1)
            time.sleep(self._rng.uniform(0.02, 0.2))

    def _upload(self, client: httpx.Client, name: str, content: bytes) -> bool:
        where = f"/data/projects/BTS/resources/NOTES/files/{name}"
        try:
            # What is not acknowledged may be there or not: nothing is known of this name till it is.
            self._sent.files.pop(name, None)
            answer = client.put(where, params={"inbody": "true", "overwrite": "true"}, content=content)
        except httpx.TransportError:
            return False
        if answer.status_code not in {200, 201}:
            return False
        self._sent.files[name] = content
        return True


def pixels(image: Dataset) -> bytes:
    return hashlib.md5(image.PixelData, usedforsecurity=False).digest()


def missing_objects(line: Line, sent: Sent) -> list[str]:
    """List acknowledged objects that the home of a dead hub has not, or not with their pixels."""
    wanted = dict(sent.objects)
    kept: dict[str, set[bytes]] = {}
    database = Database(line.settings["database"] or f"sqlite:///{line.home / 'hub.sqlite'}")
    with database.read() as db:
        lines = db.execute(
            select(ReceivedObject.path).where(
                ReceivedObject.state.in_(("received", "archived")), ReceivedObject.path != ""
            )
        )
        paths = [line.home / row.path for row in lines]
    database.close()
    paths += (line.home / "spool" / "ready").glob("*.dcm")
    for path in paths:
        if path.exists():
            image = dcmread(path)
            kept.setdefault(str(image.SOPInstanceUID), set()).add(pixels(image))
    return [uid for uid, digest in wanted.items() if digest not in kept.get(uid, ())]
