"""Officers' own accounts, and who is assigned to which incident."""

from alembic import op

from dispatcher.journal.tables import metadata

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables more."""
    for name in ("accounts", "assignments"):
        metadata.tables[name].create(op.get_bind(), checkfirst=True)
