"""Commands, container runs, workflows, event subscriptions and their deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from overread.hub.models.base import Base, utc_now


class Command(Base):
    """A Container Service command. ``document`` is the whole JSON, with wrapper ids put in."""

    __tablename__ = "command"
    __table_args__ = (UniqueConstraint("name", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str]
    version: Mapped[str] = mapped_column(default="")
    image: Mapped[str] = mapped_column(default="")
    document: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Enablement(Base):
    """A wrapper switched on for the site (``project`` is "") or in a project."""

    __tablename__ = "enablement"
    __table_args__ = (UniqueConstraint("wrapper_id", "project"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    wrapper_id: Mapped[int]
    project: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=False)


class WrapperConfig(Base):
    """Defaults of a wrapper's inputs for the site (``project`` is "") or a project."""

    __tablename__ = "wrapper_config"
    __table_args__ = (UniqueConstraint("wrapper_id", "project"),)
    pk: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    wrapper_id: Mapped[int]
    project: Mapped[str] = mapped_column(default="")
    document: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Workflow(Base):
    """wrk:workflowData: what was done to an object, and how it went."""

    __tablename__ = "workflow"
    __table_args__ = (Index("ix_workflow_object", "object_id"), Index("ix_workflow_job", "job_id"))
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    object_id: Mapped[str]
    data_type: Mapped[str] = mapped_column(default="")
    project: Mapped[str] = mapped_column(default="")
    pipeline_name: Mapped[str]
    status: Mapped[str] = mapped_column(default="Queued")
    user: Mapped[str] = mapped_column(default="")
    justification: Mapped[str] = mapped_column(default="")
    comments: Mapped[str] = mapped_column(default="")
    job_id: Mapped[str] = mapped_column(default="")  # the bulk launch it belongs to
    next_step_id: Mapped[str] = mapped_column(default="", server_default="")  # the orchestration it belongs to
    current_step_id: Mapped[str] = mapped_column(default="", server_default="")  # its place there, from 0
    launch_time: Mapped[datetime] = mapped_column(default=utc_now)


class Container(Base):
    """One run of a command. Times of all stages stand in ``history``.

    ``origin`` says what started it (a user, or a subscription) and ``once_key`` makes automation idempotent: two
    queued or finished runs never share one. ``rerun_of`` is the failed run that this one does again; a run is done
    again once at most.
    """

    __tablename__ = "container"
    __table_args__ = (
        UniqueConstraint("once_key"),
        Index("ix_container_status", "status"),
        Index("ix_container_project", "project"),
        Index("ix_container_workflow", "workflow_id"),
        Index("ix_container_parent", "parent_id"),
        Index("ix_container_rerun", "rerun_of", unique=True),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    command_id: Mapped[int]
    wrapper_id: Mapped[int]
    workflow_id: Mapped[int | None] = mapped_column(ForeignKey("workflow.id"))
    parent_id: Mapped[int | None]  # the run whose output this wrap-up run converts
    project: Mapped[str] = mapped_column(default="")
    user: Mapped[str] = mapped_column(default="")
    origin: Mapped[str] = mapped_column(default="")
    once_key: Mapped[str | None]
    status: Mapped[str] = mapped_column(default="Queued")
    status_time: Mapped[datetime] = mapped_column(default=utc_now)
    reason: Mapped[str] = mapped_column(default="")
    resolved: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the command with all values put in
    inputs: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what the launch gave
    outputs: Mapped[list[Any]] = mapped_column(default=list)
    history: Mapped[list[Any]] = mapped_column(default=list)
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {"fraction": 0..1, "stage": ...} while it runs
    exit_code: Mapped[int | None]
    backend_id: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime] = mapped_column(default=utc_now)
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    priority: Mapped[int] = mapped_column(default=1, server_default="1")  # see overread.hub.runs.priorities
    slot: Mapped[str] = mapped_column(default="cpu", server_default="cpu")  # cpu | gpu: what it waits for
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")  # how often it was begun
    not_before: Mapped[datetime | None]  # when it is tried again after a temporary failure
    rerun_of: Mapped[int | None]
    image_digest: Mapped[str] = mapped_column(default="", server_default="")  # of the very image that ran
    versions: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # of what ran it


class BulkLaunch(Base):
    """Many launches at once. What became of them stands in the workflows with its id as ``job_id``."""

    __tablename__ = "bulk_launch"
    id: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(default="")
    total: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=1)
    refused: Mapped[int] = mapped_column(default=0)  # how many could not be queued
    created: Mapped[datetime] = mapped_column(default=utc_now)


class Orchestration(Base):
    """Several wrappers in a row on one object."""

    __tablename__ = "orchestration"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True)
    halt_on_failure: Mapped[bool] = mapped_column(default=True)
    wrapper_ids: Mapped[list[Any]] = mapped_column(default=list)


class OrchestrationProject(Base):
    """The orchestration that a project has switched on: one at most."""

    __tablename__ = "orchestration_project"
    project: Mapped[str] = mapped_column(primary_key=True)
    orchestration_id: Mapped[int] = mapped_column(ForeignKey("orchestration.id"))


class Subscription(Base):
    """An Event Service subscription. ``document`` is the JSON as it was sent."""

    __tablename__ = "subscription"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    owner: Mapped[str] = mapped_column(default="")
    document: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created: Mapped[datetime] = mapped_column(default=utc_now)


class Delivery(Base):
    """What a subscription made of an event."""

    __tablename__ = "delivery"
    __table_args__ = (Index("ix_delivery_subscription", "subscription_id"), Index("ix_delivery_project", "project"))
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subscription_id: Mapped[int]
    event_type: Mapped[str]
    event_status: Mapped[str]
    project: Mapped[str] = mapped_column(default="")
    user: Mapped[str] = mapped_column(default="")
    trigger: Mapped[dict[str, Any]] = mapped_column(default=dict)
    statuses: Mapped[list[Any]] = mapped_column(default=list)
    last_status: Mapped[str] = mapped_column(default="", server_default="")  # the last of ``statuses``
    error: Mapped[bool] = mapped_column(default=False)
    timestamp: Mapped[datetime] = mapped_column(default=utc_now)
