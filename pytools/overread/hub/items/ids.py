"""Accession IDs, and the settings behind them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from overread.hub.database import next_number
from overread.hub.errors import HubError
from overread.hub.models import Experiment, SiteSetting, Subject

if TYPE_CHECKING:
    from overread.hub.core import Hub

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def site_id(db: Session, hub: Hub) -> str:
    """Return the prefix of this site's accession IDs."""
    setting = db.get(SiteSetting, "siteId")
    return setting.value if setting is not None and setting.value else hub.config.site_id


def new_subject_id(db: Session, hub: Hub) -> str:
    """Return a free ID such as ``XNAT_S00001``."""
    return _new(db, hub, Subject, "S")


def new_experiment_id(db: Session, hub: Hub) -> str:
    """Return a free ID such as ``XNAT_E00001``."""
    return _new(db, hub, Experiment, "E")


def _new(db: Session, hub: Hub, model: type[Subject | Experiment], letter: str) -> str:
    prefix = site_id(db, hub)
    while True:
        candidate = f"{prefix}_{letter}{next_number(db, f'{prefix}_{letter}'):05d}"
        if db.get(model, candidate) is None:
            return candidate


def checked_id(text: str) -> str:
    """Return `text` if it can be an ID, else refuse it with 417 as XNAT does."""
    if not _ID.fullmatch(text):
        raise HubError(417, f"{text!r} can't be an ID: use letters, digits, '_' and '-'.")
    return text
