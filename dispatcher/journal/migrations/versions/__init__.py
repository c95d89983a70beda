"""Schema migrations, run by alembic and never imported on the way to ready."""
