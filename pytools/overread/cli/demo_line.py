"""The steps of the demo, each as its user would take it: a hub, a study, a reader, exams over the network, results.

Only the sender is ours to choose: dcmtk's `storescu` where it is installed, else pynetdicom's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from overread import __version__
from overread.errors import ArchiveError, OverreadError

if TYPE_CHECKING:
    from overread.xnat.bundle import StudyBundle

OVERREAD = (sys.executable, "-m", "overread")
_START_TIMEOUT_S = 60
_SENDING_TIMEOUT_S = 600
_BUILDING_TIMEOUT_S = 1800
_FINISHED = ("complete", "failed")


@dataclass(frozen=True)
class Account:
    """A login of the demo."""

    login: str
    password: str


@dataclass(frozen=True)
class Outcome:
    """What became of one exam: values of the result's fields as text, seconds since the last image was acknowledged."""

    status: str
    values: Mapping[str, str] = field(default_factory=dict)
    started_s: float | None = None
    result_s: float | None = None
    reason: str = ""

    @property
    def finished(self) -> bool:
        """Nothing more will happen."""
        return self.status.lower().startswith(_FINISHED)


@contextmanager
def hub_process(home: Path, *, port: int, dicom_port: int, password: str) -> Iterator[str]:
    """Run ``overread hub serve`` and yield its URL once it answers."""
    command = [*OVERREAD, "hub", "serve", "--home", str(home)]
    command += ["--port", str(port), "--dicom-port", str(dicom_port)]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "hub.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, "OVERREAD_ADMIN_PASSWORD": password},
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(url, process, home / "hub.log")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise OverreadError(f"The hub ended with code {process.returncode}: {last}")
        try:
            requests.get(f"{url}/data/auth", timeout=2)
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise OverreadError(f"The hub did not answer at {url} within {_START_TIMEOUT_S} s; see {log}.")


def apply_study(manifest: Path, url: str, admin: Account, *, dicom_port: int) -> str:
    """Run ``overread study apply`` and return what it said."""
    done = subprocess.run(
        [
            *OVERREAD,
            "study",
            "apply",
            str(manifest),
            "--server",
            url,
            "--user",
            admin.login,
            "--dicom-port",
            str(dicom_port),
        ],
        env={**os.environ, "OVERREAD_PASSWORD": admin.password},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OverreadError(f"The study could not be applied: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Client:
    """The few REST calls the demo makes, as any script would."""

    def __init__(self, url: str, account: Account) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.auth = (account.login, account.password)
        self._session.headers["User-Agent"] = f"overread-demo/{__version__}"

    def get(self, path: str, **query: str) -> Any:
        """GET JSON."""
        return self._checked(self._session.get(self.url + path, params=query, timeout=30)).json()

    def rows(self, path: str, **query: str) -> list[dict[str, str]]:
        """GET a table."""
        rows: list[dict[str, str]] = self.get(path, format="json", **query)["ResultSet"]["Result"]
        return rows

    def add_reader(self, reader: Account, *, projects: Sequence[str]) -> None:
        """Make an account that may read, correct and answer in these projects."""
        body = {
            "username": reader.login, "password": reader.password, "firstName": "Robin", "lastName": "Reader",
            "email": f"{reader.login}@example.org", "enabled": True, "verified": True,
        }  # fmt: skip
        self._checked(self._session.post(f"{self.url}/xapi/users", json=body, timeout=30))
        for project in projects:
            place = f"{self.url}/data/projects/{project}/users/member/{reader.login}"
            self._checked(self._session.put(place, timeout=30))

    def prepare_images(self) -> list[str]:
        """Have the server prepare all images it knows, and return their names. Takes minutes the first time."""
        names: list[str] = [name for image in self.get("/xapi/docker/images") for name in image["tags"]]
        for name in names:
            query = {"image": name}
            self._checked(self._session.post(f"{self.url}/xapi/docker/pull", params=query, timeout=_BUILDING_TIMEOUT_S))
        return names

    @staticmethod
    def _checked(answer: requests.Response) -> requests.Response:
        if not answer.ok:
            raise ArchiveError(
                f"{answer.request.method} {answer.url} answered {answer.status_code}: {answer.text[:200]}"
            )
        return answer


def send(folder: Path, *, ae_title: str, port: int) -> str:
    """Send all DICOM files of `folder` by C-STORE and return the program that did it."""
    storescu = shutil.which("storescu")
    if storescu:
        command = [storescu, "-aet", "DEMO", "-aec", ae_title, "+sd", "+r", "-pdu", "131072", "127.0.0.1", str(port)]
        name = "dcmtk storescu"
    else:
        command = [sys.executable, "-m", "pynetdicom", "storescu", "-aet", "DEMO", "-aec", ae_title, "-r"]
        command += ["127.0.0.1", str(port)]
        name = "pynetdicom storescu"
    done = subprocess.run(
        [*command, str(folder)],
        env={**os.environ, "TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SENDING_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise OverreadError(f"{name} could not send {folder}: {(done.stderr or done.stdout).strip()[-300:]}")
    return name


def outcomes(client: Client, study: StudyBundle, sent: Mapping[str, float]) -> dict[str, Outcome]:
    """Return what has become of each exam of a study.

    Parameters
    ----------
    study
        To whose project they were sent.
    sent
        Study Instance UID to the moment (seconds since the epoch) its last image was acknowledged.
    """
    project, kind = study.manifest.project, study.datatype.xsi_type
    sessions = {
        row["ID"]: row["UID"]
        for row in client.rows(f"/data/projects/{project}/experiments", columns="ID,UID")
        if row["UID"] in sent
    }
    names = list(study.manifest.demo.measures) if study.manifest.demo else []
    names = list(dict.fromkeys([*names, "status", "origin"]))
    columns = ",".join(["ID", "session_ID", *(f"{kind}/{name}" for name in names)])
    results = {
        # XNAT names columns asked for by their path in lower case.
        sessions[row["session_ID"]]: {name: row[f"{kind}/{name}".lower()] for name in names}
        for row in client.rows("/data/experiments", project=project, xsiType=kind, columns=columns)
        if row["session_ID"] in sessions and row[f"{kind}/origin".lower()] == "ai"
    }
    found = {uid: Outcome("Archived" if uid in sessions.values() else "Arriving") for uid in sent}
    for run in client.get(f"/xapi/projects/{project}/containers"):
        uid = _study_of(run, sessions)
        if uid is None:
            continue
        at = {step["status"]: step["time-recorded"] / 1000 - sent[uid] for step in run["history"]}
        found[uid] = Outcome(
            run["status"],
            values=results.get(uid, {}),
            started_s=at.get("Running"),
            result_s=at.get("Complete"),
            reason=next((step["message"] for step in reversed(run["history"]) if step.get("message")), "") or "",
        )
    return found


def _study_of(run: Mapping[str, Any], sessions: Mapping[str, str]) -> str | None:
    """Return the Study Instance UID of the session that `run` segments, None for other runs."""
    for entry in run["inputs"]:
        if entry["type"] == "wrapper-external" and entry["name"] == "session":
            return sessions.get(entry["value"].rstrip("/").rsplit("/", 1)[-1])
    return None
