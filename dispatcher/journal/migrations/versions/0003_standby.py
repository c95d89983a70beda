"""Deliveries that stand by know the channels they stand by for."""

from alembic import op
from sqlalchemy import Column, Text, inspect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column more; a journal that 0001 made with today's tables has it already."""
    if "fallback_of" not in {column["name"] for column in inspect(op.get_bind()).get_columns("deliveries")}:
        op.add_column("deliveries", Column("fallback_of", Text, nullable=False, server_default=""))
