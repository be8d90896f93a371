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
    __table_args__ = (Index("ix_workflow_object", "object_id"),)
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
    launch_time: Mapped[datetime] = mapped_column(default=utc_now)


class Container(Base):
    """One run of a command. Times of all stages stand in ``history``.

    ``origin`` says what started it (a user, or a subscription) and ``once_key`` makes automation idempotent: two
    queued or finished runs never share one.
    """

    __tablename__ = "container"
    __table_args__ = (
        UniqueConstraint("once_key"),
        Index("ix_container_status", "status"),
        Index("ix_container_project", "project"),
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
    __table_args__ = (Index("ix_delivery_subscription", "subscription_id"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subscription_id: Mapped[int]
    event_type: Mapped[str]
    event_status: Mapped[str]
    project: Mapped[str] = mapped_column(default="")
    user: Mapped[str] = mapped_column(default="")
    trigger: Mapped[dict[str, Any]] = mapped_column(default=dict)
    statuses: Mapped[list[Any]] = mapped_column(default=list)
    error: Mapped[bool] = mapped_column(default=False)
    timestamp: Mapped[datetime] = mapped_column(default=utc_now)
