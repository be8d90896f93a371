"""The receivers that are measured: ours, dcmtk's and Orthanc, each a process of its own at its honest settings.

Without TCP_NODELAY, dcmtk and Orthanc answer each object 42 ms late (the second half of the answer waits for a delayed
acknowledgement): beating that would prove nothing. And all of them may send PDUs of 128 kB.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from helpers.arrivals import ROUTING
from helpers.ports import free_port

PASSWORD: Final = "for-this-measurement-alone"
PROJECT: Final = "BTS"
NO_DELAY: Final = {"TCP_NODELAY": "1"}
PDU_BYTES: Final = 131072
_START_TIMEOUT_S: Final = 60.0


@dataclass
class Server:
    """A program that serves.

    Parameters
    ----------
    name
        For the table.
    title
        AE title of its receiver.
    dicom_port, http_port
        0 for none.
    process
        The program.
    start_s
        How long it took until it answered.
    page_s
        How long it took until it answered with what it knows, if it answers before.
    """

    name: str
    title: str
    dicom_port: int
    http_port: int
    process: subprocess.Popen[bytes]
    start_s: float = 0.0
    page_s: float = 0.0

    def client(self) -> httpx.Client:
        """Return a client as administrator."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", auth=("admin", PASSWORD), timeout=300)

    def memory_bytes(self) -> int:
        """Return what it and its children take (PSS: memory that several share counts once)."""
        return sum(_pss(process_id) for process_id in _family(self.process.pid))

    def resident_bytes(self) -> int:
        """Return the resident memory of its main process."""
        return _status_bytes(self.process.pid, "VmRSS")

    def cpu_s(self) -> float:
        """Return the processor time that it and its children have used, ended ones included."""
        ticks = 0
        for process_id in _family(self.process.pid):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(
    name: str,
    title: str,
    arguments: list[str],
    *,
    folder: Path,
    dicom_port: int,
    http_port: int = 0,
    wait_path: str = "",
    page_path: str = "",
) -> Iterator[Server]:
    """Run a program until the block ends; it begins once the program answers."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            arguments,
            stdout=log,
            stderr=log,
            env=_environment(),
            start_new_session=True,
        )
    server = Server(name, title, dicom_port, http_port, process)
    try:
        while not _answers(server, wait_path):
            if process.poll() is not None or time.perf_counter() - began > _START_TIMEOUT_S:
                raise AssertionError(f"{name} does not start: {(folder / 'log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.005)
        server.start_s = server.page_s = time.perf_counter() - began
        if page_path:
            assert _answers(server, page_path)
            server.page_s = time.perf_counter() - began
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment() -> dict[str, str]:
    # what is installed has its bytecode, so may this
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **NO_DELAY, "OVERREAD_ADMIN_PASSWORD": PASSWORD}


def storescp(folder: Path) -> contextlib.AbstractContextManager[Server]:
    """Run dcmtk's receiver: bytes as they come, a process for each association, nothing synced to disk."""
    port = free_port()
    files = folder / "files"
    files.mkdir(parents=True)
    arguments = ["storescp", "+B", "--fork", "-pdu", str(PDU_BYTES), "-aet", "STORESCP", "-od", str(files), str(port)]
    return serving("dcmtk storescp", "STORESCP", arguments, folder=folder, dicom_port=port)


def orthanc_program() -> str | None:
    """Return where Debian's Orthanc lies, None without one."""
    return shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def orthanc(folder: Path, program: str) -> contextlib.AbstractContextManager[Server]:
    """Run Orthanc as it comes (each file synced to disk), but for longer PDUs."""
    port, http_port = free_port(), free_port()
    folder.mkdir(parents=True)
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpPort": http_port,
        "MaximumPduLength": PDU_BYTES,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    return serving(
        "Orthanc",
        "ORTHANC",
        [program, str(folder / "orthanc.json")],
        folder=folder,
        dicom_port=port,
        http_port=http_port,
        wait_path="/system",
    )


def hub(folder: Path, *arguments: str) -> contextlib.AbstractContextManager[Server]:
    """Run the hub as ``overread hub serve`` does."""
    port, http_port = free_port(), free_port()
    line = [
        str(Path(sys.executable).with_name("overread")),
        *("hub", "serve", "--home", str(folder / "home"), "--port", str(http_port), "--dicom-port", str(port)),
        *arguments,
    ]
    return serving(
        "Overread",
        "BTS",
        line,
        folder=folder,
        dicom_port=port,
        http_port=http_port,
        wait_path="/healthz",
        page_path="/xapi/siteConfig/buildInfo",
    )


def add_receiver(server: Server, project: str = PROJECT) -> None:
    """Give a hub a project and a receiver that puts everything into it."""
    with server.client() as client:
        assert client.put(f"/data/projects/{project}").status_code in {200, 201}
        body: dict[str, Any] = {"aeTitle": server.title, "port": server.dicom_port, **ROUTING}
        body["projectRoutingExpression"] = f"(0008,0016):^(.+)$ t:^.+$ r:{project}"
        answer = client.post("/xapi/dicomscp", json=body)
        assert answer.status_code == 200, answer.text


def versions() -> dict[str, str]:
    """Return the peers' versions."""
    found = {}
    for name, line in (("storescp", ["storescp", "--version"]), ("orthanc", [orthanc_program() or "", "--version"])):
        if line[0] and shutil.which(line[0]):
            said = subprocess.run(line, capture_output=True, text=True, check=False).stdout
            match = re.search(r"\bv?(\d+\.\d+\.\d+)", said)
            found[name] = match[1] if match else ""
    return found


def _answers(server: Server, path: str) -> bool:
    if path:
        try:
            return server_answers(server, path)
        except httpx.TransportError:
            return False
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.dicom_port)) == 0


def server_answers(server: Server, path: str) -> bool:
    """Whether a page is there; a login that is asked for will do."""
    return httpx.get(f"http://127.0.0.1:{server.http_port}{path}", timeout=_START_TIMEOUT_S).status_code < 500


def _family(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    family = [root]
    for process_id in family:
        family += [one for one, parent in parents.items() if parent == process_id]
    return family


def _pss(process_id: int) -> int:
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _status_bytes(process_id: int, field: str) -> int:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
