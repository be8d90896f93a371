"""XNAT's items: projects, subjects, experiments (sessions and assessors), scans, and their files.

Fields that lists filter or sort by are columns; all others live in ``fields`` (XML path below the type, such as
``note`` or ``investigator/lastname``, to value) and ``children`` (path of a repeated element, such as
``references/seriesUID``, to a list of field maps).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from overread.hub.models.base import Base, utc_now


class Sequence(Base):
    """Counters behind accession IDs."""

    __tablename__ = "sequence"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(default=0)


class FileJournal(Base):
    """A transaction that renamed files (`overread.hub.items.journal`): its row says that it was kept."""

    __tablename__ = "file_journal"
    token: Mapped[str] = mapped_column(primary_key=True)


class Stamped:
    """Who made it, and when."""

    insert_date: Mapped[datetime] = mapped_column(default=utc_now)
    insert_user: Mapped[str] = mapped_column(default="")
    last_modified: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)


class Project(Stamped, Base):
    """xnat:projectData."""

    __tablename__ = "project"
    id: Mapped[str] = mapped_column(primary_key=True)
    secondary_id: Mapped[str] = mapped_column(default="")
    name: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    aliases: Mapped[list[str]] = mapped_column(default=list)
    accessibility: Mapped[str] = mapped_column(default="private")
    prearchive_code: Mapped[int] = mapped_column(default=4)
    quarantine_code: Mapped[int] = mapped_column(default=0)
    deleted: Mapped[bool] = mapped_column(default=False)
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    children: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Subject(Stamped, Base):
    """xnat:subjectData."""

    __tablename__ = "subject"
    __table_args__ = (UniqueConstraint("project", "label"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str] = mapped_column(ForeignKey("project.id"))
    label: Mapped[str]
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    children: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Experiment(Stamped, Base):
    """xnat:experimentData and all that derive from it: image sessions, subject assessors, image assessors.

    ``subject_id`` is set for sessions and subject assessors, ``session_id`` for image assessors (their
    ``imageSession_ID``).
    """

    __tablename__ = "experiment"
    __table_args__ = (
        UniqueConstraint("project", "label"),
        Index("ix_experiment_project_type", "project", "xsi_type"),
        Index("ix_experiment_uid", "uid"),
        Index("ix_experiment_accession", "accession_number"),
        Index("ix_experiment_session", "session_id"),
        Index("ix_experiment_subject", "subject_id"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str] = mapped_column(ForeignKey("project.id"))
    label: Mapped[str]
    xsi_type: Mapped[str]
    subject_id: Mapped[str | None] = mapped_column(ForeignKey("subject.id"))
    session_id: Mapped[str | None] = mapped_column(ForeignKey("experiment.id"))
    date: Mapped[str] = mapped_column(default="")
    time: Mapped[str] = mapped_column(default="")
    uid: Mapped[str] = mapped_column(default="")
    modality: Mapped[str] = mapped_column(default="")
    accession_number: Mapped[str] = mapped_column(default="")
    patient_id: Mapped[str] = mapped_column(default="")
    patient_name: Mapped[str] = mapped_column(default="")
    status: Mapped[str] = mapped_column(default="active")
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    children: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Scan(Stamped, Base):
    """xnat:imageScanData of one session. ``pk`` is XNAT's xnat_imagescandata_id."""

    __tablename__ = "scan"
    __table_args__ = (UniqueConstraint("session_id", "id"), Index("ix_scan_uid", "uid"))
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("experiment.id"))
    id: Mapped[str]
    xsi_type: Mapped[str]
    type: Mapped[str] = mapped_column(default="")
    uid: Mapped[str] = mapped_column(default="")
    modality: Mapped[str] = mapped_column(default="")
    quality: Mapped[str] = mapped_column(default="usable")
    series_description: Mapped[str] = mapped_column(default="")
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    children: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Share(Base):
    """An object lent to another project."""

    __tablename__ = "share"
    __table_args__ = (UniqueConstraint("kind", "object_id", "project"), Index("ix_share_project", "project", "kind"))
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str]  # subject | experiment
    object_id: Mapped[str]
    project: Mapped[str] = mapped_column(ForeignKey("project.id"))
    label: Mapped[str] = mapped_column(default="")


class Resource(Stamped, Base):
    """xnat:resourceCatalog: a labelled folder of files. ``pk`` is xnat_abstractresource_id.

    ``owner_kind`` is project, subject, experiment or scan; ``owner_id`` the object's ID (a scan's ``pk`` as text).
    """

    __tablename__ = "resource"
    __table_args__ = (UniqueConstraint("owner_kind", "owner_id", "label"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    owner_kind: Mapped[str]
    owner_id: Mapped[str]
    label: Mapped[str]
    format: Mapped[str] = mapped_column(default="")
    content: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    tags: Mapped[str] = mapped_column(default="")


class ResourceFile(Stamped, Base):
    """One file of a resource. ``path`` is relative to the resource's folder, with forward slashes."""

    __tablename__ = "resource_file"
    __table_args__ = (UniqueConstraint("resource_pk", "path"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    resource_pk: Mapped[int] = mapped_column(ForeignKey("resource.pk"))
    path: Mapped[str]
    size: Mapped[int]
    digest: Mapped[str]  # MD5 in hex, as XNAT's catalogs have it
    format: Mapped[str] = mapped_column(default="")
    content: Mapped[str] = mapped_column(default="")
    tags: Mapped[str] = mapped_column(default="")


class Instance(Base):
    """A DICOM object in the archive, so that DICOMweb and the ROI checks find it by UID."""

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("session_id", "sop_instance_uid", "file_pk"),
        Index("ix_instance_study", "study_instance_uid", "series_instance_uid"),
        Index("ix_instance_sop", "sop_instance_uid"),
        Index("ix_instance_file", "file_pk"),
    )
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("experiment.id"))
    file_pk: Mapped[int] = mapped_column(ForeignKey("resource_file.pk"))
    study_instance_uid: Mapped[str]
    series_instance_uid: Mapped[str]
    sop_instance_uid: Mapped[str]
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    modality: Mapped[str] = mapped_column(default="")
    series_number: Mapped[int | None]
    series_description: Mapped[str] = mapped_column(default="")
    instance_number: Mapped[int | None]
