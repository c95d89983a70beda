"""Events say what they do to those before them, so that a cancel that comes first is remembered."""

from alembic import op
from sqlalchemy import Column, String, inspect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column more; a journal that 0001 made with today's tables has it already."""
    if "msg_type" not in {column["name"] for column in inspect(op.get_bind()).get_columns("events")}:
        op.add_column("events", Column("msg_type", String, nullable=False, server_default=""))
