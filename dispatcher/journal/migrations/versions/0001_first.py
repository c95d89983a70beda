"""The first schema."""

from alembic import op

from dispatcher.journal.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every table of the first release."""
    metadata.create_all(op.get_bind())
