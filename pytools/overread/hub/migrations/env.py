"""Alembic's own entry: carries the migrations out on the connection that `overread.hub.migrations` gives it."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    render_as_batch=True,  # SQLite changes a column by making the table anew
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
