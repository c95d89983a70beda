"""Deliveries that stand by know the channels they stand by for."""

from alembic import op
from sqlalchemy import inspect

from dispatcher.journal.tables import deliveries

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column more; a journal that 0001 made with today's tables has it already."""
    column = deliveries.c.fallback_of
    if column.name not in {known["name"] for known in inspect(op.get_bind()).get_columns(deliveries.name)}:
        op.add_column(deliveries.name, column.copy())
