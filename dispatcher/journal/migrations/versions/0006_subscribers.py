"""Who has signed up for push messages."""

from alembic import op

from dispatcher.journal.tables import metadata

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table more."""
    metadata.tables["subscribers"].create(op.get_bind(), checkfirst=True)
