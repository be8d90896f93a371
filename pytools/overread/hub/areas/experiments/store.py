"""What a PUT or POST says of an experiment, and saving it."""

from __future__ import annotations

from overread.hub.errors import HubError, bad_request
from overread.hub.http import Call
from overread.hub.items.document import Document
from overread.hub.items.experiments import ASSESSOR_BASE
from overread.hub.items.xml import save_document
from overread.hub.models import Experiment
from overread.hub.rest.fields import body_document, read_fields, sent_values

__all__ = ["ASSESSOR_BASE", "Document", "document_of", "save", "set_status"]


_STATUSES = {"activate": "active", "quarantine": "quarantine", "_lock": "locked", "_unlock": "active"}


def document_of(call: Call, existing: Experiment | None) -> Document:
    """Return body and parameters of a call as one document; parameters win over the body.

    Raises
    ------
    HubError
        417 when neither says what type it is, 400 when the types disagree.
    """
    document = body_document(call)
    schemas = call.hub.schemas
    wanted = call.query.get("xsiType") or (document.xsi_type if document is not None else "")
    if not wanted and existing is None:
        raise HubError(417, "Need PUT Contents: name the xsiType, or send the item as XML.")
    if existing is not None:
        if wanted and not schemas.is_a(existing.xsi_type, schemas.spelled(wanted) or wanted):
            raise HubError(409, f"{existing.id} is a {existing.xsi_type}, not a {wanted}.")
        wanted = existing.xsi_type
    xsi_type = schemas.spelled(wanted) or wanted
    if schemas.type(xsi_type) is None:
        raise bad_request(f"Unknown data type {wanted!r}. Is its plugin installed?")
    if not schemas.is_a(xsi_type, "xnat:experimentData"):
        raise bad_request(f"{xsi_type} is no experiment.")
    sent = read_fields(schemas, xsi_type, sent_values(call))
    if document is None:
        return sent
    if document.xsi_type != xsi_type:
        raise bad_request(f"The document holds a {document.xsi_type}, not a {xsi_type}.")
    document.fields.update(sent.fields)
    for path, entries in sent.children.items():
        document.children.setdefault(path, []).extend(entries)
    return document


def save(
    call: Call,
    document: Document,
    project: str,
    label: str,
    *,
    subject_id: str | None = None,
    session_id: str | None = None,
) -> Experiment:
    """Save the experiment of a document at the place that the path says."""
    document.fields.pop("subject_ID", None)
    experiment, created = save_document(
        call.db,
        call.hub,
        document,
        project=project,
        label=label,
        subject_id=subject_id,
        session_id=session_id,
        user=call.caller.login,
        replace=call.flag("allowDataDeletion"),
    )
    if created:
        set_status(call, experiment)
    return experiment


def set_status(call: Call, experiment: Experiment) -> None:
    """Apply ``activate``, ``quarantine``, ``_lock`` and ``_unlock``."""
    for name, status in (
        ("activate", "active"),
        ("quarantine", "quarantine"),
        ("_lock", "locked"),
        ("_unlock", "active"),
    ):
        if call.flag(name):
            experiment.status = status
