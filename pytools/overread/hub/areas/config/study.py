"""The study that was applied to a project, and what it hides from its readers."""

from __future__ import annotations

from sqlalchemy.orm import Session

from overread.errors import SpecError
from overread.hub.areas.config.store import current_config
from overread.hub.arrival.completion import CONFIG_PATH, CONFIG_TOOL
from overread.study.manifest import StoredStudy, load_stored_study


def applied_study(db: Session, project: str) -> StoredStudy | None:
    """Return the study that was applied to the project, None if none was, or it cannot be read."""
    entry = current_config(db, project=project, tool=CONFIG_TOOL, path=CONFIG_PATH)
    if entry is None or entry.status != "enabled":
        return None
    try:
        return load_stored_study(entry.contents, source=f"configuration overread/study of {project}")
    except SpecError:
        return None


def is_blinded(study: StoredStudy | None) -> bool:
    """Whether the study hides its readers from each other."""
    return study is not None and study.readers is not None and study.readers.blind != "none"
