"""A hub that receives DICOM, and a sender that is not ours (pynetdicom's SCU), for tests of what arrives."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from sqlalchemy import delete, select

from helpers.ports import free_port
from hub_fixture import RunningHub, start_hub
from overread.hub.models import PrearchiveSession, ReceivedObject, Receiver

EXPLICIT = "1.2.840.10008.1.2.1"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
ROUTING = {
    "routingExpressionsEnabled": True,
    "projectRoutingExpression": "(0008,0016):^(.+)$ t:^.+$ r:BTS",
    "subjectRoutingExpression": "(0010,0020):^(.+)$",
    "sessionRoutingExpression": "(0020,000D):^(.+)$",
}
"""As `study apply` makes it: all objects go into project BTS, one session a study."""


def receiving_hub(tmp_path: Path, **config: Any) -> tuple[RunningHub, int]:
    """Start a hub with project BTS and its receiver; return it and the receiver's port."""
    port = free_port()
    running = start_hub(tmp_path, **({"quiet_default_s": 0.4} | config))
    with running.client() as client:
        assert client.put("/data/projects/BTS").status_code == 200
        answer = client.post("/xapi/dicomscp", json={"aeTitle": "BTS", "port": port, **ROUTING})
        assert answer.status_code == 200, answer.text
    return running, port


def associate(port: int, *, called: str = "BTS", calling: str = "SENDER", syntaxes: Sequence[str] = ()) -> Association:
    """Ask for an association; it may be refused."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    entity.add_requested_context(VERIFICATION)
    entity.add_requested_context(MR_IMAGE, list(syntaxes) or [EXPLICIT])
    return entity.associate("127.0.0.1", port, ae_title=called)


def diagnostic(refused: Association) -> int:
    """Return why an association was refused (PS3.8 9.3.4)."""
    answer = refused.acceptor.primitive
    assert refused.is_rejected
    assert answer is not None
    return int(answer.diagnostic or 0)


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wipe(hub: RunningHub) -> None:
    """Forget all that has arrived, and all receivers but the first."""
    hub.hub.intake.file_all()
    with hub.hub.database.write() as db:
        db.execute(delete(ReceivedObject))
        db.execute(delete(PrearchiveSession))
        db.execute(delete(Receiver).where(Receiver.id > 1))
    for folder in (*hub.hub.layout.prearchive.iterdir(), *hub.hub.layout.refused.iterdir()):
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    hub.hub.receivers.reconcile()


def send(port: int, datasets: Iterable[Dataset], **options: Any) -> list[int]:
    """Send objects over one association; return the status of each."""
    association = associate(port, **options)
    assert association.is_established, "the association was refused"
    try:
        return [int(association.send_c_store(dataset).Status) for dataset in datasets]
    finally:
        association.release()


def send_bytes(association: Association, content: bytes, *, sop_class: str, sop_instance: str) -> Dataset:
    """Send bytes as the dataset of a C-STORE request, whatever they are; return the answer."""
    context = next(c for c in association.accepted_contexts if c.abstract_syntax == MR_IMAGE)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, sop_instance
    request.DataSet = BytesIO(content)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    association.dimse.send_msg(request, context.context_id or 1)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert isinstance(response, C_STORE), "the association was aborted"
    answer = Dataset()
    answer.Status = response.Status
    answer.ErrorComment = response.ErrorComment or ""
    return answer


def dataset_bytes(dataset: Dataset) -> bytes:
    """Return a dataset in explicit VR little endian, without file meta information."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    meta_end = 128 + 4 + 12 + dcmread(buffer, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    return buffer.getvalue()[meta_end:]


def file_bytes(dataset: Dataset) -> bytes:
    """Return a dataset as a DICOM file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def wait_until(found: Callable[[], Any], *, timeout_s: float = 20.0, look_every_s: float = 0.02) -> Any:
    """Return what `found` returns as soon as that is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(look_every_s)
    raise AssertionError(f"it did not come true within {timeout_s} s")


def rows(hub: RunningHub) -> list[PrearchiveSession]:
    """Return all sessions of the prearchive, gone ones too, once what was received is filed."""
    hub.hub.intake.file_all()
    with hub.hub.database.read() as db:
        return list(db.scalars(select(PrearchiveSession).order_by(PrearchiveSession.pk)))


def ledger(hub: RunningHub, *states: str) -> list[ReceivedObject]:
    """Return the ledger's lines, all or those of some states, once what was received is filed."""
    hub.hub.intake.file_all()
    with hub.hub.database.read() as db:
        lines = db.scalars(select(ReceivedObject).order_by(ReceivedObject.pk))
        return [line for line in lines if not states or line.state in states]


def wait_for_status(hub: RunningHub, status: str, *, count: int = 1) -> list[PrearchiveSession]:
    """Wait until this many sessions of the prearchive are in a state."""
    return list(wait_until(lambda: (f := [r for r in rows(hub) if r.status == status]) and len(f) >= count and f))


def store_manifest(
    hub: RunningHub, *, project: str = "BTS", more: Mapping[str, Any] = MappingProxyType({}), **arrival: Any
) -> None:
    """Store a study's manifest in the configuration service, as `study apply` does; `more` are further keys of it."""
    document = {
        "id": "brain-tumor",
        "title": "Brain tumour",
        "version": "1.0.0",
        "mode": "shadow",
        "project": project,
        "receiver": {"ae_title": "BTS", "port": 8104},
        "arrival": {
            "accept": [{"tag": "Modality", "in": ["MR"]}],
            "series": {
                "flair": {"where": [{"tag": "SeriesDescription", "matches": "(?i)flair"}], "at_least": 5},
            },
            "complete": {"needs": ["flair"], "quiet_s": 1, "give_up_s": 60},
        }
        | arrival,
        "command": "command.json",
        "result": "result.yaml",
        "result_type": "braintumor:resultData",
        **more,
    }
    with hub.client() as client:
        answer = client.put(
            f"/data/projects/{project}/config/overread/study",
            params={"inbody": "true"},
            content=json.dumps(document),
            headers={"content-type": "text/plain"},
        )
        assert answer.status_code in {200, 201}, answer.text
