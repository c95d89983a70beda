"""Open incidents that speak are found without a look at those that never did."""

from alembic import op

from dispatcher.journal.tables import incidents

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index."""
    for index in incidents.indexes:
        index.create(op.get_bind(), checkfirst=True)
