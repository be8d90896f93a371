"""Names that are the same for the same input and model, on every machine and in every run.

So a run that is repeated replaces its result instead of adding one, and what refers to it stays true.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from typing import Final

_NAMESPACE: Final = uuid.UUID("0c1d7a52-7a4c-5d0e-8d43-6f1f2a8b9c10")
_LABEL_DIGITS: Final = 12
_ID_DIGITS: Final = 16


def input_fingerprint(fingerprints: Iterable[tuple[str, str]]) -> str:
    """Return one fingerprint of several inputs, given as (role, fingerprint)."""
    lines = "\n".join(f"{role}:{value}" for role, value in sorted(fingerprints))
    return hashlib.sha256(lines.encode()).hexdigest()


def result_hash(
    *, study_instance_uid: str, series_instance_uids: Iterable[str], fingerprint: str, model: str, version: str
) -> str:
    """Return the twelve digits that stand in the labels of a result and of its ROI collection."""
    parts = (study_instance_uid, " ".join(sorted(series_instance_uids)), fingerprint, model, version)
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:_LABEL_DIGITS]


def edit_label(prefix: str, seg_sop_instance_uid: str) -> str:
    """Return the label of the result that measures a reader's segmentation."""
    return f"{prefix}-EDIT-{hashlib.sha256(seg_sop_instance_uid.encode()).hexdigest()[:_LABEL_DIGITS]}"


def experiment_id(prefix: str, *, project: str, session_id: str, label: str) -> str:
    """Return the ID of an assessor, unique in a site: the same exam may lie in several projects.

    With an ID of its own XNAT updates the assessor when a run is repeated, and does not add a second of one label.
    """
    digest = hashlib.sha256("|".join((project, session_id, label)).encode()).hexdigest()
    return f"{prefix}_{digest[:_ID_DIGITS]}"


def derived_uid(*parts: str) -> str:
    """Return a UID below 2.25 (PS3.5 B.2) that depends on nothing but `parts`."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '|'.join(parts)).int}"
