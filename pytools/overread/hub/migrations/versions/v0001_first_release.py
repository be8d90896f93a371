"""The tables of Overread 0.1.0, the first version that kept anything."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from overread.hub.migrations.types import INT, TEXT, TIME

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "command",
        sa.Column("id", INT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("image", TEXT, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "version"),
    )
    op.create_table(
        "config_entry",
        sa.Column("pk", INT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("tool", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("version", INT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("contents", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_index("ix_config", "config_entry", ["project", "tool", "path"])
    op.create_table(
        "custom_fields",
        sa.Column("pk", INT, nullable=False),
        sa.Column("owner_kind", TEXT, nullable=False),
        sa.Column("owner_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("owner_kind", "owner_id", "name"),
    )
    op.create_table(
        "custom_form",
        sa.Column("uuid", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("xsi_type", TEXT, nullable=False),
        sa.Column("projects", sa.JSON(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("display_order", INT, nullable=False),
        sa.Column("contents", sa.JSON(), nullable=False),
        sa.Column("version", INT, nullable=False),
        sa.Column("username", TEXT, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("uuid"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", INT, nullable=False),
        sa.Column("subscription_id", INT, nullable=False),
        sa.Column("event_type", TEXT, nullable=False),
        sa.Column("event_status", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("trigger", sa.JSON(), nullable=False),
        sa.Column("statuses", sa.JSON(), nullable=False),
        sa.Column("error", sa.Boolean(), nullable=False),
        sa.Column("timestamp", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_delivery_subscription", "delivery", ["subscription_id"])
    op.create_table(
        "enablement",
        sa.Column("pk", INT, nullable=False),
        sa.Column("wrapper_id", INT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("wrapper_id", "project"),
    )
    op.create_table(
        "prearchive_session",
        sa.Column("pk", INT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("timestamp", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("auto_archive", sa.Boolean(), nullable=True),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("session_id", TEXT, nullable=True),
        sa.Column("uploaded", TIME, nullable=False),
        sa.Column("receiving_since", TIME, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_index("ix_prearchive_study", "prearchive_session", ["study_instance_uid"])
    op.create_table(
        "project",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("secondary_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("accessibility", TEXT, nullable=False),
        sa.Column("prearchive_code", INT, nullable=False),
        sa.Column("quarantine_code", INT, nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("children", sa.JSON(), nullable=False),
        sa.Column("insert_date", TIME, nullable=False),
        sa.Column("insert_user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "receiver",
        sa.Column("id", INT, nullable=False),
        sa.Column("ae_title", TEXT, nullable=False),
        sa.Column("port", INT, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ae_title", "port"),
    )
    op.create_table(
        "resource",
        sa.Column("pk", INT, nullable=False),
        sa.Column("owner_kind", TEXT, nullable=False),
        sa.Column("owner_id", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=False),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column("insert_date", TIME, nullable=False),
        sa.Column("insert_user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("owner_kind", "owner_id", "label"),
    )
    op.create_table(
        "sequence",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", INT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "site_setting",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", INT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "user",
        sa.Column("pk", INT, nullable=False),
        sa.Column("login", TEXT, nullable=False),
        sa.Column("password_hash", TEXT, nullable=False),
        sa.Column("first_name", TEXT, nullable=False),
        sa.Column("last_name", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "workflow",
        sa.Column("id", INT, nullable=False),
        sa.Column("object_id", TEXT, nullable=False),
        sa.Column("data_type", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("pipeline_name", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("justification", TEXT, nullable=False),
        sa.Column("comments", TEXT, nullable=False),
        sa.Column("job_id", TEXT, nullable=False),
        sa.Column("launch_time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_workflow_object", "workflow", ["object_id"])
    op.create_table(
        "wrapper_config",
        sa.Column("pk", INT, nullable=False),
        sa.Column("wrapper_id", INT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("wrapper_id", "project"),
    )
    op.create_table(
        "alias_token",
        sa.Column("alias", TEXT, nullable=False),
        sa.Column("secret_hash", TEXT, nullable=False),
        sa.Column("login", TEXT, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["login"],
            ["user.login"],
        ),
        sa.PrimaryKeyConstraint("alias"),
    )
    op.create_table(
        "container",
        sa.Column("id", INT, nullable=False),
        sa.Column("command_id", INT, nullable=False),
        sa.Column("wrapper_id", INT, nullable=False),
        sa.Column("workflow_id", INT, nullable=True),
        sa.Column("parent_id", INT, nullable=True),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("user", TEXT, nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("once_key", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("status_time", TIME, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("resolved", sa.JSON(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("outputs", sa.JSON(), nullable=False),
        sa.Column("history", sa.JSON(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("exit_code", INT, nullable=True),
        sa.Column("backend_id", TEXT, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("ended", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["workflow_id"],
            ["workflow.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("once_key"),
    )
    op.create_index("ix_container_project", "container", ["project"])
    op.create_index("ix_container_status", "container", ["status"])
    op.create_table(
        "membership",
        sa.Column("pk", INT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("login", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["login"],
            ["user.login"],
        ),
        sa.ForeignKeyConstraint(
            ["project"],
            ["project.id"],
        ),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("project", "login"),
    )
    op.create_table(
        "received_object",
        sa.Column("pk", INT, nullable=False),
        sa.Column("prearchive_pk", INT, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("series_instance_uid", TEXT, nullable=False),
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("sop_class_uid", TEXT, nullable=False),
        sa.Column("transfer_syntax_uid", TEXT, nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("size", INT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("session_id", TEXT, nullable=True),
        sa.ForeignKeyConstraint(
            ["prearchive_pk"],
            ["prearchive_session.pk"],
        ),
        sa.PrimaryKeyConstraint("pk"),
    )
    op.create_index("ix_received_session", "received_object", ["prearchive_pk"])
    op.create_index("ix_received_sop", "received_object", ["sop_instance_uid"])
    op.create_index("ix_received_state", "received_object", ["state"])
    op.create_table(
        "resource_file",
        sa.Column("pk", INT, nullable=False),
        sa.Column("resource_pk", INT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("size", INT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("tags", TEXT, nullable=False),
        sa.Column("insert_date", TIME, nullable=False),
        sa.Column("insert_user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_pk"],
            ["resource.pk"],
        ),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("resource_pk", "path"),
    )
    op.create_table(
        "share",
        sa.Column("pk", INT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("object_id", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project"],
            ["project.id"],
        ),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("kind", "object_id", "project"),
    )
    op.create_table(
        "subject",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("children", sa.JSON(), nullable=False),
        sa.Column("insert_date", TIME, nullable=False),
        sa.Column("insert_user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["project"],
            ["project.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project", "label"),
    )
    op.create_table(
        "experiment",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("project", TEXT, nullable=False),
        sa.Column("label", TEXT, nullable=False),
        sa.Column("xsi_type", TEXT, nullable=False),
        sa.Column("subject_id", TEXT, nullable=True),
        sa.Column("session_id", TEXT, nullable=True),
        sa.Column("date", TEXT, nullable=False),
        sa.Column("time", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("modality", TEXT, nullable=False),
        sa.Column("accession_number", TEXT, nullable=False),
        sa.Column("patient_id", TEXT, nullable=False),
        sa.Column("patient_name", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("children", sa.JSON(), nullable=False),
        sa.Column("insert_date", TIME, nullable=False),
        sa.Column("insert_user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["project"],
            ["project.id"],
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["experiment.id"],
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subject.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project", "label"),
    )
    op.create_index("ix_experiment_accession", "experiment", ["accession_number"])
    op.create_index("ix_experiment_project_type", "experiment", ["project", "xsi_type"])
    op.create_index("ix_experiment_session", "experiment", ["session_id"])
    op.create_index("ix_experiment_subject", "experiment", ["subject_id"])
    op.create_index("ix_experiment_uid", "experiment", ["uid"])
    op.create_table(
        "instance",
        sa.Column("pk", INT, nullable=False),
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("file_pk", INT, nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("series_instance_uid", TEXT, nullable=False),
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("sop_class_uid", TEXT, nullable=False),
        sa.Column("transfer_syntax_uid", TEXT, nullable=False),
        sa.Column("modality", TEXT, nullable=False),
        sa.Column("series_number", INT, nullable=True),
        sa.Column("series_description", TEXT, nullable=False),
        sa.Column("instance_number", INT, nullable=True),
        sa.ForeignKeyConstraint(
            ["file_pk"],
            ["resource_file.pk"],
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["experiment.id"],
        ),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("session_id", "sop_instance_uid", "file_pk"),
    )
    op.create_index("ix_instance_sop", "instance", ["sop_instance_uid"])
    op.create_index("ix_instance_study", "instance", ["study_instance_uid", "series_instance_uid"])
    op.create_table(
        "scan",
        sa.Column("pk", INT, nullable=False),
        sa.Column("session_id", TEXT, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("xsi_type", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("uid", TEXT, nullable=False),
        sa.Column("modality", TEXT, nullable=False),
        sa.Column("quality", TEXT, nullable=False),
        sa.Column("series_description", TEXT, nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("children", sa.JSON(), nullable=False),
        sa.Column("insert_date", TIME, nullable=False),
        sa.Column("insert_user", TEXT, nullable=False),
        sa.Column("last_modified", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["experiment.id"],
        ),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("session_id", "id"),
    )
    op.create_index("ix_scan_uid", "scan", ["uid"])
