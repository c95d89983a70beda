"""Alembic's entry: runs the scripts over the connection that `dispatcher.journal.schema` hands in."""

from alembic import context

from dispatcher.journal.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
