"""What Overread 0.2.0 keeps besides.

Columns that rows of before must have get a default in the database, too: new rows have theirs from the models.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from overread.hub.migrations.types import INT, TEXT, TIME

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add it."""
    _logins_and_audit()
    _refused_associations()
    op.create_table(
        "bulk_launch",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("total", INT, nullable=False),
        sa.Column("steps", INT, nullable=False),
        sa.Column("refused", INT, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table("file_journal", sa.Column("token", TEXT, nullable=False), sa.PrimaryKeyConstraint("token"))
    op.create_table(
        "history_event",
        sa.Column("pk", INT, nullable=False),
        sa.Column("date", TIME, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("object_id", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("subject_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("comment", TEXT, nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    with op.batch_alter_table("history_event") as batch_op:
        batch_op.create_index("ix_history_object", ["kind", "object_id"])
        batch_op.create_index("ix_history_session", ["session_id"])
        batch_op.create_index("ix_history_subject", ["subject_id"])

    op.create_table(
        "orchestration",
        sa.Column("id", INT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("halt_on_failure", sa.Boolean(), nullable=False),
        sa.Column("wrapper_ids", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "storage_commitment",
        sa.Column("pk", INT, nullable=False),
        sa.Column("transaction_uid", TEXT, nullable=False),
        sa.Column("sender", TEXT, nullable=False),
        sa.Column("receiver", TEXT, nullable=False),
        sa.Column("port", INT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("association", TEXT, nullable=False),
        sa.Column("objects", sa.JSON(), nullable=False),
        sa.Column("kept", INT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("attempts", INT, nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=False),
        sa.Column("reported_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("pk"),
    )
    with op.batch_alter_table("storage_commitment") as batch_op:
        batch_op.create_index("ix_commitment_state", ["state"])

    op.create_table(
        "stored_search",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tag", TEXT, nullable=False),
        sa.Column("root", TEXT, nullable=False),
        sa.Column("brief_description", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("secure", sa.Boolean(), nullable=False),
        sa.Column("allowed_users", sa.JSON(), nullable=False),
        sa.Column("allowed_groups", sa.JSON(), nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("stored_search") as batch_op:
        batch_op.create_index("ix_stored_search_tag", ["tag"])

    op.create_table(
        "orchestration_project",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("orchestration_id", INT, nullable=False),
        sa.ForeignKeyConstraint(
            ["orchestration_id"],
            ["orchestration.id"],
        ),
        sa.PrimaryKeyConstraint("project"),
    )
    with op.batch_alter_table("container") as batch_op:
        batch_op.add_column(sa.Column("priority", INT, server_default="1", nullable=False))
        batch_op.add_column(sa.Column("slot", TEXT, server_default="cpu", nullable=False))
        batch_op.add_column(sa.Column("attempts", INT, server_default="0", nullable=False))
        batch_op.add_column(sa.Column("not_before", TIME, nullable=True))
        batch_op.add_column(sa.Column("rerun_of", INT, nullable=True))
        batch_op.add_column(sa.Column("image_digest", TEXT, server_default="", nullable=False))
        batch_op.add_column(sa.Column("versions", sa.JSON(), server_default="{}", nullable=False))
        batch_op.create_index("ix_container_parent", ["parent_id"])
        batch_op.create_index("ix_container_rerun", ["rerun_of"], unique=True)
        batch_op.create_index("ix_container_workflow", ["workflow_id"])

    with op.batch_alter_table("delivery") as batch_op:
        batch_op.add_column(sa.Column("last_status", TEXT, server_default="", nullable=False))
        batch_op.create_index("ix_delivery_project", ["project"])

    op.create_index("ix_instance_file", "instance", ["file_pk"])
    op.create_index("ix_share_project", "share", ["project", "kind"])

    with op.batch_alter_table("prearchive_session") as batch_op:
        batch_op.create_index("ix_prearchive_place", ["project", "timestamp"])
        batch_op.create_index("ix_prearchive_status", ["status"])
        batch_op.add_column(sa.Column("prevent_anon", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("prevent_auto_commit", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("source", TEXT, server_default="", nullable=False))
        batch_op.add_column(sa.Column("visit", TEXT, server_default="", nullable=False))
        batch_op.add_column(sa.Column("log", sa.JSON(), server_default="[]", nullable=False))

    with op.batch_alter_table("received_object") as batch_op:
        batch_op.add_column(sa.Column("original_digest", TEXT, server_default="", nullable=False))
        batch_op.create_index("ix_received_archived", ["session_id"])
        batch_op.create_index("ix_received_study", ["study_instance_uid"])

    with op.batch_alter_table("workflow") as batch_op:
        batch_op.add_column(sa.Column("next_step_id", TEXT, server_default="", nullable=False))
        batch_op.add_column(sa.Column("current_step_id", TEXT, server_default="", nullable=False))
        batch_op.create_index("ix_workflow_job", ["job_id"])


def _refused_associations() -> None:
    op.create_table(
        "refused_association",
        sa.Column("pk", INT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("called", TEXT, nullable=False),
        sa.Column("calling", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("port", INT, nullable=False),
        sa.Column("times", INT, nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("reason", "called", "calling", "address", "port"),
    )
    with op.batch_alter_table("refused_association") as batch_op:
        batch_op.create_index("ix_refused_association_last", ["last_at"])


def _logins_and_audit() -> None:
    op.create_table(
        "button_secret",
        sa.Column("project", TEXT, nullable=False),
        sa.Column("secret", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("project"),
    )
    op.create_table(
        "audit_event",
        sa.Column("pk", INT, nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("status", INT, nullable=False),
        sa.Column("method", TEXT, nullable=False),
        sa.Column("route", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("item", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    with op.batch_alter_table("audit_event") as batch_op:
        for column in ("time", "user", "project", "item"):
            batch_op.create_index(f"ix_audit_{column}", [column])

    with op.batch_alter_table("user") as batch_op:
        batch_op.add_column(sa.Column("provider", TEXT, server_default="", nullable=False))
        batch_op.add_column(sa.Column("failed_logins", INT, server_default="0", nullable=False))
        batch_op.add_column(sa.Column("last_failed_login", TIME, nullable=True))
        batch_op.add_column(sa.Column("locked_until", TIME, nullable=True))
